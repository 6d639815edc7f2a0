package home

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// The errors about keys that callers tell apart.
var (
	ErrNoKey     = errors.New("the home has no such key")
	ErrNoPrivate = errors.New("the home has only the public half of the key")
)

// A Purpose is the one use of a key, in the words of its file.
type Purpose string

// The purposes. That of a release key names its device type: see ReleaseOf.
const (
	ForFirmware Purpose = ""     // bare files: ota sign
	ForRoot     Purpose = "root" // keysets
)

const releasePrefix = "release of "

// ReleaseOf returns the purpose of a release key of a device type.
func ReleaseOf(deviceType string) Purpose { return Purpose(releasePrefix + deviceType) }

// DeviceType returns the device type of a release key.
func (p Purpose) DeviceType() (deviceType string, ok bool) {
	return strings.CutPrefix(string(p), releasePrefix)
}

// String returns the purpose in words.
func (p Purpose) String() string {
	if p == ForFirmware {
		return "firmware files"
	}
	return string(p)
}

// A Key is one key of the home, its private half present or not.
type Key struct {
	Name    string
	Public  trust.PublicKey
	Purpose Purpose
	Private State
}

// A State says what the home has of a private key.
type State string

// The states.
const (
	Absent    State = "absent"
	Plain     State = "not encrypted"
	Encrypted State = "encrypted"
)

// purposeLine is the line of package signing, which public halves carry too:
// where the private half is elsewhere, the use must be known all the same.
const purposeLine = "secure-ota key, purpose: "

// AddKey saves a new key, encrypted unless the passphrase is empty. A key of
// that name is never overwritten (fs.ErrExist).
func (h *Home) AddKey(name string, key *signing.Key, passphrase []byte) (Key, error) {
	if err := h.NameFree(name); err != nil {
		return Key{}, err
	}
	text, err := key.MarshalPEM(passphrase)
	if err != nil {
		return Key{}, fmt.Errorf("add key %s: %w", name, err)
	}
	// The private half first: killed in between, this leaves a file that no
	// keyset can name, never a public key that nobody can sign for.
	if err := h.create(text, 0o600, "keys", escape(name)+".pem"); err != nil {
		return Key{}, fmt.Errorf("add key %s: %w", name, err)
	}
	return h.AddPublicKey(name, key.Public(), Purpose(key.Purpose))
}

// NameFree says whether a key of that name can be added (fs.ErrExist).
func (h *Home) NameFree(name string) error {
	if err := checkKeyName(name); err != nil {
		return fmt.Errorf("add key: %w", err)
	}
	for _, file := range []string{h.PrivatePath(name), h.PublicPath(name)} {
		if _, err := h.fsys.Stat(file); err == nil {
			return fmt.Errorf("add key %s: %s: %w", name, file, fs.ErrExist)
		}
	}
	return nil
}

// maxKeyName is the longest name of a key, in bytes: the names that this
// program makes begin with a device type.
const maxKeyName = 160

const (
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	keyNameChars = alphanumeric + "._-:" // those of manifest.CheckName
)

// checkKeyName says whether s can name a key, and so a file.
func checkKeyName(s string) error {
	if s == "" || len(s) > maxKeyName || strings.Trim(s, keyNameChars) != "" || strings.Trim(s[:1], alphanumeric) != "" {
		return fmt.Errorf("key name %q: want 1 to %d letters, digits, '.', '_', '-' or ':', the first a letter or digit", s, maxKeyName)
	}
	if strings.HasSuffix(s, ".pub") {
		return fmt.Errorf("key name %q: \".pub\" is for public halves", s)
	}
	return nil
}

// UnfinishedKeys lists private keys without a public half: their making was
// interrupted, and no keyset can name them.
func (h *Home) UnfinishedKeys() ([]string, error) {
	names, err := h.names(".pem", "keys")
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := h.fsys.Stat(h.PublicPath(name))
		return strings.HasSuffix(name, ".pub") || err == nil
	}), nil
}

// AddPublicKey saves the public half of a key whose private half is elsewhere.
func (h *Home) AddPublicKey(name string, key trust.PublicKey, purpose Purpose) (Key, error) {
	if err := checkKeyName(name); err != nil {
		return Key{}, fmt.Errorf("add public key: %w", err)
	}
	if err := h.create(PublicText(key, purpose), 0o644, "keys", escape(name)+".pub.pem"); err != nil {
		return Key{}, fmt.Errorf("add public key %s: %w", name, err)
	}
	return h.Key(name)
}

// PublicText returns the PEM of a public key with the line of its purpose,
// which readers of PEM skip.
func PublicText(key trust.PublicKey, purpose Purpose) []byte {
	if purpose == ForFirmware {
		return key.PEM()
	}
	return append([]byte(purposeLine+string(purpose)+"\n"), key.PEM()...)
}

// ParsePublicText reads what PublicText writes.
func ParsePublicText(text []byte) (trust.PublicKey, Purpose, error) {
	key, err := trust.ParsePublicKeyPEM(text)
	line, _, _ := bytes.Cut(text, []byte("\n"))
	purpose, _ := bytes.CutPrefix(line, []byte(purposeLine))
	if len(purpose) == len(line) {
		purpose = nil
	}
	return key, Purpose(bytes.TrimSpace(purpose)), err
}

// Keys returns all keys in the order of their names.
func (h *Home) Keys() ([]Key, error) {
	names, err := h.names(".pub.pem", "keys")
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	keys := make([]Key, 0, len(names))
	for _, name := range names {
		k, err := h.Key(name)
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// Key returns the key of that name (ErrNoKey).
func (h *Home) Key(name string) (Key, error) {
	if checkKeyName(name) != nil {
		return Key{}, fmt.Errorf("key %q: %w", name, ErrNoKey)
	}
	text, err := h.fsys.ReadFile(h.PublicPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, fmt.Errorf("key %s: %w", name, ErrNoKey)
	}
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", name, err)
	}
	k := Key{Name: name}
	if k.Public, k.Purpose, err = ParsePublicText(text); err != nil {
		return Key{}, fmt.Errorf("key %s: %w: %w", name, ErrDamaged, err)
	}
	k.Private, err = h.privateState(name)
	return k, err
}

func (h *Home) privateState(name string) (State, error) {
	text, err := h.fsys.ReadFile(h.PrivatePath(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Absent, nil
	case err != nil:
		return "", fmt.Errorf("key %s: %w", name, err)
	case bytes.Contains(text, []byte("BEGIN ENCRYPTED PRIVATE KEY")):
		return Encrypted, nil
	}
	return Plain, nil
}

// LoadKey reads a private key of the home. The error is ErrNoKey, ErrNoPrivate
// or one of package signing; a private key that does not belong to its public
// half is ErrDamaged.
func (h *Home) LoadKey(name string, passphrase signing.Passphrase) (*signing.Key, error) {
	k, err := h.Key(name)
	if err != nil {
		return nil, err
	}
	private, err := signing.LoadPrivateKey(h.PrivatePath(name), passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key %s: %w", name, ErrNoPrivate)
	}
	if err != nil {
		return nil, err
	}
	if private.Public().ID() != k.Public.ID() {
		return nil, fmt.Errorf("key %s: %w: its two files hold different keys", name, ErrDamaged)
	}
	return private, nil
}

// KeyByID returns the key with that id (ErrNoKey).
func (h *Home) KeyByID(id trust.KeyID) (Key, error) {
	keys, err := h.Keys()
	if err != nil {
		return Key{}, err
	}
	for _, k := range keys {
		if k.Public.ID() == id {
			return k, nil
		}
	}
	return Key{}, fmt.Errorf("key with id %s: %w", id, ErrNoKey)
}

// Ring returns the public halves of all keys.
func (h *Home) Ring() (trust.KeyRing, error) {
	keys, err := h.Keys()
	if err != nil {
		return nil, err
	}
	ring := trust.KeyRing{}
	for _, k := range keys {
		ring[k.Public.ID()] = k.Public
	}
	return ring, nil
}

// UseOf returns the purpose of a key by what this home knows: the words of its
// public half, or a keyset that names it. A copy of a key whose file lost the
// line of its purpose is found by it.
func (h *Home) UseOf(id trust.KeyID) (Purpose, error) {
	k, err := h.KeyByID(id)
	if err == nil && k.Purpose != ForFirmware {
		return k.Purpose, nil
	}
	if err != nil && !errors.Is(err, ErrNoKey) {
		return "", err
	}
	types, err := h.Types()
	if err != nil {
		return "", err
	}
	for _, t := range types {
		raws, err := h.rawKeysets(t)
		if err != nil {
			return "", err
		}
		for _, raw := range raws {
			ks, _, err := trust.ParseKeyset(raw)
			if err != nil {
				return "", fmt.Errorf("keyset of %s: %w: %w", t, ErrDamaged, err)
			}
			if purpose, ok := useIn(ks, id); ok {
				return purpose, nil
			}
		}
	}
	return ForFirmware, nil
}

func useIn(ks *trust.Keyset, id trust.KeyID) (Purpose, bool) {
	for _, k := range ks.Roots {
		if k.ID == id {
			return ForRoot, true
		}
	}
	for _, k := range ks.Releases {
		if k.ID == id {
			return ReleaseOf(ks.DeviceType), true
		}
	}
	return "", false
}

// PrivatePath returns the file of the private key of that name.
func (h *Home) PrivatePath(name string) string {
	return h.path("keys", escape(name)+".pem")
}

// PublicPath returns the file of the public key of that name.
func (h *Home) PublicPath(name string) string {
	return h.path("keys", escape(name)+".pub.pem")
}
