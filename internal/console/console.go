// Package console is the server's web page for operators: how far the fleet
// is, which devices need somebody, what is published, and what happened last.
// It is rendered here, without scripts, and changes nothing but its own login.
package console

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

//go:embed page.html style.css
var files embed.FS

// sessionCookie holds the operator's token. The prefix makes browsers refuse it
// unless it is Secure, of this host, and for all paths.
const sessionCookie = "__Host-ota"

const (
	sessionLife = 12 * time.Hour
	maxForm     = 4096 // bytes
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
	words := template.FuncMap{"moment": moment, "bytes": bytesInWords, "count": count, "sentence": sentence, "tone": toneOf}
	h.page = template.Must(template.New("page.html").Funcs(words).ParseFS(files, "page.html"))
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
		http.Error(w, "The console needs TLS: use the server's https address.", http.StatusForbidden)
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

func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		h.render(w, http.StatusOK, page{})
		return
	}
	actor, err := h.service.Authenticate(r.Context(), auth.Token(cookie.Value), r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	seen, err := gather(r.Context(), h.service.As(actor))
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.render(w, http.StatusOK, page{Overview: seen})
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := auth.Token(r.PostFormValue("token")) // of the body, never of the URL, which ends up in logs
	if _, err := h.service.Authenticate(r.Context(), token, r); err != nil {
		h.refuse(w, err)
		return
	}
	setCookie(w, token.Reveal(), sessionLife)
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
		h.render(w, http.StatusTooManyRequests, page{Refused: "Too many wrong tokens from your address. Wait a little."})
	case errors.Is(err, auth.ErrUnauthorized):
		h.render(w, http.StatusUnauthorized, page{Refused: "This token is unknown, expired or revoked."})
	case errors.Is(err, auth.ErrForbidden):
		h.render(w, http.StatusForbidden, page{Refused: "This token's role may not see this."})
	default:
		id := protocol.NewRequestID()
		h.log.Error("console: failed", "request", id, "error", err)
		h.render(w, http.StatusInternalServerError, page{Refused: "Internal error; the server's log has it under " + id + "."})
	}
}

// page is what the template renders: the login form, unless there is an
// overview to show.
type page struct {
	Refused  string // why the login failed
	Overview *overview
}

func (h *Handler) render(w http.ResponseWriter, status int, p page) {
	var text bytes.Buffer // half a page would be worse than none
	if err := h.page.Execute(&text, p); err != nil {
		h.log.Error("console: render page", "error", err)
		http.Error(w, "Internal error; the server's log has it.", http.StatusInternalServerError)
		return
	}
	protocol.WriteBytes(w, status, "text/html; charset=utf-8", text.Bytes())
}
