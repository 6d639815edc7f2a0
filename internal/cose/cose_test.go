package cose_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

const limit = 8192

func TestSignaturesStayInOrder(t *testing.T) {
	s := cose.Signed{Typ: cose.TypManifest, Payload: []byte{0xa0}}
	for _, kid := range []byte{5, 1, 9, 1, 3} {
		s.Add(cose.Signature{Alg: -37, KID: cose.KID{kid}, Value: []byte{kid, byte(len(s.Signatures))}})
	}
	var kids []byte
	for _, sig := range s.Signatures {
		kids = append(kids, sig.KID[0])
	}
	if !bytes.Equal(kids, []byte{1, 3, 5, 9}) || s.Signatures[0].Value[1] != 3 {
		t.Errorf("signatures %v", s.Signatures)
	}
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := cose.ParseSigned(raw, cose.TypManifest, limit)
	if err != nil || len(again.Signatures) != 4 {
		t.Errorf("%v, %v", again, err)
	}
}

// The first bytes of RFC 9052 section 4.4 written out: what is signed does not
// depend on the code that writes it.
func TestSigStructureIsThatOfTheRFC(t *testing.T) {
	s := cose.Signed{Typ: cose.TypManifest, Payload: []byte("payload")}
	got := s.ToBeSigned(-37, cose.KID{1, 2, 3, 4, 5, 6, 7, 8})
	want := "\x85" + "\x69Signature" + "\x45\xa1\x10\x19\xfe\x4e" + "\x4e\xa2\x01\x38\x24\x04\x48\x01\x02\x03\x04\x05\x06\x07\x08" + "\x40" + "\x47payload"
	if string(got) != want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestEverythingThatIsSignedLooksLikeIt(t *testing.T) {
	s := cose.Signed{Typ: cose.TypKeyset, Payload: bytes.Repeat([]byte{0}, 5000)}
	if !cose.Lookalike(s.ToBeSigned(-37, cose.KID{})) {
		t.Error("a Sig_structure is not recognised")
	}
}

func TestLookalike(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "\x85": false, "\x85\x69": false, "\x85\x69S": true, "\x85\x69Sig": true, "\x84\x64MAC0": true,
		"\x9f\x7f\x69Signature": true, "\x9b\x00\x00\x00\x00\x00\x00\x00\x05\x7b\x00\x00\x00\x00\x00\x00\x00\x09Signature": true,
		"\x85\x69Firmware": false, "\x45\x69Signature": false, "\x85\x49Signature": false, "Signature": false, "\x7fELF": false, "\x85\x69signature": false,
		"\x9b": false, "\x9b\x00\x00": false, "\x85\x7b\x00": false,
		"\x85" + strings.Repeat("\x7f", 1<<20): false,
	} {
		if got := cose.Lookalike([]byte(text)); got != want {
			t.Errorf("%.20q: got %v", text, got)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	if cose.TypReport.String() != "report" || cose.Typ(7).String() != "typ 7" {
		t.Error("a kind has no words")
	}
}

func TestTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	if _, err := cose.ParseSigned(make([]byte, 11), cose.TypManifest, 10); reason.Of(err) != reason.TooLarge {
		t.Errorf("got %v", err)
	}
	if _, err := cose.ParseMac0(make([]byte, 11), cose.TypReport, 10); reason.Of(err) != reason.TooLarge {
		t.Errorf("got %v", err)
	}
}

// seed adds the objects of some files of vectors.
func seed(f *testing.F, files ...string) {
	for _, name := range files {
		for _, v := range tv.Files(f)[name] {
			f.Add(v.Bytes("object"))
		}
	}
}

// What parses is the one encoding of what was parsed.
func FuzzParseSigned(f *testing.F) {
	seed(f, "keyset.txt", "manifest.txt")
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, typ := range []cose.Typ{cose.TypKeyset, cose.TypManifest} {
			s, err := cose.ParseSigned(raw, typ, limit)
			if err != nil {
				continue
			}
			again, err := s.Encode()
			if err != nil || !bytes.Equal(again, raw) {
				t.Fatalf("%x encodes as %x (%v)", raw, again, err)
			}
			for _, sig := range s.Signatures {
				if !cose.Lookalike(s.ToBeSigned(sig.Alg, sig.KID)) {
					t.Fatal("what is signed does not look like a Sig_structure")
				}
			}
		}
	})
}

// What parses and verifies is exactly what Seal writes.
func FuzzParseMac0(f *testing.F) {
	seed(f, "check-request.txt", "check-response.txt", "report.txt")
	key := tv.Files(f)["report.txt"][0].Bytes("up-key")
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, typ := range []cose.Typ{cose.TypCheckRequest, cose.TypCheckResponse, cose.TypReport} {
			m, err := cose.ParseMac0(raw, typ, 1024)
			if err != nil {
				continue
			}
			again := cose.Seal(m.Typ, m.KID, key, m.Payload)
			n := len(raw) - 32
			if !bytes.Equal(again[:n], raw[:n]) {
				t.Fatalf("%x encodes as %x", raw, again)
			}
			if (m.Verify(key) == nil) != bytes.Equal(again, raw) {
				t.Fatalf("%x verifies: %v, though it is not what Seal writes", raw, m.Verify(key))
			}
		}
	})
}
