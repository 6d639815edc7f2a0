package gateway

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// specBytes returns the byte strings of that name in the spec's example.
func specBytes(t *testing.T, name string) (all [][]byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec", "serial.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "## 6.")
	block := regexp.MustCompile(`(?m)^ {4}` + name + ` +((?:[0-9a-f]{2} ?)+(?:\n {12}(?:[0-9a-f]{2} ?)+)*)`)
	for _, m := range block.FindAllStringSubmatch(example, -1) {
		raw, err := hex.DecodeString(strings.Join(strings.Fields(m[1]), ""))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw)
	}
	if len(all) != 2 {
		t.Fatalf("the spec has %d examples of %q, want 2", len(all), name)
	}
	return all
}

func TestTheSpecsExampleIsWhatWeSpeak(t *testing.T) {
	raw, wire := specBytes(t, "raw"), specBytes(t, "wire")
	for i := range wire {
		f, ok := decodeFrame(wire[i][1 : len(wire[i])-1])
		if !ok || !bytes.Equal(f.body, raw[i][lengthSize:len(raw[i])-crcSize]) {
			t.Fatalf("example %d: not decoded", i)
		}
		if !bytes.Equal(encodeFrame(f.body), wire[i]) {
			t.Errorf("example %d: encoded as %x", i, encodeFrame(f.body))
		}
	}
	digest := make([]byte, 32)
	for i := range digest {
		digest[i] = byte(i)
	}
	asked, _ := decodeFrame(wire[0][1 : len(wire[0])-1])
	q, err := decodeQuestion(asked.body)
	want := question{Format: 1, Number: 7, Kind: kindImage, Most: 256, Digest: digest, Offset: 4096}
	if err != nil || !cmp.Equal(q, want) {
		t.Errorf("the question is %+v, %v", q, err)
	}
	answered, _ := decodeFrame(wire[1][1 : len(wire[1])-1])
	var a answer
	if err := dcbor.UnmarshalPayload(answered.body, format, &a); err != nil || a.To != asked.crc || a.Total != 70000 {
		t.Errorf("the answer is %+v, %v", a, err)
	}
	if !bytes.Equal(a.encode(), wire[1]) {
		t.Errorf("the answer is encoded as %x", a.encode())
	}
}

// scanAll returns what a scanner finds.
func scanAll(wire []byte) (frames []frame, texts []string) {
	var s scanner
	for _, b := range wire {
		f := s.next(b)
		if f.frame != nil {
			frames = append(frames, *f.frame)
		}
		if f.text != "" {
			texts = append(texts, f.text)
		}
	}
	return frames, texts
}

// Bodies of bytes that make long runs, and of those that make many zeros.
var bodies = rapid.OneOf(
	rapid.SliceOfN(rapid.Byte(), 1, maxQuestion-lengthSize-crcSize),
	rapid.SliceOfN(rapid.ByteRange(0, 1), 1, 700),
	rapid.SliceOfN(rapid.ByteRange(1, 255), 240, 520),
)

func TestAFrameIsFoundBehindAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := bodies.Draw(t, "body")
		garbage := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "garbage")
		wire := encodeFrame(body)
		if n := lengthSize + len(body) + crcSize; len(wire) > n+(n+maxRun-1)/maxRun+2 {
			t.Fatalf("%d bytes for a frame of %d", len(wire), n)
		}
		if bytes.IndexByte(wire[1:len(wire)-1], 0) >= 0 {
			t.Fatal("a zero in the frame")
		}
		frames, _ := scanAll(append(garbage, wire...))
		if len(frames) == 0 || !bytes.Equal(frames[len(frames)-1].body, body) {
			t.Fatal("not found")
		}
	})
}

// A frame with one change is no frame, whatever the change: so few bits are
// what the CRC is made for, and the length finds a byte more or less.
func TestAChangedFrameIsNone(t *testing.T) {
	body := bytes.Repeat([]byte("firmware\x00\x01"), 60)
	wire := encodeFrame(body)
	refuse := func(what string, changed []byte) {
		t.Helper()
		if frames, _ := scanAll(changed); len(frames) > 0 {
			t.Fatalf("%s: %x is taken for a frame", what, frames[0].body)
		}
	}
	for i := range wire[1 : len(wire)-1] {
		i++
		for bit := range 8 {
			changed := bytes.Clone(wire)
			changed[i] ^= 1 << bit
			refuse("flip", changed)
		}
		refuse("lost", append(bytes.Clone(wire[:i]), wire[i+1:]...))
		refuse("doubled", append(bytes.Clone(wire[:i+1]), wire[i:]...))
	}
}

func TestTextBetweenFramesIsShown(t *testing.T) {
	wire := []byte("boot 1.0.0\r\n\r\nhalf a li")
	wire = append(wire, encodeFrame([]byte{0xa1, 0, 1})...)
	wire = append(wire, "\r\nafter\tit\rover\r\n"...) // what would write over the log's own words
	frames, texts := scanAll(wire)
	if len(frames) != 1 || !cmp.Equal(texts, []string{"boot 1.0.0", "half a li", "after it over"}) {
		t.Errorf("found %d frames, %q", len(frames), texts)
	}
}

// Frames of every length come through, also those whose length byte or first
// block looks like a line feed.
func TestNoFrameIsTakenForText(t *testing.T) {
	for n := 1; n <= maxQuestion-lengthSize-crcSize; n++ {
		for _, fill := range []byte{'a', '\n', 0} {
			body := bytes.Repeat([]byte{fill}, n)
			for zero := range min(n, 20) {
				body[zero] = 0
				frames, texts := scanAll(encodeFrame(body))
				if len(frames) != 1 || len(texts) != 0 {
					t.Fatalf("%d bytes %q: %d frames, texts %q", n, fill, len(frames), texts)
				}
			}
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(encodeFrame([]byte{0xa1, 0, 1}))
	f.Add([]byte("text\n\x00\x05abc\x00"))
	f.Add(bytes.Repeat([]byte{0xff}, 2*maxWire))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var s scanner
		for _, b := range wire {
			got := s.next(b)
			if len(s.buffer) > maxWire {
				t.Fatalf("it keeps %d bytes", len(s.buffer))
			}
			if got.frame == nil {
				continue
			}
			again := encodeFrame(got.frame.body)
			if back, ok := decodeFrame(again[1 : len(again)-1]); !ok || back.crc != got.frame.crc {
				t.Fatalf("%x does not come back", got.frame.body)
			}
		}
	})
}

func FuzzQuestion(f *testing.F) {
	f.Add([]byte{0xa5, 0, 1, 1, 7, 2, 4, 5, 0x69, 's', 'e', 'n', 's', 'o', 'r', '_', 'v', '1', 6, 1})
	f.Add(append([]byte{0xa4, 0, 1, 1, 7, 2, 6, 4, 0x58, 32}, make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decodeQuestion(body)
		if err != nil {
			return
		}
		// What a device says must not lead out of the protocol's paths.
		if path := q.path(); strings.ContainsAny(path, "?#%\\ ") || strings.Count(path, "/") > 4 {
			t.Fatalf("%x asks for %s", body, path)
		}
		again, err := dcbor.Marshal(q)
		if err != nil || len(again) > len(body) {
			t.Fatalf("%x is encoded as %x, %v", body, again, err)
		}
	})
}
