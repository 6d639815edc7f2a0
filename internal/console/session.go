package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// sessionCookie holds the id of the operator's session. The prefix makes
// browsers refuse it unless it is Secure, of this host, and for all paths.
const sessionCookie = "__Host-ota"

// maxForm bounds a form without files, in bytes.
const maxForm = 256 << 10

func sessionOf(r *http.Request) auth.Token {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return auth.Token(cookie.Value)
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := auth.Token(strings.TrimSpace(r.PostFormValue("token"))) // of the body, never of the URL, which ends up in logs
	next := localPath(r.PostFormValue("next"))
	id, err := h.service.Login(r.Context(), token, sessionOf(r), r)
	if err != nil {
		h.askLogin(w, r, next, err)
		return
	}
	setCookie(w, id.Reveal(), auth.SessionLife)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	if err := h.service.Logout(r.Context(), sessionOf(r), r); err != nil {
		h.askLogin(w, r, "/", err)
		return
	}
	setCookie(w, "", -time.Second)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func setCookie(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// localPath returns the path and query of a page of this console to go on to,
// "/" for everything that could lead elsewhere: browsers take "//host" and
// "/\host" for other hosts.
func localPath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	return s
}

// loginPage is the login form.
type loginPage struct {
	Next     string // path to go on to
	Provider string // identity provider that people can log in by; empty: none
}

// askLogin shows the login form, and why the last login or session ended.
func (h *Handler) askLogin(w http.ResponseWriter, r *http.Request, next string, err error) {
	data := loginPage{Next: next}
	if h.provider != nil {
		data.Provider = h.provider.Host()
	}
	p := &page{Title: "Log in", template: "login", status: http.StatusUnauthorized, Data: data}
	if err != nil {
		p.Problem = h.refusalOf(w, r, err)
		p.status = p.Problem.status
	}
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Refresh", "true") // a page that is left open: it asks for the login as a whole
	}
	h.render(w, p)
}
