package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// settings are what administrators set, and what the server is.
type settings struct {
	api.Info
	Tokens []tokenRow
	Types  []rollout.TypeSettings
}

type tokenRow struct {
	auth.Operator
	Ended bool
	Soon  bool // ends within tokenNotice
	Own   bool // of who looks at it
}

func showSettings(v *visit) (*page, error) {
	s := &settings{}
	var err error
	if s.Info, err = v.Info(v.ctx()); err != nil {
		return nil, err
	}
	if s.Types, err = v.typeSettings(); err != nil {
		return nil, err
	}
	if v.can("token.list") {
		tokens, err := v.Tokens(v.ctx())
		if err != nil {
			return nil, err
		}
		for _, t := range tokens {
			left := t.ExpiresAt.Sub(v.now)
			s.Tokens = append(s.Tokens, tokenRow{
				Operator: t, Ended: !t.ExpiresAt.IsZero() && left <= 0,
				Soon: !t.ExpiresAt.IsZero() && left > 0 && left < tokenNotice, Own: "token:"+t.Name == v.actor.Name,
			})
		}
	}
	return &page{Title: "Settings", Section: "settings", Data: s}, nil
}

// secret is something that is shown this once.
type secret struct {
	What    string
	Secret  string
	Use     string // the command that takes it
	Expires time.Time
}

func addToken(v *visit) (*page, error) {
	role, err := auth.ParseRole(v.field("role"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	valid, err := days(v.field("days"))
	if err != nil {
		return nil, err
	}
	name := v.field("name")
	scope := auth.Scope{DeviceTypes: strings.FieldsFunc(v.field("types"), func(r rune) bool { return r == ',' || r == ' ' })}
	token, err := v.AddToken(v.ctx(), auth.NewOperator{Name: name, Role: role, Scope: scope, Valid: valid})
	if err != nil {
		return nil, err
	}
	return shownToken(v, name, token), nil
}

func shownToken(v *visit, name string, token auth.Token) *page {
	return &page{Title: "Token of " + name, Section: "settings", Data: secret{
		What: "Token of " + name, Secret: token.Reveal(), Use: "ota login " + origin(v),
	}}
}

// rotateToken replaces the secret of a token.
func rotateToken(v *visit) (*page, error) {
	name := v.PathValue("name")
	token, err := v.RotateToken(v.ctx(), name)
	if err != nil {
		return nil, err
	}
	return shownToken(v, name, token), nil
}

// maxDays keeps a number of days within a Duration.
const maxDays = 100 * 366

func days(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxDays {
		return 0, fmt.Errorf("days %q: %w: want a number from 1 to %d", text, api.ErrInvalid, maxDays)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// origin is the server as the browser reached it.
func origin(v *visit) string { return "https://" + v.Host }

func revokeToken(v *visit) (string, error) {
	return "/settings?done=token#tokens", v.RevokeToken(v.ctx(), v.PathValue("name"))
}

func addCode(v *visit) (*page, error) {
	valid, err := strconv.Atoi(v.field("hours"))
	if err != nil || valid < 1 || valid > int(fleet.MaxCodeLife/time.Hour) {
		return nil, fmt.Errorf("hours %q: %w: want a number from 1 to %d", v.field("hours"), api.ErrInvalid, int(fleet.MaxCodeLife/time.Hour))
	}
	deviceType := v.field("type")
	code, err := v.AddEnrolmentCode(v.ctx(), fleet.NewCode{
		DeviceType: deviceType, Device: v.field("device"), Again: v.field("again") != "", Valid: time.Duration(valid) * time.Hour,
	})
	if err != nil {
		return nil, err
	}
	what := "Enrolment code for one " + deviceType
	if device := v.field("device"); device != "" {
		what += ", " + device
	}
	return &page{Title: "New enrolment code", Section: "settings", Data: secret{
		What: what, Secret: code.Code, Expires: code.Expires,
		Use: strings.Join([]string{"ota-agent enrol --server", origin(v), "--code …"}, " "),
	}}, nil
}

func setType(v *visit) (string, error) {
	end, err := dayOf(v.field("support_end"))
	if err != nil {
		return "", err
	}
	_, err = v.SetDeviceType(v.ctx(), rollout.TypeSettings{
		DeviceType: v.PathValue("type"), Offer: rollout.Offer(v.field("offer")), Critical: v.field("critical") != "", SupportEnd: end,
	})
	return "/settings?done=settings#types", err
}
