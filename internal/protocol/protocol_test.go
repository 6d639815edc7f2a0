package protocol

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
)

func TestALimitForgetsAndNeverGrows(t *testing.T) {
	l, now := NewLimit[int](1, 2), time.Unix(1_800_000_000, 0)
	for i := range MaxLimited + 100 {
		if l.Allow(i, now) != 0 {
			t.Fatal("a new key was refused")
		}
	}
	if len(l.byKey) != MaxLimited || l.recent.Len() != MaxLimited {
		t.Errorf("%d keys are remembered, at most %d", len(l.byKey), MaxLimited)
	}
	if _, ok := l.byKey[0]; ok {
		t.Error("the oldest is still there")
	}
}

func TestALimitSaysWhenToComeAgain(t *testing.T) {
	l, now := NewLimit[string](0.5, 2), time.Unix(1_800_000_000, 0)
	for range 2 {
		if l.Exhausted("a", now) != 0 || l.Allow("a", now) != 0 {
			t.Fatal("the burst is not allowed")
		}
	}
	for range 3 { // a refusal takes nothing
		if wait := l.Allow("a", now); wait != 2*time.Second {
			t.Errorf("wait %s", wait)
		}
		if wait := l.Exhausted("a", now); wait != 2*time.Second {
			t.Errorf("exhausted for %s", wait)
		}
	}
	if l.Allow("b", now) != 0 || l.Allow("a", now.Add(2*time.Second)) != 0 {
		t.Error("another key, or the same one later, was refused")
	}
}

func TestAddresses(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::", "[fe80::1%eth0]:80": "fe80::",
	} {
		if got := Address(&http.Request{RemoteAddr: remote}); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
	if Address(&http.Request{RemoteAddr: "pipe"}).IsValid() {
		t.Error("a pipe has an address")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	for _, length := range []int64{10, -1} { // announced and not
		r := &http.Request{Body: io.NopCloser(strings.NewReader("0123456789")), ContentLength: length}
		if raw, err := Body(r, 10); err != nil || len(raw) != 10 {
			t.Errorf("%q, %v", raw, err)
		}
		r = &http.Request{Body: io.NopCloser(strings.NewReader("0123456789")), ContentLength: length}
		if _, err := Body(r, 9); !errors.Is(err, reason.TooLarge) {
			t.Errorf("length %d: %v", length, err)
		}
	}
	r := &http.Request{Body: io.NopCloser(strings.NewReader("01234")), ContentLength: 10}
	if _, err := Body(r, 10); !errors.Is(err, reason.Malformed) {
		t.Errorf("a body that breaks off: %v", err)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":"x"}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v struct {
			A uint64 `json:"a"`
			B string `json:"b"`
		}
		if err := DecodeJSON(raw, &v); err != nil && !errors.Is(err, reason.Malformed) {
			t.Errorf("%v", err)
		}
	})
}

func TestAClientIsToldWhatIsWrongAndNothingOfOurTypes(t *testing.T) {
	for body, want := range map[string]string{
		`{"nonce":"17"}`:   `at "/nonce"`,
		`{"nonce":1.5}`:    `at "/nonce"`,
		`{"surplus":1}`:    `unknown object member name`,
		`{"nonce":1}{}`:    `after top-level value`,
		`[]`:               `of another kind`,
		`{"nonce":1,`:      `unexpected EOF`,
		`{"at":"tomorrow"`: `cannot parse`,
	} {
		err := DecodeJSON([]byte(body), &struct {
			Nonce uint64    `json:"nonce"`
			At    time.Time `json:"at"`
		}{})
		if !errors.Is(err, reason.Malformed) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), " Go ") {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}
