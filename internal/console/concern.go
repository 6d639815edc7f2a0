package console

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// How early an operator hears of what ends.
const (
	tokenNotice   = 14 * 24 * time.Hour
	releaseNotice = 14 * 24 * time.Hour
	supportNotice = 90 * 24 * time.Hour
)

// A concern is something that an operator should look at.
type concern struct {
	Tone  tone
	Words string
	Href  string
}

// concerns gathers them, the worst first.
func concerns(v *visit, c census, on []rolloutRow, releases []api.Release) ([]concern, error) {
	list := rolloutConcerns(on)
	if n := c.inStates("failed", "reverted", "refused"); n > 0 {
		list = append(list, concern{bad, count(n, "device") + " failed, reverted or refused an update",
			devicesURL("state=failed or state=reverted or state=refused")})
	}
	if n := c.inStates("silent"); n > 0 {
		list = append(list, concern{bad, count(n, "device") + " silent: not heard of for three times as long as usual", devicesURL("state=silent")})
	}
	types, err1 := typeConcerns(v)
	tokens, err2 := tokenConcerns(v)
	return slices.Concat(list, releaseConcerns(v, releases), types, tokens), errors.Join(err1, err2)
}

func rolloutConcerns(on []rolloutRow) (list []concern) {
	for _, r := range on {
		switch {
		case r.State == rollout.Halted:
			list = append(list, concern{bad, "Rollout " + r.Name + " is halted: " + r.Why, rolloutURL(r.Name)})
		case r.State == rollout.Awaiting:
			list = append(list, concern{busy, "Rollout " + r.Name + " awaits the approval of a second person", rolloutURL(r.Name)})
		case r.atGate():
			list = append(list, concern{busy, "Rollout " + r.Name + " stands at the gate of stage " + strconv.Itoa(r.Stage+1), rolloutURL(r.Name)})
		}
	}
	return list
}

// atGate reports whether the next stage waits for nothing but an operator.
func (r rolloutRow) atGate() bool {
	if r.State != rollout.Running || r.Stage < 1 || r.Stage >= len(r.Spec.Stages) {
		return false
	}
	s := r.Progress.Stages[r.Stage-1]
	return s.Gate && s.Present > 0 && float64(s.Updated) >= float64(s.Present)*s.SuccessPercent/100
}

// releaseConcerns are for the newest release of each type: devices with a clock
// refuse it once it has expired. Releases of a type come newest first.
func releaseConcerns(v *visit, releases []api.Release) (list []concern) {
	newest := map[string]bool{}
	for _, r := range releases {
		if r.Withdrawal != nil || newest[r.DeviceType+r.Component] {
			continue
		}
		newest[r.DeviceType+r.Component] = true
		if r.Expires.IsZero() || r.Expires.Sub(v.now) > releaseNotice {
			continue
		}
		words := fmt.Sprintf("Release %s %s expires on %s", r.DeviceType, r.Version, day(r.Expires))
		if !r.Expires.After(v.now) {
			words = fmt.Sprintf("Release %s %s has expired on %s: devices with a clock refuse it", r.DeviceType, r.Version, day(r.Expires))
		}
		list = append(list, concern{neutral, words, releaseURL(r)})
	}
	return list
}

func typeConcerns(v *visit) (list []concern, err error) {
	types, err := v.typeSettings()
	for _, t := range types {
		if left := t.SupportEnd.Sub(v.now); !t.SupportEnd.IsZero() && left < supportNotice {
			words := "Support of " + t.DeviceType + " ends on " + day(t.SupportEnd)
			if left < -24*time.Hour {
				words = "Support of " + t.DeviceType + " ended on " + day(t.SupportEnd)
			}
			list = append(list, concern{neutral, words, "/settings#types"})
		}
	}
	return list, err
}

// tokenConcerns are for administrators: others may not list tokens.
func tokenConcerns(v *visit) (list []concern, err error) {
	if !v.can("token.list") {
		return nil, nil
	}
	tokens, err := v.Tokens(v.ctx())
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		if t.ExpiresAt.IsZero() || t.ExpiresAt.Sub(v.now) > tokenNotice {
			continue
		}
		words := fmt.Sprintf("Token %s ends on %s", t.Name, day(t.ExpiresAt))
		if !t.ExpiresAt.After(v.now) {
			words = fmt.Sprintf("Token %s ended on %s", t.Name, day(t.ExpiresAt))
		}
		list = append(list, concern{neutral, words, "/settings#tokens"})
	}
	return list, nil
}
