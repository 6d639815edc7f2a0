package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

// The image of most manifests, and what the device has installed.
const imageSize = 65536

func digest(name string) []byte { sum := sha256.Sum256([]byte(name)); return sum[:] }

func sequence(epoch, number uint64) uint64 { return epoch<<32 | number }

func manifest() payload {
	return payload{
		{0, num(1)},
		{1, tstr("acme")},
		{2, tstr("sensor_v1")},
		{5, num(sequence(1, 5))},
		{6, tstr("2.1.0")},
		{7, num(2)},
		{8, num(imageSize)},
		{9, bstr(digest("image 2.1.0"))},
		{10, num(0)},
		{11, num(3)},
	}
}

// manifestContext is a device in the middle of its life.
func manifestContext(w *world) []tv.Line {
	return append([]tv.Line{
		tv.Hex("held", w.held),
		tv.Word("hardware", "B"),
		tv.Num("installed-sequence", sequence(1, 4)),
		tv.Word("installed-version", "2.0.0"),
		tv.Hex("installed-digest", digest("image 2.0.0")),
		tv.Num("floor-epoch", 1),
		tv.Num("floor-counter", 1),
		tv.Num("slot-size", uint64(imageSize)),
		tv.Num("now", uint64(1790000000)),
		tv.Hex("rejected", digest("image that crashed")),
	}, keyLines(w.keys()...)...)
}

func manifestFile(w *world) []byte {
	f := tv.NewWriter("manifest", "Manifests that arrive at a device: signatures, content, and what its state allows.", manifestContext(w)...)
	manifestAccepted(f, w)
	manifestSignatures(f, w)
	manifestPayload(f, w)
	manifestDevice(f, w)
	envelopes(f, typManifest, typKeyset, manifest(), 2048, w.release1, w.stranger)
	return f.Bytes()
}

func manifestAccepted(f *tv.Writer, w *world) {
	signed := func(p payload) []byte { return sign(typManifest, p.encode(), by(w.release1)...) }
	full := manifest().
		with(3, array(tstr("A"), tstr("B"))).with(12, num(1800000000)).with(13, num(2)).
		with(15, num(sequence(1, 3))).with(16, bstr(digest("release document")))
	identity := sha256.Sum256(full.encode())
	f.Add("every field of a plain release", reason.None, tv.Hex("object", signed(full)),
		tv.Num("sequence", sequence(1, 5)), tv.Word("version", "2.1.0"), tv.Num("security-counter", 2), tv.Num("image-size", uint64(imageSize)),
		tv.Hex("image-digest", digest("image 2.1.0")), tv.Num("keyset-version", 3), tv.Num("expires", uint64(1800000000)),
		tv.Num("flags", 2), tv.Num("oldest-return", sequence(1, 3)), tv.Hex("release-digest", digest("release document")),
		tv.Hex("identity", identity[:]))
	accept := func(name string, p payload, lines ...tv.Line) {
		f.Add(name, reason.None, append([]tv.Line{tv.Hex("object", signed(p))}, lines...)...)
	}
	accept("required fields alone", manifest(), tv.Num("sequence", sequence(1, 5)), tv.Num("flags", 0), tv.Num("expires", 0), tv.Num("oldest-return", 0))
	accept("the largest numbers", manifest().with(5, num(sequence(1, 1<<32-1))).with(7, num(1<<32-1)).with(8, num(1<<32-1)).
		with(12, num(1<<40-1)).with(15, num(sequence(1, 1<<32-1))), tv.Num("slot-size", uint64(1<<32-1)))
	accept("sixteen hardware revisions", manifest().with(3, revisions(16)), tv.Word("hardware", "r15"))
	accept("unknown field that may be skipped", manifest().with(128, pairs(num(1), tstr("x"))))
	accept("names with every kind of letter", manifest().with(3, array(tstr("9Az._-:"))), tv.Word("hardware", "9Az._-:"))
	accept("first release of a device that has nothing", manifest().with(5, num(sequence(1, 1))),
		tv.Num("installed-sequence", 0), tv.Word("installed-version", ""), tv.Num("floor-epoch", 0), tv.Num("floor-counter", 0))
	accept("a prerelease is the first that a device gets", manifest().with(5, num(sequence(1, 1))).with(6, tstr("0.0.0-alpha")),
		tv.Num("installed-sequence", 0), tv.Word("installed-version", ""))
	downgrade := manifest().with(6, tstr("1.9.0")).with(13, num(1)).with(14, array(num(sequence(1, 2)), num(sequence(1, 4))))
	accept("downgrade that names the installed release", downgrade)
	accept("downgrade from thirty-two releases", downgrade.with(5, num(sequence(1, 99))).with(14, sequences(1, 32)), tv.Num("installed-sequence", sequence(1, 32)))
}

func revisions(n int) []byte {
	var items [][]byte
	for i := range n {
		items = append(items, tstr("r"+string(rune('0'+i/10))+string(rune('0'+i%10))))
	}
	return array(items...)
}

func sequences(from, n uint64) []byte {
	var items [][]byte
	for i := range n {
		items = append(items, num(sequence(1, from+i)))
	}
	return array(items...)
}

func manifestSignatures(f *tv.Writer, w *world) {
	body := manifest().encode()
	add := func(name string, expect reason.Reason, sigs ...signature) {
		f.Add(name, expect, tv.Hex("object", sign(typManifest, body, sigs...)))
	}
	epoch2 := sign(typManifest, manifest().with(5, num(sequence(2, 1))).encode(), by(w.release2)...)
	f.Add("by the next key, in its epoch", reason.None, tv.Hex("object", epoch2))
	add("no signature", reason.NotEnoughSigners)
	add("by a stranger", reason.NotEnoughSigners, by(w.stranger)...)
	add("by the roots", reason.NotEnoughSigners, by(w.rootA, w.rootB)...)
	add("by a revoked key, which the held keyset no longer lists", reason.NotEnoughSigners, by(w.release3)...)
	add("by the release key and a stranger, who is skipped", reason.None, by(w.release1, w.stranger)...)
	add("by a stranger under the release key's kid", reason.BadSignature, signature{key: w.stranger, kid: kidOf(w.release1)})
	add("release key's kid with another algorithm", reason.NotEnoughSigners, signature{key: w.release1, alg: -9})
	add("one good, one listed that does not verify", reason.BadSignature, append(by(w.release1), signature{key: w.release2, value: garbage(256)})...)
	add("sequence of epoch 1 by the key of epoch 2", reason.WrongEpoch, by(w.release2)...)
	add("by keys of two epochs", reason.WrongEpoch, by(w.release1, w.release2)...)
	f.Add("sequence of epoch 3 by the key of epoch 2", reason.WrongEpoch,
		tv.Hex("object", sign(typManifest, manifest().with(5, num(sequence(3, 1))).encode(), by(w.release2)...)))
	f.Add("the release key is not at hand", reason.NotEnoughSigners, append(keyLines(w.rootA, w.rootB), tv.Hex("object", sign(typManifest, body, by(w.release1)...)))...)
	hostileSignatures(f, typManifest, body, signature{}, w.release1)

	two := w.keyset(3).with(6, releaseEntries(releaseKey{w.release1, 1}, releaseKey{w.release2, 1}, releaseKey{w.release3, 1})).with(7, num(2))
	critical := tv.Hex("held", sign(typKeyset, two.encode(), by(w.rootA, w.rootB)...))
	f.Add("critical type: two of three", reason.None, critical, tv.Hex("object", sign(typManifest, body, by(w.release1, w.release3)...)))
	f.Add("critical type: one of three", reason.NotEnoughSigners, critical, tv.Hex("object", sign(typManifest, body, by(w.release1)...)))
	f.Add("critical type: one and a stranger", reason.NotEnoughSigners, critical, tv.Hex("object", sign(typManifest, body, by(w.release1, w.stranger)...)))
	manifestAlgorithms(f, w, body)
}

// manifestAlgorithms has a keyset whose release keys are of every algorithm and
// size.
func manifestAlgorithms(f *tv.Writer, w *world, body []byte) {
	var entries []releaseKey
	for _, k := range []*tv.Key{w.relP256, w.relEd, w.rel3072, w.rel4096} {
		entries = append(entries, releaseKey{k, 1})
	}
	held := tv.Hex("held", sign(typKeyset, w.keyset(3).with(6, releaseEntries(entries...)).encode(), by(w.rootA, w.rootB)...))
	add := func(name string, expect reason.Reason, sigs ...signature) {
		f.Add(name, expect, held, tv.Hex("object", sign(typManifest, body, sigs...)))
	}
	add("P-256", reason.None, by(w.relP256)...)
	add("Ed25519", reason.None, by(w.relEd)...)
	add("RSA-3072", reason.None, by(w.rel3072)...)
	add("RSA-4096", reason.None, by(w.rel4096)...)
	add("P-256 and Ed25519 side by side", reason.None, by(w.relP256, w.relEd)...)
	bad := func(name string, k *tv.Key, value func([]byte) []byte) {
		add(name, reason.BadSignature, signature{key: k, value: value})
	}
	bad("P-256 in DER", w.relP256, w.relP256.SignDER)
	bad("P-256 with r = 0", w.relP256, func(m []byte) []byte { s, _ := w.relP256.Sign(m); clear(s[:32]); return s })
	bad("P-256 with s = 0", w.relP256, func(m []byte) []byte { s, _ := w.relP256.Sign(m); clear(s[32:]); return s })
	bad("P-256 with r plus the order", w.relP256, func(m []byte) []byte { return append(bytes.Repeat([]byte{0xff}, 32), make([]byte, 32)...) })
	bad("P-256 a byte long", w.relP256, func(m []byte) []byte { s, _ := w.relP256.Sign(m); return append(s, 0) })
	bad("P-256 with a zero before s", w.relP256, func(m []byte) []byte {
		s, _ := w.relP256.Sign(m)
		return slices.Concat(s[:32], []byte{0}, s[32:])
	})
	bad("P-256 of 31 bytes", w.relP256, func(m []byte) []byte { s, _ := w.relP256.Sign(m); return s[:31] })
	bad("Ed25519 with S plus the order", w.relEd, func(m []byte) []byte { return plusOrder(w.relEd, m) })
	bad("Ed25519 of zeros", w.relEd, func([]byte) []byte { return make([]byte, 64) })
	bad("RSA-3072 with salt 20", w.rel3072, func(m []byte) []byte { return w.rel3072.SignSalt(m, 20) })
	add("P-256 key's kid with alg PS256 and a signature by RSA", reason.NotEnoughSigners, signature{key: w.rel3072, kid: kidOf(w.relP256)})
	add("RSA key's kid with alg ESP256 and a signature by P-256", reason.NotEnoughSigners, signature{key: w.relP256, kid: kidOf(w.rel3072)})
	add("ES256 (-7), the number ESP256 replaces", reason.NotEnoughSigners, signature{key: w.relP256, alg: -7})
	add("EdDSA (-8), the number Ed25519 replaces", reason.NotEnoughSigners, signature{key: w.relEd, alg: -8})
	add("PS384 by the RSA key", reason.NotEnoughSigners, signature{key: w.rel3072, alg: -38})
}

// plusOrder adds the order of the group to S, little-endian: the signature that
// a verifier without that check would take too.
func plusOrder(k *tv.Key, message []byte) []byte {
	sig, _ := k.Sign(message)
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	carry := 0
	for i := range order {
		carry += int(sig[32+i]) + int(order[i])
		sig[32+i] = byte(carry)
		carry >>= 8
	}
	return sig
}

func manifestPayload(f *tv.Writer, w *world) {
	add := func(name string, expect reason.Reason, p []byte) {
		f.Add(name, expect, tv.Hex("object", sign(typManifest, p, by(w.release1)...)))
	}
	m := manifest()
	commonPayload(add, m, 11)
	invalid := func(name string, p payload) { add(name, reason.InvalidField, p.encode()) }
	add("critical field 17", reason.Unsupported, m.with(17, num(1)).encode())
	invalid("vendor with a slash", m.with(1, tstr("ac/me")))
	invalid("vendor of 65 bytes", m.with(1, tstr(strings.Repeat("v", 65))))
	invalid("vendor as bytes", m.with(1, bstr([]byte("acme"))))
	invalid("device type empty", m.with(2, tstr("")))
	invalid("device type with a letter outside ASCII", m.with(2, tstr("sénsor")))
	invalid("hardware revisions empty", m.with(3, array()))
	invalid("hardware revisions not sorted", m.with(3, array(tstr("B"), tstr("A"))))
	invalid("a hardware revision twice", m.with(3, array(tstr("B"), tstr("B"))))
	invalid("an empty hardware revision", m.with(3, array(tstr(""), tstr("B"))))
	invalid("seventeen hardware revisions", m.with(3, revisions(17)))
	invalid("component spelled out as empty", m.with(4, tstr("")))
	invalid("component that begins with a dash", m.with(4, tstr("-rf")))
	invalid("sequence 0", m.with(5, num(0)))
	invalid("sequence of epoch 0", m.with(5, num(5)))
	invalid("release number 0", m.with(5, num(sequence(1, 0))))
	invalid("sequence negative", m.with(5, integer(-1)))
	for _, v := range []string{"", "2.1", "v2.1.0", "2.01.0", "2.1.0.0", "2.1.0-", "2.1.0 ", "2.1.0-01", strings.Repeat("1", 60) + ".0.00", strings.Repeat("1", 61) + ".0.0"} {
		if len(v) < 20 {
			invalid("version \""+v+"\"", m.with(6, tstr(v)))
		}
	}
	invalid("version of 65 bytes", m.with(6, tstr(strings.Repeat("1", 61)+".0.0")))
	add("version of 64 bytes", reason.None, m.with(6, tstr(strings.Repeat("9", 60)+".0.0")).encode())
	invalid("security counter over 32 bits", m.with(7, num(1<<32)))
	add("image of no bytes", reason.ImageSize, m.with(8, num(0)).encode())
	invalid("image size over 32 bits", m.with(8, num(1<<32)))
	invalid("image digest of 31 bytes", m.with(9, bstr(make([]byte, 31))))
	invalid("image digest of zeros", m.with(9, bstr(make([]byte, 32))))
	invalid("image digest as an array of numbers", m.with(9, numbers(digest("image 2.1.0"))))
	add("payload encoding 1", reason.Unsupported, m.with(10, num(1)).encode())
	invalid("payload encoding over 8 bits", m.with(10, num(256)))
	invalid("keyset version 0", m.with(11, num(0)))
	invalid("expiry spelled out as 0", m.with(12, num(0)))
	invalid("expiry over 40 bits", m.with(12, num(1<<40)))
	invalid("flags spelled out as 0", m.with(13, num(0)))
	add("unknown flag 4", reason.Unsupported, m.with(13, num(4)).encode())
	invalid("flags over 8 bits", m.with(13, num(256)))
	invalid("downgrade flag without sequences", m.with(13, num(1)))
	invalid("sequences without the downgrade flag", m.with(14, sequences(1, 4)))
	d := m.with(13, num(1))
	invalid("downgrade sequences empty", d.with(14, array()))
	invalid("downgrade sequences not sorted", d.with(14, array(num(sequence(1, 4)), num(sequence(1, 2)))))
	invalid("a downgrade sequence twice", d.with(14, array(num(sequence(1, 4)), num(sequence(1, 4)))))
	invalid("downgrade from its own sequence", d.with(14, array(num(sequence(1, 4)), num(sequence(1, 5)))))
	invalid("thirty-three downgrade sequences", d.with(5, num(sequence(1, 99))).with(14, sequences(1, 33)))
	invalid("oldest return spelled out as 0", m.with(15, num(0)))
	invalid("oldest return above its own sequence", m.with(15, num(sequence(1, 6))))
	invalid("release digest empty", m.with(16, bstr(nil)))
	invalid("release digest of 33 bytes", m.with(16, bstr(make([]byte, 33))))
	invalid("release digest of zeros", m.with(16, bstr(make([]byte, 32))))
	add("another vendor", reason.WrongVendor, m.with(1, tstr("acme2")).encode())
	add("no vendor", reason.WrongVendor, m.with(1, tstr("")).encode())
	add("another device type", reason.WrongType, m.with(2, tstr("sensor_v2")).encode())
	add("needs the next keyset", reason.KeysetTooOld, m.with(11, num(4)).encode())
	add("needs an older keyset", reason.None, m.with(11, num(1)).encode())
}

// manifestDevice has good manifests that the state of the device refuses.
func manifestDevice(f *tv.Writer, w *world) {
	m := manifest()
	add := func(name string, expect reason.Reason, p payload, lines ...tv.Line) {
		f.Add("device: "+name, expect, append([]tv.Line{tv.Hex("object", sign(typManifest, p.encode(), by(w.release1)...))}, lines...)...)
	}
	none := func(key string) tv.Line { return tv.Word(key, "") }
	add("other hardware revisions", reason.WrongHardware, m.with(3, array(tstr("A"), tstr("C"))))
	add("hardware revision of another case", reason.WrongHardware, m.with(3, array(tstr("b"))))
	add("no hardware revision, release for some", reason.WrongHardware, m.with(3, array(tstr("B"))), none("hardware"))
	add("no hardware revision, release for all", reason.None, m, none("hardware"))
	add("another component", reason.WrongComponent, m.with(4, tstr("modem")))
	add("main firmware for a component", reason.WrongComponent, m, tv.Word("component", "modem"))
	add("its component", reason.None, m.with(4, tstr("modem")), tv.Word("component", "modem"))
	add("in the last second", reason.None, m.with(12, num(1790000000)))
	add("expired", reason.Expired, m.with(12, num(1789999999)))
	add("expired, but there is no clock", reason.None, m.with(12, num(1)), tv.Num("now", 0))
	add("the installed release again, after a power cut", reason.None, m.with(5, num(sequence(1, 4))).with(6, tstr("2.0.0")).with(9, bstr(digest("image 2.0.0"))))
	add("the installed sequence with another image", reason.OldSequence, m.with(5, num(sequence(1, 4))))
	add("an older sequence", reason.OldSequence, m.with(5, num(sequence(1, 3))))
	add("an older sequence of a newer version", reason.OldSequence, m.with(5, num(sequence(1, 3))).with(6, tstr("9.0.0")))
	add("an older version", reason.OldVersion, m.with(6, tstr("1.9.9")))
	add("a prerelease of the installed version", reason.OldVersion, m.with(6, tstr("2.0.0-rc.1")))
	add("the installed version under a higher sequence", reason.None, m.with(6, tstr("2.0.0")))
	add("versions are numbers, not text", reason.None, m.with(6, tstr("10.0.0")))
	downgrade := m.with(6, tstr("1.9.0")).with(13, num(1)).with(14, array(num(sequence(1, 2)), num(sequence(1, 3))))
	add("downgrade that does not name the installed release", reason.NotApplicable, downgrade)
	add("downgrade under the installed sequence", reason.OldSequence, downgrade.with(5, num(sequence(1, 4))))
	add("downgrade below the floor", reason.BelowFloor, downgrade.with(14, sequences(4, 1)).with(7, num(0)), tv.Num("floor-counter", 1))
	add("below the floor of the keyset", reason.BelowFloor, m.with(7, num(1)))
	add("at the floor of the keyset", reason.None, m.with(7, num(2)))
	add("below the floor of its epoch", reason.BelowFloor, m.with(7, num(6)), tv.Num("floor-counter", 7))
	add("at the floor of its epoch", reason.None, m.with(7, num(7)), tv.Num("floor-counter", 7))
	newEpoch := sign(typManifest, m.with(5, num(sequence(2, 1))).with(7, num(2)).encode(), by(w.release2)...)
	f.Add("device: a new epoch starts again from the keyset's floor", reason.None, tv.Hex("object", newEpoch),
		tv.Num("installed-sequence", sequence(1, 1<<32-1)), tv.Num("floor-counter", uint64(1<<32-1)))
	add("nothing of the old epoch goes above the largest sequence", reason.OldSequence, m.with(5, num(sequence(1, 1<<32-1))),
		tv.Num("installed-sequence", sequence(1, 1<<32-1)))
	add("an image that fills the slot", reason.None, m.with(8, num(imageSize)))
	add("an image a byte larger than the slot", reason.ImageSize, m.with(8, num(imageSize+1)))
	crashed := m.with(9, bstr(digest("image that crashed")))
	add("an image that was rejected", reason.RejectedBefore, crashed)
	add("an image that was rejected, and an answer asks for it", reason.None, crashed, tv.Num("retry-rejected", 1))
	add("order: hardware before component", reason.WrongHardware, m.with(3, array(tstr("A"))).with(4, tstr("modem")))
	add("order: component before expiry", reason.WrongComponent, m.with(4, tstr("modem")).with(12, num(1)))
	add("order: expiry before sequence", reason.Expired, m.with(12, num(1)).with(5, num(sequence(1, 3))))
	add("order: sequence before version", reason.OldSequence, m.with(5, num(sequence(1, 3))).with(6, tstr("1.0.0")))
	add("order: version before floor", reason.OldVersion, m.with(6, tstr("1.0.0")).with(7, num(0)))
	add("order: floor before size", reason.BelowFloor, m.with(7, num(0)).with(8, num(imageSize+1)))
	add("order: size before rejected", reason.ImageSize, crashed.with(8, num(imageSize+1)))
	order(f, w)
}

// order has manifests that are wrong twice: the verdict tells which check came
// first.
func order(f *tv.Writer, w *world) {
	m := manifest()
	add := func(name string, expect reason.Reason, p []byte, sigs ...signature) {
		f.Add("order: "+name, expect, tv.Hex("object", sign(typManifest, p, sigs...)))
	}
	add("signature before payload", reason.BadSignature, m.with(127, num(1)).encode(), signature{key: w.release1, value: garbage(256)})
	add("a bad signature before too few", reason.BadSignature, m.encode(), append(by(w.stranger), signature{key: w.release1, value: garbage(256)})...)
	add("payload before epoch", reason.Unsupported, m.with(127, num(1)).with(5, num(sequence(2, 1))).encode(), by(w.release1)...)
	add("epoch before vendor", reason.WrongEpoch, m.with(5, num(sequence(2, 1))).with(1, tstr("other")).encode(), by(w.release1)...)
	add("vendor before device type", reason.WrongVendor, m.with(1, tstr("other")).with(2, tstr("other")).encode(), by(w.release1)...)
	add("device type before keyset version", reason.WrongType, m.with(2, tstr("other")).with(11, num(9)).encode(), by(w.release1)...)
	add("keyset version before hardware", reason.KeysetTooOld, m.with(11, num(9)).with(3, array(tstr("A"))).encode(), by(w.release1)...)
	f.Add("order: kind before signature", reason.WrongKind, tv.Hex("object", sign(typKeyset, m.encode(), signature{key: w.release1, value: garbage(256)})))
	f.Add("order: size before envelope", reason.TooLarge, tv.Hex("object", make([]byte, 8193)))
	f.Add("order: envelope before kind", reason.Malformed, tv.Hex("object", append(slices.Clone(sign(typKeyset, m.encode())), 0)))
}
