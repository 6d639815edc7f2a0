package trust_test

import (
	"bytes"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

func objects(f *testing.F, file string) []tv.Vector {
	vectors := tv.Files(f)[file]
	for _, v := range vectors {
		f.Add(v.Bytes("object"))
	}
	return vectors
}

func FuzzParseCOSEKey(f *testing.F) {
	objects(f, "cose-key.txt")
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := trust.ParseCOSEKey(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(k.COSEKey(), raw) {
			t.Fatalf("%x encodes as %x", raw, k.COSEKey())
		}
		again, err := trust.ParsePublicKeyPEM(k.PEM())
		if err != nil || again.ID() != k.ID() {
			t.Fatalf("%x does not survive PEM: %v", raw, err)
		}
		if k.Verify([]byte("message"), make([]byte, 256)) == nil {
			t.Fatalf("%x verifies zeros", raw)
		}
	})
}

func FuzzParsePublicKeyPEM(f *testing.F) {
	for _, k := range []*tv.Key{release1, releaseP256, releaseEd} {
		f.Add(k.Public().PEM())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := trust.ParsePublicKeyPEM(text)
		if err != nil {
			return
		}
		again, err := trust.ParseCOSEKey(k.COSEKey())
		if err != nil || again.ID() != k.ID() {
			t.Fatalf("does not survive COSE_Key: %v", err)
		}
	})
}

func FuzzDecodeKeyset(f *testing.F) {
	for _, v := range tv.Files(f)["keyset.txt"] {
		if obj, err := cose.ParseSigned(v.Bytes("object"), cose.TypKeyset, trust.MaxKeyset); err == nil {
			f.Add(obj.Payload)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ks, err := trust.DecodeKeyset(raw)
		if err != nil {
			return
		}
		again, err := ks.Encode()
		if err != nil {
			t.Fatalf("decodes, and does not encode: %v", err)
		}
		if !bytes.Equal(again, raw) && len(again) >= len(raw) { // shorter by what was skipped
			t.Fatalf("%x encodes as %x", raw, again)
		}
	})
}

func FuzzDecodeBundle(f *testing.F) {
	objects(f, "bundle.txt")
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := trust.DecodeBundle(raw)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatalf("decodes, and does not encode: %v", err)
		}
		if !bytes.Equal(again, raw) && len(again) >= len(raw) {
			t.Fatalf("%x encodes as %x", raw, again)
		}
	})
}

// The keys of the vectors are known: what a fuzzer finds to be accepted must be
// one of the objects that were signed, and not its own.
func genuine(vectors []tv.Vector) map[string]bool {
	objects := map[string]bool{}
	for _, v := range vectors {
		objects[string(v.Bytes("object"))] = true
	}
	return objects
}

// FuzzVerify gives arbitrary bytes to a device. An accepted object need not be
// one of the vectors to be genuine: signatures of strangers may have been added
// or taken away. Its payload must be.
func FuzzVerify(f *testing.F) {
	payloads := map[string]bool{}
	for file, typ := range map[string]cose.Typ{"manifest.txt": cose.TypManifest, "keyset.txt": cose.TypKeyset} {
		for _, v := range objects(f, file) {
			if obj, err := cose.ParseSigned(v.Bytes("object"), typ, trust.MaxManifest); err == nil {
				payloads[string(obj.Payload)] = true
			}
		}
	}
	first := tv.Files(f)["manifest.txt"][0]
	ks := must(trust.OpenHeld(first.Bytes("held"), ring))(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, err := ks.VerifyManifest(raw, ring); err == nil {
			obj := must(cose.ParseSigned(raw, cose.TypManifest, trust.MaxManifest))(t)
			if !payloads[string(obj.Payload)] || m.IsZero() {
				t.Fatalf("a manifest that nobody signed: %x", raw)
			}
		}
		if next, err := ks.Accept(raw, ring); err == nil {
			obj := must(cose.ParseSigned(raw, cose.TypKeyset, trust.MaxKeyset))(t)
			if !payloads[string(obj.Payload)] || next.Keyset().Version <= ks.Keyset().Version {
				t.Fatalf("a keyset that nobody signed: %x", raw)
			}
		}
	})
}

func FuzzOpenMessages(f *testing.F) {
	known := map[string]bool{}
	var up, down trust.DeviceKey
	for _, file := range []string{"check-request.txt", "report.txt", "check-response.txt"} {
		vectors := objects(f, file)
		for object := range genuine(vectors) {
			known[object] = true
		}
		if key := vectors[0].Bytes("up-key"); key != nil {
			up = trust.DeviceKey(key)
		} else {
			down = trust.DeviceKey(vectors[0].Bytes("down-key"))
		}
	}
	lookup := func(string, string) (trust.DeviceKey, error) { return up, nil }
	f.Fuzz(func(t *testing.T, raw []byte) {
		check := func(err error) {
			if err == nil && !known[string(raw)] {
				t.Fatalf("a message that nobody sealed: %x", raw)
			}
			if reason.Of(err) == reason.Internal {
				t.Fatalf("a refusal without a reason: %v", err)
			}
		}
		_, err := trust.OpenCheckRequest(raw, lookup)
		check(err)
		_, err = trust.OpenReport(raw, lookup)
		check(err)
		_, err = trust.OpenCheckResponse(raw, down, device.ID, 17)
		check(err)
	})
}
