package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/secure-ota/secure-ota/internal/protocol"
)

// liveParameter is the parameter of a page that asks for its live part again.
// It carries the tag of what the page shows.
const liveParameter = "live"

// A page is what the templates render.
type page struct {
	Title   string
	Section string // of the navigation
	Data    any
	Problem *refusal // what went wrong, shown above the page
	Notice  string   // what was done
	Vendor  string
	Who     string // operator's name
	Role    string
	May     may

	Live    template.HTML // the part that the page asks for again
	LiveURL string
	IsLive  bool

	template string
	status   int // 0: 200
}

// loadPages parses every page together with the layout.
func loadPages(assets map[string]asset) map[string]*template.Template {
	base := template.New("layout.html").Funcs(words).Funcs(template.FuncMap{
		"asset": func(name string) string { return assetURL(assets, name) },
	})
	base = template.Must(base.ParseFS(files, "templates/layout.html", "templates/parts.html"))
	entries, err := files.ReadDir("templates")
	if err != nil {
		panic(err)
	}
	pages := map[string]*template.Template{}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".html"); name != "layout" && name != "parts" {
			own := template.Must(base.Clone())
			pages[name] = template.Must(own.ParseFS(files, path.Join("templates", e.Name())))
		}
	}
	return pages
}

// deliver renders a page, or only its live part for a page that has it, and
// nothing at all if that has not changed.
func (h *Handler) deliver(v *visit, p *page) {
	p.Who, p.Role, p.May = strings.TrimPrefix(v.actor.Name, "token:"), v.actor.Role.String(), mayOf(v.actor.Role)
	if p.Notice == "" {
		p.Notice = notices[v.query(doneParameter)]
	}
	p.IsLive = h.pages[p.template].Lookup("live") != nil && v.Method == http.MethodGet
	if !p.IsLive {
		h.finish(v, p)
		return
	}
	var live bytes.Buffer
	if err := h.pages[p.template].ExecuteTemplate(&live, "live", p); err != nil {
		h.broken(v.w, err)
		return
	}
	sum := sha256.Sum256(live.Bytes())
	tag := hex.EncodeToString(sum[:8])
	query := v.URL.Query()
	shown := query.Get(liveParameter)
	query.Del(doneParameter)
	query.Set(liveParameter, tag)
	p.Live, p.LiveURL = template.HTML(live.String()), v.URL.Path+"?"+query.Encode() // escaped by the template above
	switch shown {
	case "":
		h.finish(v, p)
	case tag:
		v.w.WriteHeader(http.StatusNoContent)
	default:
		h.execute(v.w, http.StatusOK, p, "region")
	}
}

// finish renders a whole page.
func (h *Handler) finish(v *visit, p *page) {
	if info, err := v.Info(v.ctx()); err == nil { // a page without the vendor's name is better than none
		p.Vendor = info.Vendor
	}
	h.render(v.w, p)
}

func (h *Handler) render(w http.ResponseWriter, p *page) {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	h.execute(w, p.status, p, "layout.html")
}

func (h *Handler) execute(w http.ResponseWriter, status int, p *page, name string) {
	var text bytes.Buffer // half a page would be worse than none
	if err := h.pages[p.template].ExecuteTemplate(&text, name, p); err != nil {
		h.broken(w, err)
		return
	}
	protocol.WriteBytes(w, status, "text/html; charset=utf-8", text.Bytes())
}

func (h *Handler) broken(w http.ResponseWriter, err error) {
	h.log.Error("console: render page", "error", err)
	http.Error(w, "Internal error; the server's log has it.", http.StatusInternalServerError)
}

// as names the page's template.
func (p *page) as(template string) *page {
	p.template = template
	return p
}
