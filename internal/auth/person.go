package auth

import "errors"

// The refusals of a login by an identity provider.
var (
	// ErrProvider means that the provider could not be asked.
	ErrProvider = errors.New("the identity provider does not answer")
	// ErrLogin means that its answer does not hold, or is not for this browser.
	ErrLogin = errors.New("login refused")
	// ErrNoRole means that the provider knows the person, and this server gives
	// him nothing to do.
	ErrNoRole = errors.New("no role here")
)

// A Person is somebody whom an identity provider vouches for.
type Person struct {
	Issuer  string // the provider
	Subject string // the provider's own name for him, which is nobody else's ever
	Name    string // what the audit log calls him
	Terms   string // which provider, and what gives a role there: with others his session is over
	Role    Role
}

// personPrefix stands before persons' names in the audit log.
const personPrefix = "oidc:"

// Actor returns the person as who does something from an address.
func (p Person) Actor(address string) Actor {
	return Actor{Name: personPrefix + p.Name, Role: p.Role, Address: address}
}
