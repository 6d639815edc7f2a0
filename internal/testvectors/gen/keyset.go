package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

// A world is the cast of the keyset and manifest vectors.
type world struct {
	rootA, rootB, rootC, rootD, rootE *tv.Key
	release1, release2, release3      *tv.Key // of epochs 1, 2 and 2
	stranger                          *tv.Key
	rootP256, rootEd, relP256, relEd  *tv.Key
	rel3072, rel4096                  *tv.Key
	held                              []byte // keyset 3: roots A, B, C, two of them; release 1 and 2
}

func newWorld() *world {
	w := &world{
		rootA: tv.NewKey("root a"), rootB: tv.NewKey("root b"), rootC: tv.NewKey("root c"),
		rootD: tv.NewKey("root d"), rootE: tv.NewKey("root e"),
		release1: tv.NewKey("release 1"), release2: tv.NewKey("release 2"), release3: tv.NewKey("release 3"),
		stranger: tv.NewKey("stranger"),
		rootP256: tv.NewKey("root p256"), rootEd: tv.NewKey("root ed25519"),
		relP256: tv.NewKey("release p256"), relEd: tv.NewKey("release ed25519"),
		rel3072: tv.NewKey("release 3072"), rel4096: tv.NewKey("release 4096"),
	}
	w.held = sign(typKeyset, w.keyset(3).encode(), by(w.rootA, w.rootB)...)
	return w
}

func (w *world) keys() []*tv.Key {
	return []*tv.Key{w.rootA, w.rootB, w.rootC, w.rootD, w.rootE, w.release1, w.release2, w.release3, w.stranger,
		w.rootP256, w.rootEd, w.relP256, w.relEd, w.rel3072, w.rel4096}
}

func keyLines(keys ...*tv.Key) (lines []tv.Line) {
	for _, k := range keys {
		lines = append(lines, tv.Hex("key", k.Public().COSEKey()))
	}
	return lines
}

// A releaseKey is a release entry of a keyset.
type releaseKey struct {
	key   *tv.Key
	epoch uint64
}

func rootEntry(k *tv.Key) []byte {
	id := k.ID()
	return array(bstr(id[:]), integer(int64(k.Public().Algorithm())))
}

func rootEntries(keys ...*tv.Key) []byte {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b *tv.Key) int { return compareIDs(a.ID(), b.ID()) })
	var entries [][]byte
	for _, k := range keys {
		entries = append(entries, rootEntry(k))
	}
	return array(entries...)
}

func releaseEntries(keys ...releaseKey) []byte {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b releaseKey) int { return compareIDs(a.key.ID(), b.key.ID()) })
	var entries [][]byte
	for _, k := range keys {
		id := k.key.ID()
		entries = append(entries, array(bstr(id[:]), integer(int64(k.key.Public().Algorithm())), num(k.epoch)))
	}
	return array(entries...)
}

func compareIDs(a, b trust.KeyID) int { return bytes.Compare(a[:], b[:]) }

func (w *world) keyset(version uint64) payload {
	return payload{
		{0, num(1)},
		{1, tstr("acme")},
		{2, tstr("sensor_v1")},
		{3, num(version)},
		{4, rootEntries(w.rootA, w.rootB, w.rootC)},
		{5, num(2)},
		{6, releaseEntries(releaseKey{w.release1, 1}, releaseKey{w.release2, 2})},
		{7, num(1)},
		{8, num(2)},
	}
}

// manyIDs returns n key ids that no key has, ascending.
func manyIDs(n int) (ids [][]byte) {
	for i := range n {
		ids = append(ids, bytes.Repeat([]byte{byte(i + 1)}, 32))
	}
	return ids
}

func keysetFile(w *world) []byte {
	f := tv.NewWriter("keyset", "Keysets that arrive at a device which holds another, or only its anchor.",
		append([]tv.Line{tv.Hex("held", w.held)}, keyLines(w.keys()...)...)...)
	keysetAccepted(f, w)
	keysetSignatures(f, w)
	keysetPayload(f, w)
	keysetAnchor(f, w)
	envelopes(f, typKeyset, typManifest, w.keyset(4), 2048, w.rootA, w.rootB)
	return f.Bytes()
}

func keysetAccepted(f *tv.Writer, w *world) {
	good := by(w.rootA, w.rootB)
	accept := func(name string, p payload, sigs ...signature) {
		f.Add(name, reason.None, tv.Hex("object", sign(typKeyset, p.encode(), sigs...)))
	}
	f.Add("the next version", reason.None, tv.Hex("object", sign(typKeyset, w.keyset(4).encode(), good...)),
		tv.Num("keyset-version", 4), tv.Num("root-threshold", 2), tv.Num("release-threshold", 1), tv.Num("security-floor", 2),
		tv.Num("service-skips-freshness", 0))
	accept("by all three roots", w.keyset(4), by(w.rootA, w.rootB, w.rootC)...)
	accept("by other two roots", w.keyset(4), by(w.rootB, w.rootC)...)
	accept("versions are skipped", w.keyset(9), good...)
	accept("the largest version", w.keyset(1<<32-1), good...)
	accept("the floor falls: nothing but the rule of rotation decides", w.keyset(4).with(8, num(0)), good...)
	accept("the largest floor", w.keyset(4).with(8, num(1<<32-1)), good...)
	f.Add("the service port skips freshness", reason.None,
		tv.Hex("object", sign(typKeyset, w.keyset(4).with(9, boolean(true)).encode(), good...)), tv.Num("service-skips-freshness", 1))
	accept("unknown field that may be skipped", w.keyset(4).with(128, array(tstr("later"), num(1))), good...)
	accept("unknown field with the largest key", w.keyset(4).with(1<<63-1, num(1)), good...)
	accept("unknown field of six levels, with the payload", w.keyset(4).with(128, nested(5, num(1))), good...)
	rotated := w.keyset(4).with(4, rootEntries(w.rootC, w.rootD, w.rootE))
	accept("all roots but one change, signed by both thresholds", rotated, by(w.rootA, w.rootC, w.rootD)...)
	accept("all roots change, signed by both thresholds",
		w.keyset(4).with(4, rootEntries(w.rootD, w.rootE)), by(w.rootA, w.rootB, w.rootD, w.rootE)...)
	accept("the threshold falls", w.keyset(4).with(5, num(1)), good...)
	accept("roots of three algorithms",
		w.keyset(4).with(4, rootEntries(w.rootA, w.rootB, w.rootP256, w.rootEd)).with(5, num(4)),
		by(w.rootA, w.rootB, w.rootP256, w.rootEd)...)
	accept("eight roots, eight release keys", w.fullKeyset(), good...)
}

// fullKeyset has as many keys as there may be.
func (w *world) fullKeyset() payload {
	ids := manyIDs(14)
	var roots, releases [][]byte
	for _, id := range ids[:6] {
		roots = append(roots, array(bstr(id), integer(-37)))
	}
	roots = append(roots, rootEntry(w.rootA), rootEntry(w.rootB))
	for _, id := range ids[6:] {
		releases = append(releases, array(bstr(id), integer(-37), num(1)))
	}
	slices.SortFunc(roots, bytes.Compare)
	return w.keyset(4).with(4, array(roots...)).with(6, array(releases...)).with(7, num(8))
}

func keysetSignatures(f *tv.Writer, w *world) {
	body := w.keyset(4).encode()
	add := func(name string, expect reason.Reason, sigs ...signature) {
		f.Add(name, expect, tv.Hex("object", sign(typKeyset, body, sigs...)))
	}
	add("no signature", reason.NotEnoughSigners)
	add("one root of two", reason.NotEnoughSigners, by(w.rootA)...)
	add("one root and a stranger", reason.NotEnoughSigners, by(w.rootA, w.stranger)...)
	add("one root and a release key", reason.NotEnoughSigners, by(w.rootA, w.release1)...)
	add("two roots and a stranger, which is skipped", reason.None, by(w.rootA, w.rootB, w.stranger)...)
	add("a wrong signature by a stranger is skipped", reason.None, append(by(w.rootA, w.rootB), signature{key: w.stranger, value: garbage(256)})...)
	add("a signature of an unknown algorithm under a root's kid is skipped", reason.None,
		append(by(w.rootA, w.rootB), signature{key: w.rootC, alg: -999, value: garbage(3000)})...)
	add("two roots and a third that does not verify", reason.BadSignature,
		append(by(w.rootA, w.rootB), signature{key: w.rootC, value: garbage(256)})...)
	add("a root's kid with another algorithm counts for nothing", reason.NotEnoughSigners,
		append(by(w.rootA), signature{key: w.rootB, alg: -9})...)
	add("a stranger's signature under a root's kid", reason.BadSignature,
		append(by(w.rootA), signature{key: w.stranger, kid: kidOf(w.rootB)})...)
	rotated := w.keyset(4).with(4, rootEntries(w.rootD, w.rootE)).encode()
	only := func(name string, sigs ...signature) {
		f.Add(name, reason.NotEnoughSigners, tv.Hex("object", sign(typKeyset, rotated, sigs...)))
	}
	only("new roots, signed by the old alone", by(w.rootA, w.rootB)...)
	only("new roots, signed by the new alone", by(w.rootD, w.rootE)...)
	only("new roots, one old signature missing", by(w.rootA, w.rootD, w.rootE)...)
	only("new roots, one new signature missing", by(w.rootA, w.rootB, w.rootD)...)
	f.Add("a root whose key is not at hand does not count", reason.NotEnoughSigners,
		append(keyLines(w.rootA, w.rootC), tv.Hex("object", sign(typKeyset, body, by(w.rootA, w.rootB)...)))...)
	f.Add("another vendor", reason.WrongVendor, tv.Hex("object", sign(typKeyset, w.keyset(4).with(1, tstr("acme2")).encode(), by(w.rootA, w.rootB)...)))
	f.Add("no vendor", reason.WrongVendor, tv.Hex("object", sign(typKeyset, w.keyset(4).with(1, tstr("")).encode(), by(w.rootA, w.rootB)...)))
	f.Add("another device type", reason.WrongType, tv.Hex("object", sign(typKeyset, w.keyset(4).with(2, tstr("sensor_v2")).encode(), by(w.rootA, w.rootB)...)))
	f.Add("the held version again", reason.KeysetNotNewer, tv.Hex("object", w.held))
	f.Add("an older version", reason.KeysetNotNewer, tv.Hex("object", sign(typKeyset, w.keyset(2).encode(), by(w.rootA, w.rootB)...)))
	hostileSignatures(f, typKeyset, body, signature{key: w.rootA}, w.rootB)
}

// hostileSignatures adds signatures by key that are wrong in one way, beside a
// good one where the threshold asks for it.
func hostileSignatures(f *tv.Writer, typ uint64, body []byte, good signature, key *tv.Key) {
	bad := func(name string, s signature) {
		s.key = key
		sigs := []signature{s}
		if good.key != nil {
			sigs = append(sigs, good)
		}
		f.Add(name, reason.BadSignature, tv.Hex("object", sign(typ, body, sigs...)))
	}
	for _, salt := range []int{0, 20, 31, 33, 222} {
		bad("salt of "+string(tv.Num("", salt).Value)+" bytes", signature{value: func(m []byte) []byte { return key.SignSalt(m, salt) }})
	}
	bad("RSASSA-PKCS1-v1_5", signature{value: key.SignPKCS1})
	bad("signature a byte short", signature{value: func(m []byte) []byte { s, _ := key.Sign(m); return s[:255] }})
	bad("signature with a byte before it", signature{value: func(m []byte) []byte { s, _ := key.Sign(m); return append([]byte{0}, s...) }})
	bad("signature with a byte after it", signature{value: func(m []byte) []byte { s, _ := key.Sign(m); return append(s, 0) }})
	bad("signature plus the modulus", signature{value: func(m []byte) []byte { return plusModulus(key, m) }})
	bad("signature of zeros", signature{value: func([]byte) []byte { return make([]byte, 256) }})
	bad("signed with external data", signature{aad: []byte("x")})
	bad("signed as another kind of object", signature{typ: typ ^ 3})
	bad("signed in the context of COSE_Sign1", signature{context: "Signature1"})
	bad("signed bare: over the payload alone", signature{value: func([]byte) []byte { s, _ := key.Sign(body); return s }})
}

func garbage(n int) func([]byte) []byte {
	return func([]byte) []byte { return bytes.Repeat([]byte{0x5a}, n) }
}

func kidOf(k *tv.Key) []byte {
	kid := k.ID().KID()
	return kid[:]
}

func keysetPayload(f *tv.Writer, w *world) {
	add := func(name string, expect reason.Reason, p []byte) {
		f.Add(name, expect, tv.Hex("object", sign(typKeyset, p, by(w.rootA, w.rootB)...)))
	}
	ks := w.keyset(4)
	invalid := func(name string, p payload) { add(name, reason.InvalidField, p.encode()) }
	commonPayload(add, ks, 8)
	add("critical field 10", reason.Unsupported, ks.with(10, num(1)).encode())
	for _, k := range []int64{5, 7} {
		who := map[int64]string{5: "root", 7: "release"}[k]
		invalid(who+" threshold 0", ks.with(k, num(0)))
		invalid(who+" threshold above the number of keys", ks.with(k, num(4)))
		invalid(who+" threshold 256", ks.with(k, num(256)))
		invalid(who+" threshold -1", ks.with(k, integer(-1)))
		invalid(who+" threshold in words", ks.with(k, tstr("2")))
		invalid("no "+who+" keys", ks.with(k-1, array()))
	}
	invalid("version 0", ks.with(3, num(0)))
	invalid("version over 32 bits", ks.with(3, num(1<<32)))
	invalid("floor over 32 bits", ks.with(8, num(1<<32)))
	invalid("vendor with a space", ks.with(1, tstr("ac me")))
	invalid("vendor of 65 bytes", ks.with(1, tstr(strings.Repeat("a", 65))))
	invalid("device type empty", ks.with(2, tstr("")))
	invalid("device type that begins with a dot", ks.with(2, tstr(".v1")))
	invalid("field 9 spelled out as false", ks.with(9, boolean(false)))
	invalid("field 9 as a number", ks.with(9, num(1)))

	id := func(k *tv.Key) []byte { id := k.ID(); return id[:] }
	sorted := []*tv.Key{w.rootA, w.rootB, w.rootC}
	slices.SortFunc(sorted, func(a, b *tv.Key) int { return compareIDs(a.ID(), b.ID()) })
	first, second, third := rootEntry(sorted[0]), rootEntry(sorted[1]), rootEntry(sorted[2])
	invalid("roots not sorted", ks.with(4, array(second, first, third)))
	invalid("a root twice", ks.with(4, array(first, first, second, third)))
	invalid("a root twice under two algorithms", ks.with(4, array(array(bstr(id(sorted[0])), integer(-37)), array(bstr(id(sorted[0])), integer(-9)), second, third)))
	other := bytes.Clone(id(sorted[0]))
	other[31] ^= 1
	pair := [][]byte{first, array(bstr(other), integer(-37))}
	slices.SortFunc(pair, bytes.Compare)
	invalid("two roots of one kid", ks.with(4, array(pair[0], pair[1], second, third)))
	invalid("root id of 31 bytes", ks.with(4, array(array(bstr(id(sorted[0])[:31]), integer(-37)), second, third)))
	invalid("root id as an array of numbers", ks.with(4, array(array(numbers(id(sorted[0])), integer(-37)), second, third)))
	invalid("root entry of three", ks.with(4, array(array(bstr(id(sorted[0])), integer(-37), num(0)), second, third)))
	add("root of an unknown algorithm", reason.Unsupported, ks.with(4, array(array(bstr(id(sorted[0])), integer(-257)), second, third)).encode())
	invalid("nine roots", ks.with(4, nineEntries(first, second, nil)))
	release := releaseKey{w.release1, 1}
	invalid("nine release keys", ks.with(6, nineEntries(nil, nil, num(1))))
	invalid("release key of epoch 0", ks.with(6, releaseEntries(releaseKey{w.release1, 0})))
	invalid("release key of an epoch over 32 bits", ks.with(6, releaseEntries(releaseKey{w.release1, 1 << 32})))
	id1 := id(w.release1)
	invalid("release key id of 31 bytes", ks.with(6, array(array(bstr(id1[:31]), integer(-37), num(1)))))
	invalid("release key id of 33 bytes", ks.with(6, array(array(bstr(append(id1, 0)), integer(-37), num(1)))))
	invalid("release entry without its epoch", ks.with(6, rootEntries(w.release1)))
	invalid("a release key twice", ks.with(6, array(append([][]byte{}, entryOf(release), entryOf(release))...)))
	invalid("a root is also a release key", ks.with(6, releaseEntries(release, releaseKey{w.rootA, 2})))
	invalid("no epoch has as many keys as the release threshold", ks.with(7, num(2)))
	add("two keys of one epoch for a release threshold of two", reason.None,
		ks.with(6, releaseEntries(release, releaseKey{w.release2, 2}, releaseKey{w.release3, 2})).with(7, num(2)).encode())
}

func entryOf(k releaseKey) []byte {
	id := k.key.ID()
	return array(bstr(id[:]), integer(int64(k.key.Public().Algorithm())), num(k.epoch))
}

// nineEntries returns one entry more than there may be.
func nineEntries(a, b, epoch []byte) []byte {
	entries := [][]byte{}
	if a != nil {
		entries = append(entries, a, b)
	}
	for _, id := range manyIDs(9)[len(entries):] {
		e := [][]byte{bstr(id), integer(-37)}
		if epoch != nil {
			e = append(e, epoch)
		}
		entries = append(entries, array(e...))
	}
	slices.SortFunc(entries, bytes.Compare)
	return array(entries...)
}

// keysetAnchor has the first keyset of a device that knows only its roots.
func keysetAnchor(f *tv.Writer, w *world) {
	anchor := func(threshold uint64, roots ...*tv.Key) []tv.Line {
		lines := []tv.Line{tv.Word("held", ""), tv.Word("anchor-vendor", "acme"), tv.Word("anchor-type", "sensor_v1"), tv.Num("anchor-threshold", threshold)}
		for _, r := range roots {
			lines = append(lines, tv.Word("anchor-root", r.ID().String()+" "+algorithmText(r)))
		}
		return lines
	}
	first := sign(typKeyset, w.keyset(1).encode(), by(w.rootA, w.rootB)...)
	add := func(name string, expect reason.Reason, object []byte, lines []tv.Line) {
		f.Add(name, expect, append(lines, tv.Hex("object", object))...)
	}
	abc := anchor(2, w.rootA, w.rootB, w.rootC)
	add("anchor: the first keyset", reason.None, first, abc)
	add("anchor: a later keyset", reason.None, w.held, abc)
	add("anchor: a threshold above the keyset's own", reason.NotEnoughSigners, first, anchor(3, w.rootA, w.rootB, w.rootC))
	add("anchor: other roots", reason.NotEnoughSigners, first, anchor(1, w.rootD, w.rootE))
	add("anchor: one root twice does not count twice", reason.NotEnoughSigners, first, anchor(2, w.rootA, w.rootA))
	add("anchor: threshold 0", reason.InvalidField, first, anchor(0, w.rootA))
	add("anchor: no roots", reason.InvalidField, first, anchor(1))
	wrongVendor := slices.Clone(abc)
	wrongVendor[1] = tv.Word("anchor-vendor", "other")
	add("anchor: another vendor", reason.WrongVendor, first, wrongVendor)
	wrongType := slices.Clone(abc)
	wrongType[2] = tv.Word("anchor-type", "other")
	add("anchor: another device type", reason.WrongType, first, wrongType)
}
