package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// Logins with one token: each is a session, and a record of its own, of which
// nobody should be able to make millions.
const (
	loginRate, loginBurst = 1.0 / 60, 30
)

// Login opens a session of the console for the owner of a token. It counts
// wrong tokens as Authenticate does. old is the id of the browser's session
// before, if any, which ends.
func (s *Service) Login(ctx context.Context, token, old auth.Token, r *http.Request) (auth.Token, error) {
	actor, err := s.Authenticate(ctx, token, r)
	if err != nil {
		return "", fmt.Errorf("log in: %w", err)
	}
	if wait := s.logins.Allow(actor.Name, s.cfg.Now()); wait > 0 {
		return "", fmt.Errorf("log in: %s did so very often: %w: %w", actor.Name, ErrTooMany, &fleet.RateError{Wait: wait})
	}
	return s.sessions().Open(ctx, actor, token, old)
}

// LoginPerson is Login for whoever an identity provider vouches for: finish asks
// it. What it refuses counts as a wrong token does, for each try costs it, too.
func (s *Service) LoginPerson(ctx context.Context, finish func(context.Context) (auth.Person, error), old auth.Token, r *http.Request) (auth.Token, error) {
	addr, now := protocol.Address(r), s.cfg.Now()
	if wait := s.guesses.wait(addr, now); wait > 0 {
		return "", fmt.Errorf("log in: %w: %w", ErrTooMany, &fleet.RateError{Wait: wait})
	}
	person, err := finish(ctx)
	if errors.Is(err, auth.ErrLogin) || errors.Is(err, auth.ErrNoRole) {
		s.guesses.failed(addr, now)
		s.cfg.Fleet.Refused(addr, "operator")
	}
	actor := person.Actor(r.RemoteAddr)
	if errors.Is(err, auth.ErrNoRole) && s.forbidden.Allow(actor.Name, now) == 0 {
		err = errors.Join(err, s.cfg.Repository.Store().Change(ctx, actor.Entry("refused.login", ""), nothing))
	}
	if err != nil {
		return "", fmt.Errorf("log in: %w", err)
	}
	if wait := s.logins.Allow(actor.Name, now); wait > 0 {
		return "", fmt.Errorf("log in: %s did so very often: %w: %w", actor.Name, ErrTooMany, &fleet.RateError{Wait: wait})
	}
	s.guesses.succeeded(addr, now)
	return s.sessions().OpenPerson(ctx, person, r.RemoteAddr, old)
}

// Session finds who a session belongs to. used says that a person did
// something, not a page by itself. A wrong id counts as no guess: nobody
// guesses 256 random bits, and pages left open ask again after the end.
func (s *Service) Session(ctx context.Context, id auth.Token, used bool, r *http.Request) (auth.Actor, error) {
	actor, err := s.sessions().Find(ctx, id, used)
	if err != nil {
		return auth.Actor{}, s.withheld("find session", err)
	}
	actor.Address = r.RemoteAddr
	return actor, nil
}

// Logout ends a session. One that is over already is no error.
func (s *Service) Logout(ctx context.Context, id auth.Token, r *http.Request) error {
	actor, err := s.Session(ctx, id, false, r)
	if errors.Is(err, auth.ErrUnauthorized) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.sessions().Close(ctx, actor, id)
}

func (s *Service) sessions() auth.Sessions {
	return auth.Sessions{Operators: s.operators, Terms: s.cfg.Terms}
}
