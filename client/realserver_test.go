package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/otatest"
)

// The other tests use a server of their own; this is the one that is shipped.
func TestAgainstTheRealServer(t *testing.T) {
	system := otatest.New(t)
	tls := client.Server{URL: system.URL, Fingerprint: system.Fingerprint}
	code := system.EnrolmentCode()
	releases := 0
	for name, c := range map[string]struct {
		server    client.Server
		provision func(t *testing.T) client.Provisioning
	}{
		"device key over TLS":    {tls, func(t *testing.T) client.Provisioning { return provisioning(t, system.Device("dev-1")) }},
		"device key without TLS": {client.Server{URL: system.PlainURL}, func(t *testing.T) client.Provisioning { return provisioning(t, system.Device("dev-2")) }},
		"token over TLS":         {tls, func(t *testing.T) client.Provisioning { return provisioning(t, system.TokenDevice("dev-3")) }},
		"enrolled with a code": {tls, func(t *testing.T) client.Provisioning {
			p, err := client.Enrol(t.Context(), tls, client.Enrolment{Code: code, DeviceType: otatest.DeviceType, Device: "dev-4"})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := client.Config{StoragePath: t.TempDir(), Server: c.server}
			if err := client.Provision(cfg, c.provision(t)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				releases++
				version := fmt.Sprintf("1.%d.0", releases)
				image := bytes.Repeat([]byte(version), 20_000)
				system.Publish(version, image)
				boot(t, cfg, image)
			}
		})
	}
}

// boot takes an update on trial and confirms it, with nothing left to report.
func boot(t *testing.T, cfg client.Config, want []byte) {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := c.Update(t.Context())
	if err != nil || !out.Switched {
		t.Fatalf("switched %v, %v", out.Switched, err)
	}
	image, err := c.Boot(t.Context())
	if err != nil || !image.Trial || image.Entry.ImageSize != uint32(len(want)) {
		t.Fatalf("boots %+v, %v", image, err)
	}
	if err := c.ConfirmFirmware(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.DeliverReports(t.Context()); err != nil || len(c.State().Reports) != 0 {
		t.Fatalf("%d reports wait, %v", len(c.State().Reports), err)
	}
}

// provisioning reads what the server hands out as the file that it is.
func provisioning(t *testing.T, v any) client.Provisioning {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.ParseProvisioning(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return p
}
