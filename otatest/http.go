package otatest

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// HTTPClient returns a client that trusts the system's certificate and no
// other.
func (s *System) HTTPClient() *http.Client {
	want := s.Fingerprint
	var transport http.RoundTripper = &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection: func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].Raw)
			if hex.EncodeToString(sum[:]) != want {
				return errors.New("otatest: another certificate")
			}
			return nil
		},
	}}
	if s.wrap != nil {
		transport = s.wrap(transport)
	}
	return &http.Client{Transport: transport}
}

// DeviceKeys returns the keys of a device.
func (s *System) DeviceKeys(p server.Provisioning) trust.DeviceKeys {
	s.t.Helper()
	u, err := trust.ParseDeviceKey(p.UpKey)
	s.must(err, "parse up key")
	d, err := trust.ParseDeviceKey(p.DownKey)
	s.must(err, "parse down key")
	return trust.DeviceKeys{Up: u, Down: d}
}

func apiToken(text string) auth.Token { return auth.Token(text) }

func (s *System) must(err error, what string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("otatest: %s: %v", what, err)
	}
}
