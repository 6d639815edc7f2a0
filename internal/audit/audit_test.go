package audit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func auditKey(t testing.TB) *signing.Key {
	t.Helper()
	key, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// chain returns a log of n records.
func chain(t testing.TB, n int) []Record {
	t.Helper()
	var log []Record
	var prev Record
	for i := range n {
		r, err := Follow(prev, start.Add(time.Duration(i)*time.Second), Entry{
			Actor: "user:alice", Action: "release.publish", Object: fmt.Sprintf("release:%d", i), Address: "192.0.2.1",
			Before: JSON(map[string]int{"n": i}), After: JSON(map[string]int{"n": i + 1}),
		})
		if err != nil {
			t.Fatal(err)
		}
		log, prev = append(log, r), r
	}
	return log
}

func seq(log []Record) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range log {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func checkpointAt(t testing.TB, r Record, key trust.Signer) []byte {
	t.Helper()
	raw, err := SignCheckpoint(Checkpoint{Seq: r.Seq, Hash: r.Hash, Time: r.Time}, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The example of docs/spec/audit.md.
func TestHashOfTheDocumentedExample(t *testing.T) {
	first, err := Follow(Record{}, time.UnixMilli(1_900_000_000_000), Entry{
		Actor: "user:alice", Action: "release.withdraw", Object: "release:00", Address: "192.0.2.7", After: JSON(map[string]string{"reason": "bug"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Follow(first, time.UnixMilli(1_900_000_000_001), Entry{Actor: "system", Action: "server.stop"})
	if err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(first.Hash[:]) + "\n" + hex.EncodeToString(second.Hash[:])
	const want = "e83d4d2bbf0bdb6254f37e589fcb1c852f057aadcbb437f5ba8410dbb4b1c382\n" +
		"1fdd29704cc3c52fa2900ed218992bb433d2d45a33645a4a2e221d502231adbe"
	if got != want {
		t.Errorf("hashes\n%s\nwant\n%s", got, want)
	}
}

func TestVerifyAcceptsAnUntouchedLog(t *testing.T) {
	key, log := auditKey(t), chain(t, 50)
	checkpoints := [][]byte{checkpointAt(t, log[49], key), checkpointAt(t, log[9], key), checkpointAt(t, log[9], key)}
	got, err := Verify(seq(log), checkpoints, key.Public())
	want := Summary{Records: 50, Head: log[49].Hash, Newest: log[49].Time, Checkpoints: 3, Confirmed: 50}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if empty, err := Verify(seq(nil), nil, key.Public()); err != nil || empty != (Summary{}) {
		t.Errorf("empty log: %+v, %v", empty, err)
	}
}

func TestVerifyPassesReadErrorsOn(t *testing.T) {
	broken := errors.New("broken disk")
	_, err := VerifyChain(func(yield func(Record, error) bool) { yield(Record{}, broken) }, nil)
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestCheckpointRoundTripAndForgeries(t *testing.T) {
	key, other := auditKey(t), auditKey(t)
	want := Checkpoint{Seq: 7, Hash: Hash{1, 2, 3}, Time: start}
	raw, err := SignCheckpoint(want, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCheckpoint(raw, key.Public()); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := OpenCheckpoint(raw, other.Public()); !errors.Is(err, trust.ErrNotEnoughSigners) {
		t.Errorf("by another key: %v", err)
	}
	for i := range raw {
		for bit := range 8 {
			flipped := bytes.Clone(raw)
			flipped[i] ^= 1 << bit
			if _, err := OpenCheckpoint(flipped, key.Public()); err == nil {
				t.Fatalf("bit %d of byte %d flipped: accepted", bit, i)
			}
		}
		if _, err := OpenCheckpoint(raw[:i], key.Public()); err == nil {
			t.Fatalf("cut to %d bytes: accepted", i)
		}
	}
	if _, err := Verify(seq(chain(t, 9)), [][]byte{raw}, other.Public()); !errors.Is(err, trust.ErrNotEnoughSigners) {
		t.Errorf("log with a forged checkpoint: %v", err)
	}
}

func TestEntriesOutsideTheirBoundsAreRefused(t *testing.T) {
	for name, e := range map[string]Entry{
		"no actor":         {Action: "a"},
		"no action":        {Actor: "a"},
		"long actor":       {Actor: strings.Repeat("a", MaxActor+1), Action: "a"},
		"long action":      {Actor: "a", Action: strings.Repeat("a", MaxAction+1)},
		"long object":      {Actor: "a", Action: "a", Object: strings.Repeat("a", MaxObject+1)},
		"long address":     {Actor: "a", Action: "a", Address: strings.Repeat("a", MaxAddress+1)},
		"second line":      {Actor: "a\n2 2030-01-02 root", Action: "a"},
		"escape sequence":  {Actor: "a", Action: "a", Object: "\x1b[2J"},
		"C1 control":       {Actor: "a", Action: "a", Object: "\u009b2J"},
		"right to left":    {Actor: "a\u202e", Action: "a"},
		"line separator":   {Actor: "a", Action: "a", Address: "\u2028"},
		"not UTF-8":        {Actor: "a\xff", Action: "a"},
		"no JSON":          {Actor: "a", Action: "a", After: []byte("{")},
		"two values":       {Actor: "a", Action: "a", After: []byte("1 2")},
		"duplicate names":  {Actor: "a", Action: "a", After: []byte(`{"a":1,"a":2}`)},
		"JSON not UTF-8":   {Actor: "a", Action: "a", Before: []byte("\"\xff\"")},
		"long JSON":        {Actor: "a", Action: "a", Before: JSON(strings.Repeat("a", MaxJSON))},
		"value that fails": {Actor: "a", Action: "a", Before: JSON(make(chan int))},
	} {
		if _, err := Follow(Record{}, start, e); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Else an export would hold a line that no import reads.
func TestATimeThatCannotBeExportedIsRefused(t *testing.T) {
	for _, at := range []time.Time{time.UnixMilli(-1), time.UnixMilli(253_402_300_800_000), {}} {
		if _, err := Follow(Record{}, at, Entry{Actor: "a", Action: "b"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", at, err)
		}
	}
	for _, at := range []time.Time{time.UnixMilli(0), time.UnixMilli(253_402_300_799_999)} {
		r, err := Follow(Record{}, at, Entry{Actor: "a", Action: "b"})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := r.MarshalJSON()
		if err == nil {
			err = new(Record).UnmarshalJSON(raw)
		}
		if err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestRecordPrintsOneLineWhateverItHolds(t *testing.T) {
	r, err := Follow(Record{}, start, Entry{
		Actor: "user:Zoë", Action: "device.rename", Object: "device:1", Address: "::1",
		After: JSON(map[string]string{"name": "a\nb\u202e\u009b\u2028\x7f\x1b[31m"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := r.String()
	const want = `1 2030-01-02T03:04:05.000Z user:Zoë device.rename device:1 from ::1 after {"name":"a\\nb\u202e\u009b\u2028\x7f\\u001b[31m"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// A record that came from elsewhere may hold anything.
	r.Actor, r.Object = "a\r\n", "\xff\x00"
	if got := r.String(); strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == '\uFFFD' }) {
		t.Errorf("prints %q", got)
	}
}

func TestExportAndImportKeepEveryHash(t *testing.T) {
	log := chain(t, 3)
	odd, err := Follow(log[2], start, Entry{
		Actor: "a", Action: "b", Before: []byte(` { "n" : 9007199254740993, "s":"\u0061\/" } `), After: JSON("<>&\u2028"),
	})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := Follow(odd, start, Entry{Actor: "a", Action: "b", After: []byte("null")})
	if err != nil {
		t.Fatal(err)
	}
	log = append(log, odd, bare)
	var file bytes.Buffer
	if err := Export(&file, seq(log)); err != nil {
		t.Fatal(err)
	}
	var got []Record
	for r, err := range Import(bytes.NewReader(file.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if diff := cmp.Diff(log, got); diff != "" {
		t.Error(diff)
	}
	if s, err := VerifyChain(Import(&file), nil); err != nil || s.Records != 5 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestImportRefusesWhatIsNoRecord(t *testing.T) {
	good, err := chain(t, 1)[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"unknown member":     {`"seq"`, `"x":1,"seq"`},
		"other case":         {`"actor"`, `"Actor"`},
		"duplicate":          {`"seq"`, `"seq":1,"seq"`},
		"no actor":           {`"actor":"user:alice",`, ``},
		"no before":          {`"before":{"n":0},`, ``},
		"seq 0":              {`"seq":1`, `"seq":0`},
		"fraction":           {`"seq":1`, `"seq":1.5`},
		"time zone":          {`.000Z`, `.000+00:00`},
		"finer time":         {`.000Z`, `.0001Z`},
		"short hash":         {`"prev_hash":"00`, `"prev_hash":"`},
		"upper case hash":    {`"prev_hash":"00`, `"prev_hash":"AA`},
		"null hash":          {`"prev_hash":"` + strings.Repeat("0", 64) + `"`, `"prev_hash":null`},
		"trailing data":      {`}` + "", `}}`},
		"control characters": {`"user:alice"`, `"user:alice\n"`},
	} {
		changed := strings.Replace(string(good), change[0], change[1], 1)
		if changed == string(good) {
			t.Fatalf("%s changes nothing", name)
		}
		for _, err := range Import(strings.NewReader(changed)) {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	long := strings.Repeat(" ", MaxLine+1)
	for _, err := range Import(strings.NewReader(long)) {
		if err == nil {
			t.Error("an endless line was read")
		}
	}
}

func FuzzImport(f *testing.F) {
	good, err := chain(f, 1)[0].MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"seq":1}`))
	f.Add(slices.Concat(good, []byte("\n"), good))
	f.Fuzz(func(t *testing.T, data []byte) {
		for r, err := range Import(bytes.NewReader(data)) {
			if err != nil {
				return
			}
			again, err := r.MarshalJSON()
			if err != nil {
				t.Fatalf("read %q but cannot write it: %v", data, err)
			}
			var back Record
			if err := back.UnmarshalJSON(again); err != nil {
				t.Fatalf("wrote %s but cannot read it: %v", again, err)
			}
			if diff := cmp.Diff(r, back); diff != "" {
				t.Fatal(diff)
			}
			if strings.ContainsAny(r.String(), "\r\n\x1b") {
				t.Fatalf("prints %q", r.String())
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	key := auditKey(f)
	f.Add(checkpointAt(f, chain(f, 1)[0], key))
	f.Add([]byte{0xd8, 98, 0x84})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCheckpoint(data)
		if err != nil {
			return
		}
		if c.Seq < 1 || c.Time.UnixMilli() < 0 {
			t.Fatalf("%x parses as %+v", data, c)
		}
		if _, err := OpenCheckpoint(data, key.Public()); err == nil && !bytes.Equal(data, checkpointAt(t, chain(t, 1)[0], key)) {
			t.Fatalf("%x verifies", data)
		}
	})
}
