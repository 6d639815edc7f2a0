package dcbor_test

import (
	"encoding/hex"
	"runtime"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

// inProfile decides about an item of RFC 8949 appendix A by its first bytes and
// by hand: whatever contains a float, a simple value other than false and true,
// a tag, an indefinite length or an integer below -2^63 is outside.
func inProfile(item string) bool {
	switch item[:2] {
	case "f4", "f5": // false, true
		return true
	case "f6", "f7", "f0", "f8", "f9", "fa", "fb": // null, undefined, simple values, floats
		return false
	case "5f", "7f", "9f", "bf": // indefinite lengths
		return false
	case "3b": // a negative integer of 64 bits: -1 - n
		return item[2] < '8'
	}
	if strings.HasPrefix(item, "c") || strings.HasPrefix(item, "d") { // tags
		return false
	}
	// Arrays and maps of the appendix that hold an indefinite one.
	for _, inner := range []string{"9f", "bf"} {
		if (item[0] == '8' || item[0] == 'a') && strings.Contains(item, inner) {
			return false
		}
	}
	return true
}

func TestAppendixA(t *testing.T) {
	var items []struct {
		Hex       string
		Roundtrip bool
	}
	tv.Shared(t, &items, "vectors", "cbor", "rfc8949_appendix_a.json")
	inside := 0
	for _, item := range items {
		raw, err := hex.DecodeString(item.Hex)
		if err != nil {
			t.Fatal(err)
		}
		want := inProfile(item.Hex)
		if err := dcbor.Check(raw); (err == nil) != want {
			t.Errorf("%s: %v, want it accepted: %v", item.Hex, err, want)
		}
		if want {
			inside++
		}
	}
	if len(items) != 82 || inside != 35 {
		t.Errorf("%d items, want 82; %d inside the profile, want 35", len(items), inside)
	}
}

func TestAppendixFIsRefused(t *testing.T) {
	var items []struct{ Hex, Why string }
	tv.Shared(t, &items, "vectors", "cbor", "rfc8949_appendix_f_not_well_formed.json")
	for _, item := range items {
		raw, err := hex.DecodeString(item.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if err := dcbor.Check(raw); reason.Of(err) != reason.Malformed {
			t.Errorf("%s (%s): got %v", item.Hex, item.Why, err)
		}
	}
	if len(items) != 94 {
		t.Errorf("%d items, want 94", len(items))
	}
}

// A few bytes that claim to be a lot must not make anybody reserve it.
func TestClaimedLengthsAllocateNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, claim := range []string{"5bffffffffffffffff", "7b7fffffffffffffff", "9bffffffffffffffff", "bb00000000ffffffff", "9a7fffffff00", "5a7fffffff00"} {
		raw, _ := hex.DecodeString(claim)
		var v any
		if err := dcbor.Unmarshal(raw, &v); reason.Of(err) != reason.Malformed {
			t.Errorf("%s: got %v", claim, err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}
