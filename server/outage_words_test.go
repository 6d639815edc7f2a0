//go:build unix

package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

// What the driver says of a database that is gone names its host, its user and
// its files. Whoever has no token, or a wrong one, learns nothing of that.
func TestAnOutageTellsStrangersNothing(t *testing.T) {
	db := postgres.Start(t)
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.Database = db.Database(t) }})
	db.Stop()
	ask := func(method, path, form string, headers ...string) {
		req, err := http.NewRequest(method, s.URL+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s %s: status %d", method, path, resp.StatusCode)
		}
		for _, inside := range []string{"user=", "database=", "dial", "socket", "127.0.0.1", "SQLSTATE", "begin", "pgx"} {
			if strings.Contains(string(body), inside) {
				t.Errorf("%s %s tells a stranger %q: %s", method, path, inside, body)
			}
		}
	}
	for range 2 { // the first may meet a connection that was open, the second none
		ask("GET", "/api/v1/info", "", "Authorization", "Bearer ota_op_guess")
		ask("GET", "/", "", "Cookie", "__Host-ota=ota_ses_guess")
		ask("POST", "/login", "token=ota_op_guess", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	}
	db.Restart(t)
	soon(t, "an answer with the database back", func() error {
		_, err := s.Remote().Info(t.Context())
		return err
	})
}
