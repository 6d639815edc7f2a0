package store

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
)

// connectTimeout is how long a connection to PostgreSQL may take unless its
// URL says otherwise. Whoever waits for it holds up all others who write.
const connectTimeout = 3 * time.Second

// parsePostgres reads the URL of a PostgreSQL database.
func parsePostgres(location string) (*postgresEngine, error) {
	redacted, err := Redact(location)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(location)
	if err != nil {
		// Its own words may quote what stands around the password.
		return nil, fmt.Errorf("open database %s: %s", redacted, reasonOf(err))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return &postgresEngine{config: config, redacted: redacted}, nil
}

// reasonOf returns the innermost cause of an error that pgx makes of a URL,
// which is about one setting.
func reasonOf(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	var escape url.EscapeError
	if errors.As(err, &escape) {
		return "the URL is malformed"
	}
	return "a setting in the URL, the environment or the password file is wrong"
}

// Redact returns a location of a database or of images as it may be shown:
// without a password. A path is shown as it is.
func Redact(location string) (string, error) {
	if !IsPostgres(location) {
		return location, nil
	}
	u, err := url.Parse(location)
	if err != nil { // whose words would quote it
		return "", errors.New("the URL of the database is malformed: a password in it may need escapes, such as %40 for @")
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		if query.Has(secret) {
			query.Del(secret)
			u.RawQuery = query.Encode()
		}
	}
	return u.String(), nil
}

// HasPassword reports whether the URL of a database carries a secret, which
// therefore must not stand where others can read it.
func HasPassword(location string) bool {
	u, err := url.Parse(location)
	if err != nil {
		return true // on doubt
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password") || u.Query().Has("sslpassword")
}
