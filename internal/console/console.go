// Package console is the server's web page for operators: what is published,
// which devices run what, and the last audit records. It is rendered here,
// without scripts, and changes nothing but its own login.
package console

import (
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

//go:embed page.html style.css
var files embed.FS

// sessionCookie holds the operator's token. The prefix makes browsers refuse it
// unless it is Secure, of this host, and for all paths.
const sessionCookie = "__Host-ota"

// What the page shows at most.
const (
	maxDevices = 200
	maxRecords = 50
	maxForm    = 4096 // bytes
)

// A Handler is the console.
type Handler struct {
	service *api.Service
	log     *slog.Logger
	page    *template.Template
	mux     *http.ServeMux
}

// New returns the console of a service. log may be nil.
func New(service *api.Service, log *slog.Logger) *Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{service: service, log: log, mux: http.NewServeMux()}
	h.page = template.Must(template.New("page.html").Funcs(template.FuncMap{"when": when}).ParseFS(files, "page.html"))
	h.mux.HandleFunc("GET /{$}", h.show)
	h.mux.HandleFunc("GET /style.css", h.style)
	h.mux.HandleFunc("POST /login", h.login)
	h.mux.HandleFunc("POST /logout", h.logout)
	return h
}

// ServeHTTP answers one request. Without TLS there is no console: its cookie
// would be anybody's on the way.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		http.Error(w, "The console needs TLS.", http.StatusForbidden)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, "Cross-site requests are refused.", http.StatusForbidden)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// view is what the page is rendered from.
type view struct {
	Refused  string // why the login failed
	LoggedIn bool
	Info     api.Info
	Releases []api.Release
	Devices  []api.Device
	Records  []audit.Record
	States   []count
	Now      time.Time
}

// count is how many devices of a type run a version and are in a state.
type count struct {
	DeviceType, Version, State string
	Devices                    int
}

func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		h.render(w, http.StatusOK, view{})
		return
	}
	actor, err := h.service.Authenticate(r.Context(), auth.Token(cookie.Value), r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	v, err := h.gather(r, actor)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.render(w, http.StatusOK, v)
}

func (h *Handler) gather(r *http.Request, actor auth.Actor) (v view, err error) {
	m, ctx := h.service.As(actor), r.Context()
	v.LoggedIn, v.Now = true, time.Now()
	if v.Info, err = m.Info(ctx); err != nil {
		return v, err
	}
	if v.Releases, err = m.Releases(ctx, ""); err != nil {
		return v, err
	}
	if v.Records, err = m.AuditRecords(ctx, audit.Filter{Limit: maxRecords}); err != nil {
		return v, err
	}
	counted := map[count]int{}
	var after fleet.Ref
	for {
		page, err := m.Devices(ctx, api.DeviceQuery{After: after})
		if err != nil {
			return v, err
		}
		for _, d := range page {
			c := count{DeviceType: d.DeviceType, Version: d.Version, State: d.State}
			if counted[c]++; counted[c] == 1 {
				v.States = append(v.States, c)
			}
		}
		v.Devices = append(v.Devices, page[:min(len(page), maxDevices-len(v.Devices))]...)
		if len(page) < api.MaxPage {
			break
		}
		after = page[len(page)-1].Ref
	}
	for i, c := range v.States {
		v.States[i].Devices = counted[c]
	}
	return v, nil
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := auth.Token(r.PostFormValue("token"))
	if _, err := h.service.Authenticate(r.Context(), token, r); err != nil {
		h.refuse(w, err)
		return
	}
	setCookie(w, token.Reveal(), 12*time.Hour)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	setCookie(w, "", -time.Second)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func setCookie(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

func (h *Handler) style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "style.css")
}

// refuse shows the login form again.
func (h *Handler) refuse(w http.ResponseWriter, err error) {
	var rate *fleet.RateError
	switch {
	case errors.As(err, &rate):
		protocol.SetRetryAfter(w, rate.Wait)
		h.render(w, http.StatusTooManyRequests, view{Refused: "Too many wrong tokens from your address. Wait a little."})
	case errors.Is(err, auth.ErrUnauthorized):
		h.render(w, http.StatusUnauthorized, view{Refused: "This token is unknown, expired or revoked."})
	case errors.Is(err, auth.ErrForbidden):
		h.render(w, http.StatusForbidden, view{Refused: "This token's role may not see this."})
	default:
		id := protocol.NewRequestID()
		h.log.Error("console: failed", "request", id, "error", err)
		h.render(w, http.StatusInternalServerError, view{Refused: "Internal error; the server's log has it under " + id + "."})
	}
}

func (h *Handler) render(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := h.page.Execute(w, v); err != nil {
		h.log.Error("console: render page", "error", err)
	}
}

func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
