package main

import (
	"bytes"
	"math/big"
	"slices"
	"strconv"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

func algorithmText(k *tv.Key) string { return strconv.FormatInt(int64(k.Public().Algorithm()), 10) }

// plusModulus is the other number with the same power: s + n.
func plusModulus(k *tv.Key, message []byte) []byte {
	sig, _ := k.Sign(message)
	n, _ := k.RSA()
	return new(big.Int).Add(new(big.Int).SetBytes(sig), n).Bytes()
}

// A named is an item and what it is.
type named struct {
	name string
	item []byte
}

// outside are items that are well-formed CBOR, most of them, and outside the
// profile, each for one reason.
func outside() []named {
	return []named{
		{"half float", []byte{0xf9, 0x3c, 0x00}},
		{"single float", []byte{0xfa, 0x3f, 0x80, 0x00, 0x00}},
		{"double float", []byte{0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0}},
		{"null", []byte{0xf6}},
		{"undefined", []byte{0xf7}},
		{"simple value 16", []byte{0xf0}},
		{"simple value 255", []byte{0xf8, 0xff}},
		{"true in two bytes", []byte{0xf8, 0x15}},
		{"tag", []byte{0xc1, 0x00}},
		{"bignum", []byte{0xc2, 0x41, 0x01}},
		{"negative integer below -2^63", head(1, 1<<63)},
		{"array of 65", array(repeat(65, num(0))...)},
		{"map of 65", manyPairs(65)},
		{"seven levels", nested(7, num(0))},
		{"array of indefinite length", []byte{0x9f, 0xff}},
		{"map of indefinite length", []byte{0xbf, 0xff}},
		{"byte string of indefinite length", []byte{0x5f, 0xff}},
		{"text of indefinite length", []byte{0x7f, 0xff}},
		{"break alone", []byte{0xff}},
		{"reserved head", []byte{0x1c}},
		{"number in two bytes", wide(0, 1, 23)},
		{"number in three bytes", wide(0, 2, 255)},
		{"number in five bytes", wide(0, 4, 65535)},
		{"number in nine bytes", wide(0, 8, 1<<32-1)},
		{"negative number in two bytes", wide(1, 1, 23)},
		{"byte string length in two bytes", append(wide(2, 1, 1), 'a')},
		{"text length in two bytes", append(wide(3, 1, 1), 'a')},
		{"array length in two bytes", append(wide(4, 1, 1), 0)},
		{"map length in two bytes", append(wide(5, 1, 1), 0, 0)},
		{"text that is not UTF-8", []byte{0x61, 0xff}},
		{"text with half a surrogate pair", []byte{0x63, 0xed, 0xa0, 0x80}},
		{"text with an overlong character", []byte{0x62, 0xc0, 0x80}},
		{"map not sorted", pairs(num(2), num(0), num(1), num(0))},
		{"map sorted by length first", pairs(integer(-1), num(0), num(100), num(0))},
		{"map with a key twice", pairs(num(1), num(0), num(1), num(0))},
		{"map with an array as key", pairs(array(), num(0))},
		{"map with a map as key", pairs(pairs(), num(0))},
		{"map with a boolean as key", pairs(boolean(true), num(0))},
	}
}

func repeat(n int, item []byte) [][]byte {
	items := make([][]byte, n)
	for i := range items {
		items[i] = item
	}
	return items
}

func manyPairs(n int) []byte {
	var items [][]byte
	for i := range n {
		items = append(items, num(uint64(i)), num(0))
	}
	return pairs(items...)
}

// extra returns the encoding with one more pair at the end, where keys of other
// types belong.
func (p payload) extra(key []byte) []byte {
	raw := slices.Concat(p.encode(), key, num(1))
	raw[0]++
	return raw
}

// commonPayload adds what is wrong with any payload whose required fields are
// among 1 to last: CBOR outside the profile, formats and fields not known.
func commonPayload(add func(string, reason.Reason, []byte), good payload, last int64) {
	malformed := func(name string, p []byte) { add("payload: "+name, reason.Malformed, p) }
	raw := good.encode()
	malformed("empty", nil)
	malformed("a byte after it", append(slices.Clone(raw), 0))
	malformed("a byte short", raw[:len(raw)-1])
	malformed("an array", array(num(1)))
	malformed("a number", num(1))
	malformed("head not the shortest", append(wide(5, 1, uint64(len(good))), raw[1:]...))
	malformed("of indefinite length", slices.Concat([]byte{0xbf}, raw[1:], []byte{0xff}))
	malformed("a text key", good.extra(tstr("a")))
	malformed("a byte string key", good.extra(bstr([]byte{1})))
	malformed("a key above 2^63 - 1", good.extra(num(1<<63)))
	swapped := slices.Clone(good)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	malformed("fields not sorted", swapped.encode())
	malformed("a field twice", slices.Insert(slices.Clone(good), 1, good[0]).encode())
	for _, o := range outside() {
		if o.name == "seven levels" {
			o.item = nested(6, num(0)) // the payload is a level itself
		}
		malformed("in a field that may be skipped: "+o.name, good.with(128, o.item).encode())
	}
	add("payload: format 2", reason.Unsupported, good.with(0, num(2)).encode())
	add("payload: format 0", reason.Unsupported, good.with(0, num(0)).encode())
	add("payload: format in words", reason.InvalidField, good.with(0, tstr("1")).encode())
	add("payload: no format", reason.InvalidField, good.without(0).encode())
	add("payload: critical field 127", reason.Unsupported, good.with(127, num(1)).encode())
	add("payload: negative field", reason.Unsupported, good.extra(integer(-1)))
	for k := int64(1); k <= last; k++ {
		i := slices.IndexFunc(good, func(f field) bool { return f.key == k })
		if i < 0 {
			continue
		}
		key := strconv.FormatInt(k, 10)
		add("payload: field "+key+" missing", reason.InvalidField, good.without(k).encode())
		add("payload: field "+key+" of another type", reason.InvalidField, good.with(k, boolean(true)).encode())
	}
}

// envelopes adds what is wrong with any COSE_Sign whose threshold the first two
// keys reach, whatever is in it.
func envelopes(f *tv.Writer, typ, otherTyp uint64, p payload, maxPayload int, a, b *tv.Key) {
	body, good := p.encode(), by(a, b)
	slices.SortFunc(good, func(x, y signature) int { return bytes.Compare(x.kidBytes(), y.kidBytes()) })
	e := envelope{body: typHeader(typ), payload: body, sigs: good}
	add := func(name string, expect reason.Reason, raw []byte) {
		f.Add("envelope: "+name, expect, tv.Hex("object", raw))
	}
	malformed := func(name string, change func(*envelope)) {
		c := e
		c.sigs = slices.Clone(e.sigs)
		change(&c)
		add(name, reason.Malformed, c.encode())
	}
	wire := func(name string, rewrite func(p [][]byte) []byte) {
		malformed(name, func(e *envelope) { e.wire = rewrite })
	}
	raw := e.encode()
	add("empty", reason.Malformed, nil)
	add("a byte after it", reason.Malformed, append(slices.Clone(raw), 0))
	add("a byte short", reason.Malformed, raw[:len(raw)-1])
	malformed("without its tag", func(e *envelope) { e.tag = []byte{} })
	malformed("tag not the shortest", func(e *envelope) { e.tag = wide(6, 2, 98) })
	malformed("tag of COSE_Sign1", func(e *envelope) { e.tag = head(6, 18) })
	malformed("tag twice", func(e *envelope) { e.tag = append(head(6, 98), head(6, 98)...) })
	malformed("self-described CBOR", func(e *envelope) { e.tag = append(head(6, 55799), head(6, 98)...) })
	malformed("body header in the unprotected map too", func(e *envelope) { e.unprotected = typHeader(typ) })
	malformed("typ in the unprotected map alone", func(e *envelope) { e.body, e.unprotected = pairs(), typHeader(typ) })
	malformed("body header empty string", func(e *envelope) { e.body = []byte{} })
	malformed("body header with one parameter more", func(e *envelope) { e.body = pairs(num(3), num(0), num(16), num(typ)) })
	malformed("body header not the shortest", func(e *envelope) { e.body = append([]byte{0xb8, 1}, e.body[1:]...) })
	malformed("body header with a byte after it", func(e *envelope) { e.body = append(slices.Clone(e.body), 0) })
	malformed("typ in words", func(e *envelope) { e.body = pairs(num(16), tstr("application/x")) })
	malformed("typ negative", func(e *envelope) { e.body = pairs(num(16), integer(-1)) })
	malformed("typ as a text key", func(e *envelope) { e.body = pairs(tstr("typ"), num(typ)) })
	wire("array of three", func(p [][]byte) []byte { return array(p[0], p[1], p[2]) })
	wire("array of five", func(p [][]byte) []byte { return array(p[0], p[1], p[2], p[3], num(0)) })
	wire("array of indefinite length", func(p [][]byte) []byte {
		return slices.Concat([]byte{0x9f}, slices.Concat(p...), []byte{0xff})
	})
	wire("array head not the shortest", func(p [][]byte) []byte { return append(wide(4, 1, 4), slices.Concat(p...)...) })
	wire("payload detached", func(p [][]byte) []byte { return array(p[0], p[1], []byte{0xf6}, p[3]) })
	wire("payload as text", func(p [][]byte) []byte { return array(p[0], p[1], append(head(3, 1), 'a'), p[3]) })
	wire("payload length not the shortest", func(p [][]byte) []byte {
		return array(p[0], p[1], append(wide(2, 4, uint64(len(body))), body...), p[3])
	})
	wire("payload in chunks", func(p [][]byte) []byte {
		return array(p[0], p[1], slices.Concat([]byte{0x5f}, p[2], []byte{0xff}), p[3])
	})
	wire("body header as an array of numbers", func(p [][]byte) []byte { return array(numbers(e.body), p[1], p[2], p[3]) })
	wire("unprotected headers as an array", func(p [][]byte) []byte { return array(p[0], array(), p[2], p[3]) })
	wire("signatures as a map", func(p [][]byte) []byte { return array(p[0], p[1], p[2], pairs()) })
	wire("signatures as a byte string", func(p [][]byte) []byte { return array(p[0], p[1], p[2], bstr(p[3])) })
	wire("signatures detached", func(p [][]byte) []byte { return array(p[0], p[1], p[2], []byte{0xf6}) })
	add("another kind of object", reason.WrongKind, sign(otherTyp, body, good...))
	add("a kind that nobody knows", reason.WrongKind, sign(1, body, good...))
	envelopeSignatures(malformed, good)
	hints := func(n int) (sigs []signature) {
		for i := range n {
			sigs = append(sigs, signature{kid: bytes.Repeat([]byte{byte(i)}, 8), alg: -37, value: garbage(64)})
		}
		return sigs
	}
	add("eight signatures", reason.None, sign(typ, body, append(hints(6), good...)...))
	add("nine signatures", reason.TooLarge, sign(typ, body, append(hints(7), good...)...))
	stuffed := func(n int) []byte {
		return sign(typ, body, append(slices.Clone(good), signature{kid: make([]byte, 8), alg: -999, value: garbage(n)})...)
	}
	add("a foreign signature of 5,120 bytes", reason.None, stuffed(5120))
	add("a foreign signature of 5,121 bytes", reason.TooLarge, stuffed(5121))
	full := func(size int) []byte {
		two := func(n int) []byte {
			return sign(typ, body, append(slices.Clone(good),
				signature{kid: make([]byte, 8), alg: -999, value: garbage(4000)}, signature{kid: bytes.Repeat([]byte{1}, 8), alg: -999, value: garbage(n)})...)
		}
		return two(size - len(two(1000)) + 1000)
	}
	add("8,192 bytes", reason.None, full(8192))
	add("8,193 bytes", reason.TooLarge, full(8193))
	padded := func(size int) []byte {
		pad := func(n int) []byte { return p.with(200, bstr(make([]byte, n))).encode() }
		return sign(typ, pad(size-len(pad(300))+300), good...)
	}
	add("a payload of "+strconv.Itoa(maxPayload)+" bytes", reason.None, padded(maxPayload))
	add("a payload of "+strconv.Itoa(maxPayload+1)+" bytes", reason.TooLarge, padded(maxPayload+1))
}

// envelopeSignatures makes the first signature's frame wrong in one way.
func envelopeSignatures(malformed func(string, func(*envelope)), good []signature) {
	s := good[0]
	change := func(name string, change func(*signature)) {
		malformed(name, func(e *envelope) { change(&e.sigs[0]) })
	}
	kid := s.kidBytes()
	malformed("signatures not sorted", func(e *envelope) { slices.Reverse(e.sigs) })
	malformed("a signature twice", func(e *envelope) { e.sigs = append(e.sigs[:1:1], e.sigs...) })
	malformed("two signatures of one kid and two algorithms", func(e *envelope) {
		e.sigs = slices.Insert(e.sigs, 1, signature{key: s.key, alg: -999, value: garbage(64)})
	})
	change("signature with unprotected headers", func(s *signature) { s.unprotected = pairs(num(4), bstr(kid)) })
	change("signature header empty", func(s *signature) { s.protected = []byte{} })
	change("signature header without kid", func(s *signature) { s.protected = pairs(num(1), integer(s.algorithm())) })
	change("signature header without alg", func(s *signature) { s.protected = pairs(num(4), bstr(kid)) })
	change("signature header with one parameter more", func(s *signature) {
		s.protected = pairs(num(1), integer(s.algorithm()), num(2), array(num(16)), num(4), bstr(kid))
	})
	change("signature header not sorted", func(s *signature) {
		s.protected = pairs(num(4), bstr(kid), num(1), integer(s.algorithm()))
	})
	change("alg in words", func(s *signature) { s.protected = pairs(num(1), tstr("PS256"), num(4), bstr(kid)) })
	change("kid of seven bytes", func(s *signature) { s.kid = kid[:7] })
	change("kid of nine bytes", func(s *signature) { s.kid = append(slices.Clone(kid), 0) })
	change("kid as an array of numbers", func(s *signature) {
		s.protected = pairs(num(1), integer(s.algorithm()), num(4), numbers(kid))
	})
	change("signature value empty", func(s *signature) { s.value = func([]byte) []byte { return nil } })
}
