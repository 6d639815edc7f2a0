package main

import (
	"bytes"
	"math/big"
	"slices"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

// cborFile has items alone: the profile of section 1 of docs/spec/objects.md.
func cborFile() []byte {
	f := tv.NewWriter("cbor", "Single items, inside and outside the CBOR profile.")
	for _, n := range []named{
		{"zero", num(0)}, {"23", num(23)}, {"24", num(24)}, {"255", num(255)}, {"256", num(256)}, {"65535", num(65535)}, {"65536", num(65536)},
		{"2^32 - 1", num(1<<32 - 1)}, {"2^32", num(1 << 32)}, {"2^64 - 1", num(1<<64 - 1)}, {"-1", integer(-1)}, {"-25", integer(-25)},
		{"-2^63", head(1, 1<<63-1)}, {"false", boolean(false)}, {"true", boolean(true)}, {"empty byte string", bstr(nil)}, {"empty text", tstr("")},
		{"text with two-byte characters", tstr("é")}, {"empty array", array()}, {"empty map", pairs()}, {"array of 64", array(repeat(64, num(0))...)},
		{"map of 64", manyPairs(64)}, {"six levels", nested(6, num(0))}, {"map with keys of every type", pairs(num(1), num(0), integer(-1), num(0), bstr(nil), num(0), tstr("a"), num(0))},
		{"byte string of 256", bstr(make([]byte, 256))}, {"map sorted by bytes, not by length", pairs(num(100), num(0), integer(-1), num(0))},
	} {
		f.Add(n.name, reason.None, tv.Hex("item", n.item))
	}
	for _, n := range outside() {
		f.Add(n.name, reason.Malformed, tv.Hex("item", n.item))
	}
	for _, n := range []named{
		{"nothing at all", nil}, {"two items", []byte{0, 0}}, {"head cut short", []byte{0x19, 0x01}},
		{"byte string longer than the input", []byte{0x45, 1, 2}}, {"byte string of 2^64 - 1", wide(2, 8, 1<<64-1)}, {"text of 2^63", wide(3, 8, 1<<63)},
		{"array of 2^32", wide(4, 8, 1<<32)}, {"map of 2^64 - 1", wide(5, 8, 1<<64-1)}, {"array with an item missing", []byte{0x82, 0}},
		{"map with a value missing", []byte{0xa1, 0}}, {"a thousand levels", bytes.Repeat([]byte{0x81}, 1000)},
	} {
		f.Add(n.name, reason.Malformed, tv.Hex("item", n.item))
	}
	return f.Bytes()
}

func rsaCOSE(n, e []byte) []byte {
	return pairs(num(1), num(3), integer(-1), bstr(n), integer(-2), bstr(e))
}

// coseKeyFile has public keys as they travel beside keysets.
func coseKeyFile(w *world) []byte {
	f := tv.NewWriter("cose-key", "Public keys as COSE_Key; id is the SHA-256 COSE Key Thumbprint.")
	for _, k := range []*tv.Key{w.release1, w.rel3072, w.rel4096, w.relP256, w.relEd} {
		id := k.ID()
		f.Add(k.Name, reason.None, tv.Hex("object", k.Public().COSEKey()), tv.Hex("id", id[:]), tv.Word("algorithm", algorithmText(k)))
	}
	add := func(name string, expect reason.Reason, raw []byte) { f.Add(name, expect, tv.Hex("object", raw)) }
	modulus := func(k *tv.Key) []byte { n, _ := k.RSA(); return n.Bytes() }
	n, f4 := modulus(w.release1), []byte{1, 0, 1}
	good := rsaCOSE(n, f4)
	invalid := func(name string, raw []byte) { add(name, reason.InvalidField, raw) }
	malformed := func(name string, raw []byte) { add(name, reason.Malformed, raw) }
	invalid("exponent 3", rsaCOSE(modulus(tv.NewKey("exponent 3")), []byte{3}))
	invalid("exponent 65539", rsaCOSE(n, []byte{1, 0, 3}))
	invalid("exponent of nine bytes", rsaCOSE(n, []byte{1, 0, 0, 0, 0, 0, 1, 0, 1}))
	invalid("modulus of 1024 bits", rsaCOSE(modulus(tv.NewKey("small")), f4))
	invalid("modulus of 2047 bits", rsaCOSE(append([]byte{n[0] >> 1}, n[1:]...), f4))
	invalid("modulus of 2049 bits", rsaCOSE(append([]byte{1}, n...), f4))
	even := slices.Clone(n)
	even[len(even)-1] &^= 1
	invalid("even modulus", rsaCOSE(even, f4))
	invalid("no modulus", pairs(num(1), num(3), integer(-2), bstr(f4)))
	malformed("modulus with a zero before it", rsaCOSE(append([]byte{0}, n...), f4))
	malformed("exponent with a zero before it", rsaCOSE(n, []byte{0, 1, 0, 1}))
	invalid("exponent as a number", pairs(num(1), num(3), integer(-1), bstr(n), integer(-2), num(65537)))
	malformed("with a kid", pairs(num(1), num(3), num(2), bstr([]byte{1}), integer(-1), bstr(n), integer(-2), bstr(f4)))
	malformed("with an algorithm", pairs(num(1), num(3), num(3), integer(-37), integer(-1), bstr(n), integer(-2), bstr(f4)))
	malformed("with the private exponent", slices.Concat(pairs(num(1), num(3), integer(-1), bstr(n), integer(-2), bstr(f4), integer(-3), bstr([]byte{5}))))
	malformed("labels not sorted", pairs(integer(-1), bstr(n), num(1), num(3), integer(-2), bstr(f4)))
	malformed("a byte after it", append(slices.Clone(good), 0))
	malformed("empty", nil)
	add("545 bytes", reason.TooLarge, rsaCOSE(make([]byte, 545-len(rsaCOSE(make([]byte, 400), f4))+400), f4))
	add("symmetric key", reason.Unsupported, pairs(num(1), num(4), integer(-1), bstr(make([]byte, 32))))
	add("no key type", reason.Unsupported, pairs(integer(-1), bstr(n), integer(-2), bstr(f4)))

	ec := w.relP256.Public().COSEKey()
	x, y := ec[8:40], ec[43:75]
	point := func(crv int64, x, y []byte) []byte {
		return pairs(num(1), num(2), integer(-1), integer(crv), integer(-2), bstr(x), integer(-3), bstr(y))
	}
	off := slices.Clone(y)
	off[31] ^= 1
	invalid("point off the curve", point(1, x, off))
	invalid("point with the sign of y alone", pairs(num(1), num(2), integer(-1), num(1), integer(-2), bstr(x), integer(-3), boolean(true)))
	invalid("point of zeros", point(1, make([]byte, 32), make([]byte, 32)))
	p, _ := new(big.Int).SetString("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16)
	invalid("x as large as the field", point(1, p.Bytes(), y))
	invalid("x of 31 bytes", point(1, x[:31], y))
	malformed("curve P-384 with coordinates of P-256", point(2, x, y))
	okp := func(crv uint64, x []byte) []byte {
		return pairs(num(1), num(1), integer(-1), num(crv), integer(-2), bstr(x))
	}
	malformed("curve X25519", okp(4, make([]byte, 32)))
	invalid("Ed25519 key of 31 bytes", okp(6, make([]byte, 31)))
	return f.Bytes()
}

// bareFile has bare firmware signatures and MACs over whole files.
func bareFile() []byte {
	key := tv.NewKey("bare")
	message := bytes.Repeat([]byte("firmware "), 100)
	f := tv.NewWriter("bare", "Bare RSA-PSS signatures over files.", tv.Hex("key", key.Public().COSEKey()), tv.Hex("message", message))
	good, _ := key.Sign(message)
	add := func(name string, expect reason.Reason, sig []byte, lines ...tv.Line) {
		f.Add(name, expect, append(lines, tv.Hex("signature", sig))...)
	}
	file := func(name string, expect reason.Reason, content []byte) {
		sig, _ := key.Sign(content)
		add(name, expect, sig, tv.Hex("message", content))
	}
	add("salt of 32 bytes", reason.None, good)
	for _, salt := range []int{0, 20, 31, 33, 222} {
		add("salt of "+tv.Num("", salt).Value+" bytes", reason.BadSignature, key.SignSalt(message, salt))
	}
	add("RSASSA-PKCS1-v1_5", reason.BadSignature, key.SignPKCS1(message))
	add("of zeros", reason.BadSignature, make([]byte, 256))
	add("signature plus the modulus", reason.Malformed, append([]byte{0}, plusModulus(key, message)...)[:257])
	add("empty", reason.Malformed, nil)
	add("a byte short", reason.Malformed, good[:255])
	add("a byte long", reason.Malformed, append(slices.Clone(good), 0))
	add("of another file", reason.BadSignature, good, tv.Hex("message", message[1:]))
	add("by another key", reason.BadSignature, good, tv.Hex("key", tv.NewKey("stranger").Public().COSEKey()))
	large := tv.NewKey("release 3072")
	sig, _ := large.Sign(message)
	add("by a key of 3072 bits", reason.InvalidField, sig, tv.Hex("key", large.Public().COSEKey()))
	add("by a P-256 key", reason.InvalidField, good, tv.Hex("key", tv.NewKey("release p256").Public().COSEKey()))
	file("an empty file", reason.None, nil)
	file("a file of zeros", reason.None, make([]byte, 100))
	file("a text file", reason.None, []byte("Signature1"))
	file("a CBOR array of other words", reason.None, array(tstr("Firmware"), bstr(message)))
	for _, l := range lookalikes() {
		file("begins like a COSE structure: "+l.name, reason.WrongKind, l.item)
	}
	return f.Bytes()
}

// lookalikes begin like a Sig_structure or MAC_structure in some encoding.
func lookalikes() []named {
	signature := append(head(3, 9), "Signature"...)
	tail := bytes.Repeat([]byte{0x40}, 100)
	join := func(parts ...[]byte) []byte { return slices.Concat(append(parts, tail)...) }
	return []named{
		{"Sig_structure of COSE_Sign", join(head(4, 5), signature)},
		{"Sig_structure of COSE_Sign1", join(head(4, 4), tstr("Signature1"))},
		{"countersignature", join(head(4, 5), tstr("CounterSignature"))},
		{"MAC_structure of COSE_Mac0", join(head(4, 4), tstr("MAC0"))},
		{"MAC_structure of COSE_Mac", join(head(4, 4), tstr("MAC"))},
		{"array head in two bytes", join(wide(4, 1, 5), signature)},
		{"array head in nine bytes", join(wide(4, 8, 5), signature)},
		{"array of indefinite length", join([]byte{0x9f}, signature)},
		{"text head in nine bytes", join(head(4, 5), wide(3, 8, 9), []byte("Signature"))},
		{"text in chunks", join(head(4, 5), []byte{0x7f}, signature)},
		{"array of a hundred", join(wide(4, 1, 100), signature)},
		{"nothing but its beginning", append(head(4, 5), signature[:2]...)},
	}
}

// bundleFile has bundles, which are no device's business.
func bundleFile(w *world) []byte {
	f := tv.NewWriter("bundle", "Bundles: signed objects and public keys on their way between machines.")
	keys := [][]byte{}
	sorted := []*tv.Key{w.rootP256, w.rootEd}
	slices.SortFunc(sorted, func(a, b *tv.Key) int { return compareIDs(a.ID(), b.ID()) })
	for _, k := range sorted {
		keys = append(keys, bstr(k.Public().COSEKey()))
	}
	good := payload{{0, num(1)}, {1, array(bstr(w.held))}, {2, array(keys...)}, {3, bstr([]byte("manifest"))}, {4, bstr([]byte("{}"))}}
	add := func(name string, expect reason.Reason, p []byte) { f.Add(name, expect, tv.Hex("object", p)) }
	f.Add("everything", reason.None, tv.Hex("object", good.encode()), tv.Num("keysets", 1), tv.Num("keys", 2))
	f.Add("nothing", reason.None, tv.Hex("object", payload{{0, num(1)}}.encode()), tv.Num("keysets", 0), tv.Num("keys", 0))
	commonPayload(add, good, 0)
	invalid := func(name string, p payload) { add(name, reason.InvalidField, p.encode()) }
	add("critical field 5", reason.Unsupported, good.with(5, num(1)).encode())
	invalid("keysets empty", good.with(1, array()))
	invalid("a keyset as an array of numbers", good.with(1, array(numbers([]byte{1}))))
	invalid("keys not sorted", good.with(2, array(keys[1], keys[0])))
	invalid("a key twice", good.with(2, array(keys[0], keys[0])))
	invalid("manifest empty", good.with(3, bstr(nil)))
	invalid("release document empty", good.with(4, bstr(nil)))
	add("a key that is none", reason.Malformed, good.with(2, array(bstr([]byte{0x40, 0}))).encode())
	add("a key outside the policy", reason.InvalidField, good.with(2, array(bstr(rsaCOSE([]byte{5}, []byte{1, 0, 1})))).encode())
	return f.Bytes()
}
