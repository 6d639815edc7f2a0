package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// certificateLife is how long a self-made certificate lasts. Its clients pin
// its fingerprint, and many of them have no clock: an earlier expiry would
// protect nobody and lock fleets out.
const certificateLife = 20 * 365 * 24 * time.Hour

// loadCertificate reads the certificate and key from the files given, or, with
// none given, the self-made pair in dir, which it makes if it is not there.
func loadCertificate(certFile, keyFile, dir string, hosts []string, now time.Time) (tls.Certificate, error) {
	if certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("load TLS certificate %s with key %s: %w", certFile, keyFile, err)
		}
		return cert, nil
	}
	path := filepath.Join(dir, "tls.pem")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = createCertificate(path, hosts, now)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("self-made TLS certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("self-made TLS certificate %s: %w", path, err)
	}
	return cert, nil
}

// createCertificate makes a P-256 key and a certificate signed by itself, both
// in one file: a power cut cannot leave one without the other.
func createCertificate(path string, hosts []string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "secure-ota server"},
		NotBefore:             now.Add(-24 * time.Hour), // clocks differ
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := fsatomic.MkdirAll(fsatomic.OS(), filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	err = fsatomic.CreateFile(fsatomic.OS(), path, text.Bytes(), 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return os.ReadFile(path)
	}
	return text.Bytes(), err
}

// fingerprint returns what clients pin: the SHA-256 of the certificate's DER,
// in hex.
func fingerprint(cert tls.Certificate) string {
	sum := sha256.Sum256(cert.Certificate[0])
	return hex.EncodeToString(sum[:])
}
