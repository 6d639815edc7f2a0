package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
)

// lowDisk is the free space below which an update round may not fit, in bytes.
const lowDisk = 1 << 30

// checkData looks at the data directory: there, ours, not too open, and room
// in it.
func checkData(dir string) []diagnosis {
	info, err := os.Stat(dir)
	switch {
	case missing(err):
		return []diagnosis{warn("data directory", dir+" does not exist", "ota serve makes it")}
	case err != nil:
		return []diagnosis{fail("data directory", err.Error(), "run as its owner, or change its owner")}
	case !info.IsDir():
		return []diagnosis{fail("data directory", dir+" is a file", "correct the path")}
	}
	found := []diagnosis{ok("data directory", dir)}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o022 != 0 {
		found[0] = fail("data directory", fmt.Sprintf("mode %04o: others can change it", mode), "chmod go-w "+dir)
	}
	secrets := filepath.Join(dir, repository.SecretsName)
	entries, err := os.ReadDir(secrets)
	if err != nil && !missing(err) {
		return append(found, fail("secrets", err.Error(), "run as the owner of the data directory"))
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			name := filepath.Join(secrets, e.Name())
			found = append(found, fail("secrets", fmt.Sprintf("%s has mode %04o: others can read it", name, info.Mode().Perm()), "chmod 600 "+name))
		}
	}
	return append(found, checkDisk(dir))
}

func checkDisk(dir string) diagnosis {
	free, err := blob.DiskFree(dir)
	switch {
	case err != nil:
		return warn("disk", err.Error(), "check the disk by hand")
	case free < repository.DefaultReserve:
		return fail("disk", fmt.Sprintf("%d MiB free: uploads are refused", free>>20), "free some space, or move the data directory")
	case free < lowDisk:
		return warn("disk", fmt.Sprintf("%d MiB free", free>>20), "free some space before the next releases")
	}
	return ok("disk", fmt.Sprintf("%d GiB free", free>>30))
}

// earliest is before every time at which this program can run: a clock before
// it has lost its time.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// checkClock holds the clock against what cannot be later than now.
func checkClock(now time.Time, data string) diagnosis {
	if now.Before(earliest) {
		return fail("clock", now.Format(time.RFC3339), "set the clock, and let NTP keep it")
	}
	info, err := os.Stat(filepath.Join(data, repository.DatabaseName))
	if err == nil && info.ModTime().After(now.Add(time.Minute)) {
		return fail("clock", fmt.Sprintf("%s, but the database was written at %s", now.Format(time.RFC3339), info.ModTime().Format(time.RFC3339)),
			"set the clock, and let NTP keep it: the audit log would go back in time")
	}
	return ok("clock", now.UTC().Format(time.RFC3339))
}

// certificateWarning is how long before its end a certificate is spoken of.
const certificateWarning = 30 * 24 * time.Hour

// checkCertificate looks at the server's self-made certificate.
func checkCertificate(now time.Time, c home.ServerConfig) []diagnosis {
	if c.TLSAddress == server.NoTLS {
		return nil
	}
	cert, err := ownCertificate(c.Data)
	switch {
	case missing(err):
		return []diagnosis{warn("certificate", "there is none yet", "ota serve makes one, or takes yours: --cert, --cert-key")}
	case err != nil:
		return []diagnosis{fail("certificate", err.Error(), "restore it from a backup; clients pin it")}
	case now.Before(cert.NotBefore):
		return []diagnosis{fail("certificate", "begins on "+cert.NotBefore.Format(time.DateOnly), "set the clock")}
	case now.After(cert.NotAfter.Add(-certificateWarning)):
		return []diagnosis{warn("certificate", "ends on "+cert.NotAfter.Format(time.DateOnly), "clients that pin it do not mind; others need a new one")}
	}
	return []diagnosis{ok("certificate", "fingerprint "+fingerprintOf(cert))}
}

func ownCertificate(data string) (*x509.Certificate, error) {
	text, err := os.ReadFile(filepath.Join(data, repository.SecretsName, "tls.pem"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("tls.pem: no certificate in it")
	}
	return x509.ParseCertificate(block.Bytes)
}

func fingerprintOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// checkPort tries to listen. A port in use is fine if it is the server's own.
func checkPort(name, address string) diagnosis {
	if address == "" || address == server.NoTLS {
		return ok(name, "not used")
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
		return ok(name, address+" is free")
	}
	conn, dialErr := net.DialTimeout("tcp", dialable(address), time.Second)
	if dialErr != nil {
		return fail(name, err.Error(), "choose another address in server.json or with --listen, --plain; ports below 1024 need a privilege")
	}
	conn.Close()
	return warn(name, address+" is in use", "fine if that is the server itself; otherwise choose another address")
}

// dialable turns an address to listen on into one to connect to.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// checkPublicURL connects to the public URL and looks whether this server
// answers: wrong links behind a proxy are the commonest trouble of all.
func checkPublicURL(ctx context.Context, c home.ServerConfig) diagnosis {
	const name = "public url"
	if c.PublicURL == "" {
		return warn(name, "not set", "say in server.json or with --public-url under which URL devices reach the server")
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || u.Path != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fail(name, c.PublicURL, "want https://HOST or https://HOST:PORT, without a path")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	address := net.JoinHostPort(u.Hostname(), port)
	if u.Scheme == "http" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return fail(name, err.Error(), "start the server, and check DNS and firewall")
		}
		conn.Close()
		return warn(name, c.PublicURL+" has no TLS", "only devices with a device key work over it; give others https")
	}
	// The certificate is compared, not trusted: this is not yet a conversation.
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname()}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fail(name, err.Error(), "start the server, and check DNS, firewall and proxy")
	}
	defer conn.Close()
	answered := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	if own, err := ownCertificate(c.Data); err == nil && own.Equal(answered) {
		return ok(name, c.PublicURL+" reaches this server")
	}
	if err := answered.VerifyHostname(u.Hostname()); err != nil {
		return fail(name, err.Error(), "the certificate there is for another name: check the proxy, or --cert")
	}
	return ok(name, fmt.Sprintf("%s answers with another certificate (%s…), as behind a proxy", c.PublicURL, fingerprintOf(answered)[:16]))
}
