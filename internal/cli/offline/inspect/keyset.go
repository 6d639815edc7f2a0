package inspect

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/trust"
)

func explainKeyset(data []byte, obj *cose.Signed, c Context) (Result, error) {
	ks, err := trust.DecodeKeyset(obj.Payload)
	if err != nil {
		return Result{}, err
	}
	r := Result{Record: start("keyset", data)}
	r.Record = append(r.Record, KeysetFields(ks, c)...)
	r.Record.Add("signatures", signatures(obj, c))
	r.conclude(judgeKeyset(data, ks, c))
	return r, nil
}

// KeysetFields shows what a keyset says.
func KeysetFields(ks *trust.Keyset, c Context) record.Record {
	return record.Record{
		{Name: "vendor", Value: ks.Vendor},
		{Name: "device type", Value: ks.DeviceType},
		{Name: "keyset version", Value: ks.Version},
		{Name: "roots", Value: signerKeys(ks.Roots, c)},
		{Name: "root threshold", Value: ks.RootThreshold, Note: fmt.Sprintf("of %d keys", len(ks.Roots))},
		{Name: "release keys", Value: signerKeys(ks.Releases, c)},
		{Name: "release threshold", Value: ks.ReleaseThreshold, Note: fmt.Sprintf("of %d keys", len(ks.Releases))},
		{Name: "security floor", Value: ks.SecurityFloor},
		{Name: "service port skips freshness", Value: ks.ServiceSkipsFreshness},
	}
}

func signerKeys(keys []trust.SignerKey, c Context) record.Table {
	var t record.Table
	for _, k := range keys {
		r := record.Record{
			{Name: "key id", Value: k.ID},
			{Name: "algorithm", Value: k.Algorithm},
		}
		if k.Epoch != 0 {
			r.Add("epoch", k.Epoch)
		}
		name := ""
		if n := c.nameOf(k.ID); n != k.ID.String() {
			name = n
		}
		r.Add("name", name)
		t = append(t, r)
	}
	return t
}

// judgeKeyset holds a keyset against its own roots and, by the rule of
// rotation, against the keysets held.
func judgeKeyset(data []byte, ks *trust.Keyset, c Context) (Verdict, error, string) {
	own := fmt.Sprintf("its own roots, %d of %d", ks.RootThreshold, len(ks.Roots))
	if !anyKnown(ks.Roots, c.Ring) {
		return Unchecked, nil, own + "; their public keys are not at hand"
	}
	if _, err := trust.OpenHeld(data, c.Ring); err != nil {
		return Refused, err, own
	}
	var before trust.VerifiedKeyset
	for _, held := range c.keysetsOf(ks.DeviceType) {
		if string(held.Bytes()) == string(data) {
			return Verified, nil, fmt.Sprintf("it is keyset version %d held here", ks.Version)
		}
		if held.Keyset().Version < ks.Version {
			before = held
		}
	}
	if before.IsZero() {
		return Verified, nil, own + "; a device takes it if these are the roots it was provisioned with"
	}
	against := fmt.Sprintf("keyset version %d held here, and %s", before.Keyset().Version, own)
	if _, err := before.Accept(data, c.Ring); err != nil {
		return Refused, err, against
	}
	return Verified, nil, against
}

func anyKnown(keys []trust.SignerKey, ring trust.KeyRing) bool {
	for _, k := range keys {
		if _, ok := ring[k.ID]; ok {
			return true
		}
	}
	return false
}
