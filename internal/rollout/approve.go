package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// second refuses (ErrAuthor) who is the author of a rollout, under whatever
// name: from the server's own machine as well as with a token, and with a token
// that the one made for the other, whose secret both have seen.
func (r *row) second(tx *store.Tx, by auth.Actor) error {
	author, approver := person(r.createdBy), person(by.Name)
	if author == approver {
		return fmt.Errorf("%w: %s is its author", ErrAuthor, by.Name)
	}
	for _, pair := range [][2]string{{author, by.Name}, {approver, r.createdBy}} {
		makers, err := makersOf(tx, pair[1])
		if err != nil {
			return err
		}
		if slices.Contains(makers, pair[0]) {
			return fmt.Errorf("%w: %s made the token of %s; tokens that are to check each other are made by a third one, or on the server", ErrAuthor, pair[0], person(pair[1]))
		}
	}
	return nil
}

// person is an actor's name without where it speaks from.
func person(actor string) string {
	_, name, _ := strings.Cut(actor, ":")
	return name
}

// maxMakers bounds how far back makersOf looks. Names that were given again can
// make a circle.
const maxMakers = 32

// makersOf returns the person who made an actor's token, the one who made the
// token with which that was done, and so on: whoever makes a token that makes a
// token has seen both secrets.
func makersOf(tx *store.Tx, actor string) (makers []string, err error) {
	for range maxMakers {
		token, ok := strings.CutPrefix(actor, "token:")
		if !ok {
			return makers, nil
		}
		err := tx.Get(`SELECT created_by FROM operator_tokens WHERE name = $1`, []any{token}, &actor)
		if errors.Is(err, store.ErrNotFound) { // revoked since
			return makers, nil
		}
		if err != nil {
			return nil, err
		}
		makers = append(makers, person(actor))
	}
	return makers, nil
}
