package console

import (
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// How early an operator hears of what ends.
const tokenNotice = 14 * 24 * time.Hour

// A concern is something that an operator should look at.
type concern struct {
	Tone  tone
	Words string
	Href  string
}

// concerns gathers them, the worst first.
func concerns(v *visit, c census) ([]concern, error) {
	var list []concern
	if n := c.inStates("failed", "reverted", "refused"); n > 0 {
		list = append(list, concern{bad, count(n, "device") + " failed, reverted or refused an update",
			devicesURL("state=failed or state=reverted or state=refused")})
	}
	if n := c.inStates("silent"); n > 0 {
		list = append(list, concern{bad, count(n, "device") + " silent: not heard of for three times as long as usual", devicesURL("state=silent")})
	}
	tokens, err := tokenConcerns(v)
	return append(list, tokens...), err
}

// tokenConcerns are for administrators: others may not list tokens.
func tokenConcerns(v *visit) (list []concern, err error) {
	if v.actor.Role < auth.Administrator {
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
