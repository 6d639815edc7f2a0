//go:build unix

package main

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
)

// In front of the server there may be a proxy with a certificate of its own: a
// new key comes through the connection that the login is held against.
func TestAKeyIsRotatedThroughAProxy(t *testing.T) {
	system := otatest.New(t)
	system.Device("dev-1")
	target, err := url.Parse(system.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = system.HTTPClient().Transport
	front := httptest.NewTLSServer(proxy)
	defer front.Close()
	dir := t.TempDir()
	cmd := otaCommand(dir, "device", "provision", otatest.DeviceType, "dev-1", "--rotate-key", "--c-header", "dev-1.h", "--server", front.URL)
	cmd.Env = append(cmd.Env, "OTA_TOKEN="+system.Token, "OTA_FINGERPRINT="+fingerprintOf(front.Certificate()))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "key generation  2") {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), system.Token) {
		t.Error("the token is printed")
	}
	if found, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(found) > 0 {
		t.Errorf("%v is left behind", found)
	}
	d, err := system.Management().Device(t.Context(), fleet.Ref{DeviceType: otatest.DeviceType, ID: "dev-1"})
	if err != nil || d.Generation != 2 {
		t.Errorf("the server says %+v, %v", d, err)
	}
}
