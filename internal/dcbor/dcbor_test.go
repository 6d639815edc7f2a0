package dcbor_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

// example is a payload with one field of each kind.
type example struct {
	Format uint64   `cbor:"0,keyasint"`
	Name   string   `cbor:"1,keyasint"`
	ID     []byte   `cbor:"2,keyasint"`
	List   []string `cbor:"3,keyasint,omitempty"`
	Flag   bool     `cbor:"4,keyasint,omitempty"`
	Small  uint8    `cbor:"5,keyasint,omitempty"`
}

func decode(t *testing.T, text string) (example, error) {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var e example
	return e, dcbor.UnmarshalPayload(raw, 1, &e)
}

func TestPayloadsOfOneEncodingAreDecoded(t *testing.T) {
	for name, text := range map[string]string{
		"required fields":             "a3 0001 016161 024101",
		"every field":                 "a6 0001 016161 024101 03816178 04f5 0501",
		"a field that may be skipped": "a4 0001 016161 024101 1880 8201a1617802",
		"the largest key":             "a4 0001 016161 024101 1b7fffffffffffffff00",
	} {
		if _, err := decode(t, strip(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPayloadsOfAnotherEncodingAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want reason.Reason
	}{
		"no map":                    {"80", reason.Malformed},
		"a text key":                {"a4 0001 016161 024101 616100", reason.Malformed},
		"a key over 63 bits":        {"a4 0001 016161 024101 1b800000000000000000", reason.Malformed},
		"no format":                 {"a2 016161 024101", reason.InvalidField},
		"format as text":            {"a3 006131 016161 024101", reason.InvalidField},
		"format 2":                  {"a3 0002 016161 024101", reason.Unsupported},
		"critical field 127":        {"a4 0001 016161 024101 187f00", reason.Unsupported},
		"negative field":            {"a4 0001 016161 024101 2000", reason.Unsupported},
		"a field missing":           {"a2 0001 016161", reason.InvalidField},
		"bytes for text":            {"a3 0001 014161 024101", reason.InvalidField},
		"text for bytes":            {"a3 0001 016161 026101", reason.InvalidField},
		"numbers for bytes":         {"a3 0001 016161 028101", reason.InvalidField},
		"a number over 8 bits":      {"a4 0001 016161 024101 05190100", reason.InvalidField},
		"an empty list spelled out": {"a4 0001 016161 024101 0380", reason.InvalidField},
		"false spelled out":         {"a4 0001 016161 024101 04f4", reason.InvalidField},
		"zero spelled out":          {"a4 0001 016161 024101 0500", reason.InvalidField},
		"a number for a boolean":    {"a4 0001 016161 024101 0401", reason.InvalidField},
	} {
		if e, err := decode(t, strip(c.text)); reason.Of(err) != c.want {
			t.Errorf("%s: got %v and %+v, want %v", name, err, e, c.want)
		}
	}
}

func strip(s string) string { return string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)) }

// The decoder behind Unmarshal takes arrays of numbers for byte strings; what
// comes out of it must encode to what went in.
func TestUnmarshalTakesOneEncoding(t *testing.T) {
	type pair struct {
		_ struct{} `cbor:",toarray"`
		A []byte
		B string
	}
	var p pair
	good, _ := hex.DecodeString("8241016161")
	if err := dcbor.Unmarshal(good, &p); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"8281016161", "824101", "8341016161f5", "8241014161", "a0"} {
		raw, _ := hex.DecodeString(text)
		if err := dcbor.Unmarshal(raw, &p); reason.Of(err) != reason.Malformed {
			t.Errorf("%s: got %v and %+v", text, err, p)
		}
	}
}

func TestPeekReadsWhatItIsAskedForAndChecksTheRest(t *testing.T) {
	var sender struct {
		Name string `cbor:"1,keyasint"`
	}
	for text, want := range map[string]reason.Reason{
		"a3000101616102f5": reason.None, "a3000101616102f6": reason.Malformed, "a10101": reason.InvalidField, "80": reason.Malformed, "a141610101": reason.Malformed,
	} {
		raw, _ := hex.DecodeString(text)
		if err := dcbor.Peek(raw, &sender); reason.Of(err) != want {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
	}
	if sender.Name != "a" {
		t.Errorf("read %q", sender.Name)
	}
}

func FuzzCheck(f *testing.F) {
	for _, v := range tv.Files(f)["cbor.txt"] {
		f.Add(v.Bytes("item"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := dcbor.Check(data)
		if want := libraryVerdict(data); (got == nil) != want {
			t.Fatalf("%x: %v, the library and its encoder say %v", data, got, want)
		}
	})
}

// FuzzUnmarshalPayload: the short way through a payload and the long one give
// the same verdict and the same fields.
func FuzzUnmarshalPayload(f *testing.F) {
	for _, text := range []string{
		"a30001016161024101", "a6000101616102410103816178 04f50501", "a4000101616102410118808201a1617802", "a3000201616102410 1",
		"a4000101616102410104f4", "a30001016161028101", "a300181801616102 4101", "a4 0001 016161 024101 0680",
	} {
		raw, err := hex.DecodeString(strip(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint64(1))
		f.Add(raw, uint64(24))
	}
	f.Fuzz(func(t *testing.T, raw []byte, format uint64) {
		var short, long example
		shortErr, longErr := dcbor.UnmarshalPayload(raw, format, &short), dcbor.UnmarshalFields(raw, format, &long)
		if reason.Of(shortErr) != reason.Of(longErr) || shortErr == nil && !reflect.DeepEqual(short, long) {
			t.Errorf("%x: %+v, %v\nbut field by field %+v, %v", raw, short, shortErr, long, longErr)
		}
	})
}

func TestAppendBytesEncodesAsTheLibraryDoes(t *testing.T) {
	for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536} {
		want, err := dcbor.Marshal(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if got := dcbor.AppendBytes([]byte{7}, make([]byte, n)); !bytes.Equal(got[1:], want) || got[0] != 7 {
			t.Errorf("%d bytes: head %x, want %x", n, got[1:min(len(got), 6)], want[:min(len(want), 5)])
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, v := range tv.Files(b)["manifest.txt"] {
		if v.Name != "every field of a plain release" {
			continue
		}
		body := v.Bytes("object")[2:] // without its tag
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if err := dcbor.Check(body); err != nil {
				b.Fatal(err)
			}
		}
	}
}
