package console

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// A visit is one request of an operator who is logged in.
type visit struct {
	*http.Request
	api.Management
	w     http.ResponseWriter
	actor auth.Actor
	now   time.Time

	memory *memory
	whole  io.ReadCloser // the body without the bound that forms have
}

func (v *visit) ctx() context.Context { return v.Context() }

// query returns a parameter of the URL.
func (v *visit) query(name string) string { return v.URL.Query().Get(name) }

// field returns a field of the form, without spaces around it.
func (v *visit) field(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }

// A view gathers what a page shows.
type view func(*visit) (*page, error)

// An action changes something and returns the path to go on to. One that has
// answered by itself returns "".
type action func(*visit) (next string, err error)

// show routes a page.
func (h *Handler) show(pattern, template string, view view) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := h.enter(w, r)
		if v == nil {
			return
		}
		p, err := view(v)
		if err != nil {
			h.fail(v, err)
			return
		}
		if p.template == "" {
			p.template = template
		}
		h.deliver(v, p)
	})
}

// do routes a form that is not a page.
func (h *Handler) do(pattern string, action action) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := h.enter(w, r)
		if v == nil {
			return
		}
		next, err := action(v)
		switch {
		case err != nil:
			h.fail(v, err)
		case next != "" && r.Header.Get("HX-Request") != "":
			w.Header().Set("HX-Redirect", next)
		case next != "":
			http.Redirect(w, r, next, http.StatusSeeOther)
		}
	})
}

// enter finds the operator, or asks for a login and returns nil.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request) *visit {
	next := "/"
	if r.Method == http.MethodGet {
		query := r.URL.Query()
		query.Del(liveParameter)
		next = (&url.URL{Path: r.URL.Path, RawQuery: query.Encode()}).String()
	}
	id := sessionOf(r)
	if id == "" {
		h.askLogin(w, r, next, nil)
		return nil
	}
	actor, err := h.service.Session(r.Context(), id, !r.URL.Query().Has(liveParameter), r)
	if err != nil {
		h.askLogin(w, r, next, err)
		return nil
	}
	protocol.SetActor(w, actor.Name)
	v := &visit{Request: r, Management: h.service.As(actor), w: w, actor: actor, now: h.now().UTC(), memory: &h.memory, whole: r.Body}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	return v
}

func nowhere(*visit) (*page, error) { return nil, api.ErrNotFound }

// require refuses a page to who could do nothing with it.
func (v *visit) require(action string) error {
	if v.can(action) {
		return nil
	}
	return fmt.Errorf("%s: %w", action, auth.ErrForbidden)
}
