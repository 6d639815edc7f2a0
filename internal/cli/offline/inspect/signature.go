package inspect

import (
	"encoding/hex"

	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/trust"
)

// signatures explains each signature of an object by itself: by which key, and
// whether it is right. What that is worth, the keyset decides.
func signatures(obj *cose.Signed, c Context) record.Table {
	var t record.Table
	for _, sig := range obj.Signatures {
		t = append(t, explainSignature(obj, sig, c))
	}
	return t
}

func explainSignature(obj *cose.Signed, sig cose.Signature, c Context) record.Record {
	r := record.Record{
		{Name: "kid", Value: hex.EncodeToString(sig.KID[:])},
		{Name: "algorithm", Value: trust.Algorithm(sig.Alg)},
		{Name: "bytes", Value: len(sig.Value)},
		{Name: "signature", Value: "key not at hand"},
		{Name: "key", Value: ""},
	}
	for id, key := range c.Ring {
		if id.KID() != sig.KID || int64(key.Algorithm()) != sig.Alg {
			continue
		}
		r[3].Value = "wrong"
		r[4].Value = c.nameOf(id)
		if key.Verify(obj.ToBeSigned(sig.Alg, sig.KID), sig.Value) == nil {
			r[3].Value = "right"
			break
		}
	}
	return r
}

// nameOf returns what a key is called here, or its id.
func (c Context) nameOf(id trust.KeyID) string {
	if c.Name != nil {
		if name := c.Name(id); name != "" {
			return name
		}
	}
	return id.String()
}

func (c Context) keysetsOf(deviceType string) []trust.VerifiedKeyset {
	if c.Keysets == nil {
		return nil
	}
	return c.Keysets(deviceType)
}
