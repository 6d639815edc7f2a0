package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/secure-ota/secure-ota/internal/auth"
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

	Head    template.HTML // what is live above what can be done
	Live    template.HTML // the part that the page asks for again
	LiveURL string
	Steer   template.HTML // what can be done, replaced only when that changes

	actor    auth.Actor
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

// deliver renders a page, or only the live part for a page that has it: the
// blocks "head" and "live" of the template, with the block "steer" if that is
// another than the page has. Forms stand in there: they stay as they are filled
// in as long as they have a meaning.
func (h *Handler) deliver(v *visit, p *page) {
	_, name, _ := strings.Cut(v.actor.Name, ":")
	p.Who, p.Role, p.actor = name, v.actor.Role.String(), v.actor
	if p.Notice == "" {
		p.Notice = notices[v.query(doneParameter)]
	}
	head, err1 := h.block(p, "head")
	live, err2 := h.block(p, "live")
	steer, err3 := h.block(p, "steer")
	if err := errors.Join(err1, err2, err3); err != nil {
		h.broken(v.w, err)
		return
	}
	p.Head, p.Live, p.Steer = head, live, steer
	if live == "" || v.Method != http.MethodGet || p.Problem != nil {
		h.finish(v, p)
		return
	}
	query := v.URL.Query()
	shown, _, _ := strings.Cut(query.Get(liveParameter), ".")
	_, steered, _ := strings.Cut(query.Get(liveParameter), ".")
	query.Del(doneParameter)
	query.Set(liveParameter, tagOf(head+live)+"."+tagOf(steer))
	p.LiveURL = v.URL.Path + "?" + query.Encode()
	switch {
	case shown == "":
		h.finish(v, p)
	case shown == tagOf(head+live) && steered == tagOf(steer):
		v.w.WriteHeader(http.StatusNoContent)
	case steered == tagOf(steer):
		p.Steer = ""
		fallthrough
	default:
		h.execute(v.w, http.StatusOK, p, "renewal")
	}
}

// block renders a block of the page's template, nothing if it has none.
func (h *Handler) block(p *page, name string) (template.HTML, error) {
	t := h.pages[p.template]
	if t == nil || t.Lookup(name) == nil {
		return "", nil
	}
	var text bytes.Buffer
	err := t.ExecuteTemplate(&text, name, p)
	return template.HTML(text.String()), err // escaped by the template
}

func tagOf(text template.HTML) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
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
