package inspect

import (
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// explainPEM explains a public or private key. Of an encrypted private key it
// tells what can be told without the passphrase.
func explainPEM(data []byte, c Context) (Result, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return Result{}, fmt.Errorf("PEM: %w: the block is damaged", trust.ErrMalformed)
	}
	if block.Type == "PUBLIC KEY" {
		k, purpose, err := home.ParsePublicText(data)
		if err != nil {
			return Result{}, err
		}
		return explainPublicKey("public key", data, k, purpose, c), nil
	}
	if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return Result{}, fmt.Errorf("%w: a PEM block %q", ErrUnknown, block.Type)
	}
	return explainPrivateKey(data, block.Type, c)
}

func explainPrivateKey(data []byte, pemType string, c Context) (Result, error) {
	r := Result{Record: start("private key", data)}
	r.Record.Addn("form", pemType, "PEM")
	k, err := signing.ParsePrivateKey(data, nil)
	if errors.Is(err, signing.ErrNoPassphrase) {
		r.Record.Add("encrypted", true)
		r.conclude(Unchecked, nil, "nothing: what key it is stands inside, encrypted")
		return r, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("private key: %w: %w", trust.ErrMalformed, err)
	}
	r.Record.Addn("encrypted", false, "whoever can read the file can sign")
	r.addKey(k.Public(), home.Purpose(k.Purpose), c)
	r.conclude(Unchecked, nil, "the keysets that name it")
	return r, nil
}

func explainPublicKey(kind string, data []byte, k trust.PublicKey, purpose home.Purpose, c Context) Result {
	r := Result{Record: start(kind, data)}
	r.addKey(k, purpose, c)
	r.conclude(Unchecked, nil, "the keysets that name it")
	return r
}

func (r *Result) addKey(k trust.PublicKey, purpose home.Purpose, c Context) {
	kid := k.ID().KID()
	r.Record.Add("algorithm", k.Algorithm())
	r.Record.Add("bits", k.Bits())
	r.Record.Add("key id", k.ID())
	r.Record.Add("kid", hex.EncodeToString(kid[:]))
	r.Record.Add("purpose", purpose)
	if name := c.nameOf(k.ID()); name != k.ID().String() {
		r.Record.Addn("name", name, "in the home")
	}
}

// explainDER explains a key without its PEM armour.
func explainDER(data []byte, c Context) (Result, error) {
	for _, pemType := range []string{"PUBLIC KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"} {
		text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: data})
		if r, err := explainPEM(text, c); err == nil {
			r.Record[1].Value = len(data)
			return r, nil
		}
	}
	return Result{}, fmt.Errorf("%w: DER, but no key", ErrUnknown)
}

func explainBare(data []byte, _ Context) (Result, error) {
	r := Result{Record: start("bare signature", data)}
	r.Record.Add("algorithm", "RSASSA-PSS, RSA-2048, SHA-256, MGF1-SHA-256, salt 32")
	r.conclude(Unchecked, nil, "its file and public key: ota verify FILE --public-key P --signature S")
	return r, nil
}

func explainBareMAC(data []byte, _ Context) (Result, error) {
	r := Result{Record: start("bare MAC", data)}
	r.Record.Addn("algorithm", "HMAC-SHA-256", "or any other 32 bytes: nothing marks them")
	r.conclude(Unchecked, nil, "its file and MAC key: ota verify FILE --hmac-key K --signature S")
	return r, nil
}
