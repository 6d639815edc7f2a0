package console

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/idp"
)

// CallbackPath is where the identity provider sends people back to.
const CallbackPath = "/login/oidc/callback"

// A login under way is in a cookie that goes along when the provider sends the
// browser back, which one that is strict would not. It lives as long as
// somebody may take to find his second factor.
const (
	flowCookie = "__Host-ota-login"
	flowLife   = 10 * time.Minute
)

// waitingLogin is what the cookie holds.
type waitingLogin struct {
	idp.Flow
	Next string `json:"next"` // path to go on to
}

// beginSignOn sends the browser to the identity provider. That changes nothing
// but the browser's cookie, so it may be a link: the page's policy lets no form
// lead there.
func (h *Handler) beginSignOn(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	flow, there, err := h.provider.Begin(r.Context())
	if err != nil {
		h.askLogin(w, r, next, err)
		return
	}
	raw, err := json.Marshal(waitingLogin{flow, next})
	if err != nil {
		h.askLogin(w, r, next, err)
		return
	}
	setFlow(w, base64.RawURLEncoding.EncodeToString(raw), flowLife)
	http.Redirect(w, r, there, http.StatusSeeOther)
}

// finishSignOn opens a session for whom the provider sent back.
func (h *Handler) finishSignOn(w http.ResponseWriter, r *http.Request) {
	login := flowOf(r)
	setFlow(w, "", -time.Second) // whatever comes of it, it was for this once
	id, err := h.service.LoginPerson(r.Context(), func(ctx context.Context) (auth.Person, error) {
		return h.provider.Finish(ctx, login.Flow, r.URL.Query())
	}, sessionOf(r), r)
	if err != nil {
		h.askLogin(w, r, localPath(login.Next), err)
		return
	}
	setCookie(w, id.Reveal(), auth.SessionLife)
	// Not a redirect: browsers send a strict cookie along with no request that
	// another site, which is the provider, has begun.
	next := localPath(login.Next)
	w.Header().Set("Refresh", fmt.Sprintf("0; url=%s", next))
	h.render(w, &page{Title: "Logged in", template: "welcome", Data: struct{ Next string }{next}})
}

// flowOf returns the login that a browser has under way, or none.
func flowOf(r *http.Request) (login waitingLogin) {
	cookie, err := r.Cookie(flowCookie)
	if err != nil {
		return waitingLogin{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || json.Unmarshal(raw, &login) != nil {
		return waitingLogin{}
	}
	return login
}

func setFlow(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: flowCookie, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
