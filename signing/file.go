package signing

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/youmark/pkcs8"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// The errors that callers of LoadPrivateKey tell apart.
var (
	ErrPassphrase   = errors.New("wrong passphrase")
	ErrNoPassphrase = errors.New("the key is encrypted and no passphrase was given")
	ErrPermissions  = errors.New("the key file can be read by others")
	ErrNotPrivate   = errors.New("not a private key")
)

// The PEM types of PKCS#8 (RFC 7468 sections 10 and 11) and of the older RSA
// and EC forms that OpenSSL still writes.
const (
	pemPlain     = "PRIVATE KEY"
	pemEncrypted = "ENCRYPTED PRIVATE KEY"
	pemRSA       = "RSA PRIVATE KEY"
	pemEC        = "EC PRIVATE KEY"

	// "openssl ecparam -genkey" writes the curve's name before the key, which
	// names it again.
	pemECParameters = "EC PARAMETERS"
)

// purposeLine begins the line before the PEM block that tells a key's use.
// Readers of PEM skip such lines (RFC 7468 section 2).
const purposeLine = "secure-ota key, purpose: "

// maxKeyFile bounds what is read of a key file, in bytes.
const maxKeyFile = 64 << 10

// kdf makes one guess of a passphrase cost 16 MiB and about a quarter of a
// second; OpenSSL reads keys with these parameters without options.
var kdf = pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 5}

// A Passphrase is asked for when a key file turns out to be encrypted. Nil
// means that there is none to ask.
type Passphrase func() ([]byte, error)

// SavePrivateKey writes the key as PKCS#8 PEM, file mode 0600, durably. It
// never overwrites a file (fs.ErrExist). With an empty passphrase the key is
// not encrypted.
func (k *Key) SavePrivateKey(path string, passphrase []byte) error {
	text, err := k.MarshalPEM(passphrase)
	if err != nil {
		return fmt.Errorf("save private key %s: %w", path, err)
	}
	if err := fsatomic.CreateFile(fsatomic.OS(), path, text, 0o600); err != nil {
		return fmt.Errorf("save private key: %w", err)
	}
	return nil
}

// MarshalPEM returns what SavePrivateKey writes.
func (k *Key) MarshalPEM(passphrase []byte) ([]byte, error) {
	block := &pem.Block{Type: pemPlain}
	var err error
	if len(passphrase) == 0 {
		block.Bytes, err = x509.MarshalPKCS8PrivateKey(k.private)
	} else {
		block.Type = pemEncrypted
		block.Bytes, err = pkcs8.MarshalPrivateKey(k.private, passphrase, &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: kdf})
	}
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	var text bytes.Buffer
	if k.Purpose != "" {
		fmt.Fprintf(&text, "%s%s\n", purposeLine, k.Purpose)
	}
	err = pem.Encode(&text, block)
	return text.Bytes(), err
}

// LoadPrivateKey reads a PEM private key: PKCS#8, encrypted or not, or the
// older forms that OpenSSL writes, not encrypted. A file that group or others
// can read is refused with ErrPermissions.
func LoadPrivateKey(path string, passphrase Passphrase) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load private key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load private key: %w", err)
	}
	if err := checkMode(info); err != nil {
		return nil, fmt.Errorf("load private key %s: %w", path, err)
	}
	text := make([]byte, min(info.Size(), maxKeyFile))
	if _, err := f.ReadAt(text, 0); err != nil {
		return nil, fmt.Errorf("load private key %s: %w", path, err)
	}
	k, err := ParsePrivateKey(text, passphrase)
	if err != nil {
		return nil, fmt.Errorf("load private key %s: %w", path, err)
	}
	return k, nil
}

// checkMode refuses a key file that others can read. Windows has no such bits.
func checkMode(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: not a regular file", ErrNotPrivate)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("%w: mode %04o, want 0600", ErrPermissions, mode)
	}
	return nil
}

// ParsePrivateKey reads what LoadPrivateKey reads, from memory.
func ParsePrivateKey(text []byte, passphrase Passphrase) (*Key, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == pemECParameters {
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM block found", ErrNotPrivate)
	}
	private, err := parseBlock(block, passphrase)
	if err != nil {
		return nil, err
	}
	k, err := FromPrivate(private)
	if err != nil {
		return nil, err
	}
	k.Purpose = purposeOf(text)
	return k, nil
}

func parseBlock(block *pem.Block, passphrase Passphrase) (any, error) {
	switch block.Type {
	case pemPlain:
		return parsed(x509.ParsePKCS8PrivateKey(block.Bytes))
	case pemEncrypted:
		return decrypt(block.Bytes, passphrase)
	case pemRSA, pemEC:
		if block.Headers["DEK-Info"] != "" {
			return nil, fmt.Errorf("%w: the old PEM encryption is not supported; convert it with \"openssl pkcs8 -topk8 -scrypt\"", ErrNotPrivate)
		}
		if block.Type == pemRSA {
			return parsed(x509.ParsePKCS1PrivateKey(block.Bytes))
		}
		return parsed(x509.ParseECPrivateKey(block.Bytes))
	}
	return nil, fmt.Errorf("%w: the PEM block is a %q", ErrNotPrivate, block.Type)
}

func parsed(private any, err error) (any, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPrivate, err)
	}
	return private, nil
}

func purposeOf(text []byte) string {
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "-----BEGIN") {
			break
		}
		if purpose, ok := strings.CutPrefix(line, purposeLine); ok {
			return strings.TrimSpace(purpose)
		}
	}
	return ""
}
