package testvectors

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// MaxLine is the longest line of a file, in bytes, so that a reader in C can
// have a buffer of fixed size.
const MaxLine = 32 << 10

// A Line is one "key: value".
type Line struct{ Key, Value string }

// A Vector is one object, what is known when it arrives, and the verdict.
type Vector struct {
	Kind   string
	Name   string
	Expect reason.Reason // reason.None: accepted
	lines  []Line        // its own, then those of the file's context that it does not replace
}

// All returns the values of a key, in the order of the file.
func (v Vector) All(key string) []string {
	var values []string
	for _, l := range v.lines {
		if l.Key == key {
			values = append(values, l.Value)
		}
	}
	return values
}

// Lookup returns the value of a key that may be absent.
func (v Vector) Lookup(key string) (string, bool) {
	if all := v.All(key); len(all) > 0 {
		return all[0], true
	}
	return "", false
}

// Text returns the value of a key, "" if it is absent.
func (v Vector) Text(key string) string {
	s, _ := v.Lookup(key)
	return s
}

// Bytes returns the value of a key that holds hex, nil if it is absent. Parse
// has checked the hex.
func (v Vector) Bytes(key string) []byte {
	s, ok := v.Lookup(key)
	if !ok {
		return nil
	}
	raw, _ := hex.DecodeString(s)
	return raw
}

// Uint returns the value of a key that holds a number, 0 if it is absent. Parse
// has checked the number.
func (v Vector) Uint(key string) uint64 {
	n, _ := strconv.ParseUint(v.Text(key), 10, 64)
	return n
}

// hexKeys and numberKeys say which values are not words.
var (
	hexKeys = map[string]bool{
		"item": true, "object": true, "held": true, "key": true, "id": true, "message": true, "signature": true,
		"master": true, "up-key": true, "down-key": true, "up-kid": true, "down-kid": true, "mac-key": true, "document": true,
		"installed-digest": true, "rejected": true, "image-digest": true, "manifest-hash": true, "target": true,
		"release-digest": true, "identity": true, "patch-digest": true,
	}
	numberKeys = map[string]bool{
		"nonce": true, "generation": true, "installed-sequence": true, "floor-epoch": true, "floor-counter": true,
		"slot-size": true, "now": true, "retry-rejected": true, "keyset-version": true, "sequence": true, "security-counter": true,
		"image-size": true, "expires": true, "flags": true, "oldest-return": true, "boot": true, "last-error": true,
		"capabilities": true, "server-time": true, "retry-seconds": true, "manifest-size": true, "event": true, "reason": true,
		"anchor-threshold": true, "root-threshold": true, "release-threshold": true, "security-floor": true,
		"retained-sequence": true, "retained-counter": true, "retained-confirmed": true, "keyset-floor": true, "service-skips-freshness": true,
		"patch-format": true, "patch-size": true, "keys": true, "keysets": true,
	}
)

var lineForm = regexp.MustCompile(`^([a-z][a-z0-9-]*):(?: ([!-~](?:[ -~]*[!-~])?))?$`)

// Parse reads a file and refuses whatever its README does not allow.
func Parse(text []byte) ([]Vector, error) {
	var (
		vectors []Vector
		context []Line
		current []Line
		kind    string
	)
	flush := func() error {
		if current == nil {
			return nil
		}
		v, err := newVector(kind, current, context)
		vectors = append(vectors, v)
		return err
	}
	for i, raw := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if raw == "" || raw[0] == '#' {
			continue
		}
		l, err := parseLine(raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		switch {
		case kind == "" && l.Key != "kind":
			return nil, fmt.Errorf("line %d: the first line must name the kind", i+1)
		case kind == "":
			kind = l.Value
		case l.Key == "vector":
			if err := flush(); err != nil {
				return nil, fmt.Errorf("before line %d: %w", i+1, err)
			}
			current = []Line{l}
		case current == nil:
			context = append(context, l)
		default:
			current = append(current, l)
		}
	}
	if err := flush(); err != nil {
		return nil, fmt.Errorf("last vector: %w", err)
	}
	return vectors, nil
}

func parseLine(raw string) (Line, error) {
	m := lineForm.FindStringSubmatch(raw)
	if m == nil || len(raw) > MaxLine {
		return Line{}, fmt.Errorf("want \"key: value\" of at most %d printable bytes", MaxLine)
	}
	l := Line{m[1], m[2]}
	if hexKeys[l.Key] {
		if b, err := hex.DecodeString(l.Value); err != nil || hex.EncodeToString(b) != l.Value {
			return Line{}, fmt.Errorf("%s: want lower case hex", l.Key)
		}
	}
	if numberKeys[l.Key] {
		if n, err := strconv.ParseUint(l.Value, 10, 64); err != nil || strconv.FormatUint(n, 10) != l.Value {
			return Line{}, fmt.Errorf("%s: want a number", l.Key)
		}
	}
	return l, nil
}

func newVector(kind string, own, context []Line) (Vector, error) {
	v := Vector{Kind: kind, Name: own[0].Value}
	replaced := map[string]bool{}
	for _, l := range own {
		replaced[l.Key] = true
	}
	v.lines = own
	for _, l := range context {
		if !replaced[l.Key] {
			v.lines = append(v.lines, l)
		}
	}
	expect := own[len(own)-1]
	if expect.Key != "expect" {
		return v, fmt.Errorf("vector %q does not end with its expect line", v.Name)
	}
	var err error
	v.Expect, err = parseExpect(expect.Value)
	return v, err
}

func parseExpect(text string) (reason.Reason, error) {
	if text == "accept" {
		return reason.None, nil
	}
	for _, r := range reason.All() {
		if text == expectText(r) {
			return r, nil
		}
	}
	return 0, fmt.Errorf("expect %q: want \"accept\" or \"refuse N words\"", text)
}

func expectText(r reason.Reason) string {
	if r == reason.None {
		return "accept"
	}
	return fmt.Sprintf("refuse %d %s", uint8(r), r)
}

// A Writer writes a file.
type Writer struct {
	buf   bytes.Buffer
	names map[string]bool
}

// NewWriter begins a file of that kind. The comment says what it is about; the
// context lines hold for every vector that does not replace them.
func NewWriter(kind, comment string, context ...Line) *Writer {
	w := &Writer{names: map[string]bool{}}
	fmt.Fprintf(&w.buf, "# %s\n# Written by go run ./internal/testvectors/gen. Format: README.md\n\nkind: %s\n", comment, kind)
	w.lines(context)
	return w
}

// Add writes a vector. What it cannot write in the format is a defect of the
// generator, and panics.
func (w *Writer) Add(name string, expect reason.Reason, lines ...Line) {
	if w.names[name] {
		panic("testvectors: second vector named " + name)
	}
	w.names[name] = true
	fmt.Fprintf(&w.buf, "\nvector: %s\n", name)
	w.lines(lines)
	fmt.Fprintf(&w.buf, "expect: %s\n", expectText(expect))
}

func (w *Writer) lines(lines []Line) {
	for _, l := range lines {
		text := l.Key + ":"
		if l.Value != "" {
			text += " " + l.Value
		}
		if _, err := parseLine(text); err != nil {
			panic("testvectors: " + err.Error())
		}
		w.buf.WriteString(text + "\n")
	}
}

// Bytes returns the file.
func (w *Writer) Bytes() []byte { return w.buf.Bytes() }

// Hex returns a line that holds bytes.
func Hex(key string, value []byte) Line { return Line{key, hex.EncodeToString(value)} }

// Num returns a line that holds a number.
func Num[T ~uint8 | ~uint32 | ~uint64 | ~int](key string, value T) Line {
	return Line{key, strconv.FormatUint(uint64(value), 10)}
}

// Word returns a line that holds words.
func Word(key, value string) Line { return Line{key, value} }
