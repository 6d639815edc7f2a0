package main

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

// A device of the message vectors: its keys are derived here a second time, by
// the letter of docs/spec/objects.md.
type device struct {
	master                      []byte
	vendor, deviceType, id      string
	generation                  uint64
	up, down, upKID, downKID    []byte
	otherUp, otherDown, nextGen []byte // keys of another device, and the up key of the next generation
}

func newDevice() *device {
	d := &device{master: digest("fleet master"), vendor: "acme", deviceType: "sensor_v1", id: "dev-0001", generation: 1}
	d.up = deviceKey(d.master, d.vendor, d.deviceType, d.id, 1, 0)
	d.down = deviceKey(d.master, d.vendor, d.deviceType, d.id, 1, 1)
	d.upKID, d.downKID = symmetricKID(d.up), symmetricKID(d.down)
	d.otherUp = deviceKey(d.master, d.vendor, d.deviceType, "dev-0002", 1, 0)
	d.otherDown = deviceKey(d.master, d.vendor, d.deviceType, "dev-0002", 1, 1)
	d.nextGen = deviceKey(d.master, d.vendor, d.deviceType, d.id, 2, 0)
	return d
}

func deviceKey(master []byte, vendor, deviceType, id string, generation, direction uint64) []byte {
	info := array(tstr("secure-ota device key"), tstr(vendor), tstr(deviceType), tstr(id), num(generation), num(direction))
	key, err := hkdf.Key(sha256.New, master, nil, string(info), 32)
	if err != nil {
		panic("gen: " + err.Error())
	}
	return key
}

func deviceKeyFile(d *device) []byte {
	f := tv.NewWriter("device-key", "Keys of one device, derived from the fleet master of its type.",
		tv.Hex("master", d.master), tv.Word("vendor", "acme"), tv.Word("device-type", "sensor_v1"), tv.Word("device", "dev-0001"), tv.Num("generation", 1))
	add := func(name string, master []byte, vendor, deviceType, id string, generation uint64) {
		up, down := deviceKey(master, vendor, deviceType, id, generation, 0), deviceKey(master, vendor, deviceType, id, generation, 1)
		f.Add(name, reason.None, tv.Hex("master", master), tv.Word("vendor", vendor), tv.Word("device-type", deviceType), tv.Word("device", id),
			tv.Num("generation", generation), tv.Hex("up-key", up), tv.Hex("down-key", down),
			tv.Hex("up-kid", symmetricKID(up)), tv.Hex("down-kid", symmetricKID(down)))
	}
	long := strings.Repeat("x", 64)
	add("a device", d.master, "acme", "sensor_v1", "dev-0001", 1)
	add("the next generation", d.master, "acme", "sensor_v1", "dev-0001", 2)
	add("another device", d.master, "acme", "sensor_v1", "dev-0002", 1)
	add("another type", d.master, "acme", "sensor_v2", "dev-0001", 1)
	add("no vendor", d.master, "", "sensor_v1", "dev-0001", 1)
	add("the same letters in other fields", d.master, "acm", "esensor_v1", "dev-0001", 1)
	add("a master of zeros", make([]byte, 32), "acme", "sensor_v1", "dev-0001", 1)
	add("the longest names, the largest generation", d.master, long, long, long, 1<<32-1)
	f.Add("generation 0", reason.InvalidField, tv.Num("generation", 0))
	f.Add("device id empty", reason.InvalidField, tv.Word("device", ""))
	f.Add("device type with a space", reason.InvalidField, tv.Word("device-type", "sensor v1"))
	f.Add("vendor of 65 bytes", reason.InvalidField, tv.Word("vendor", long+"x"))
	return f.Bytes()
}

func (d *device) request() payload {
	return payload{
		{0, num(1)}, {1, tstr(d.id)}, {2, tstr(d.deviceType)}, {3, num(17)},
		{4, num(sequence(1, 4))}, {5, bstr(digest("image 2.0.0"))}, {6, num(3)},
	}
}

func (d *device) response() payload {
	return payload{
		{0, num(1)}, {1, tstr(d.id)}, {3, num(17)}, {4, num(1790000000)}, {5, num(3)}, {6, num(3600)},
		{7, bstr(digest("a manifest"))}, {8, num(612)},
	}
}

func (d *device) report() payload {
	return payload{
		{0, num(1)}, {1, tstr(d.id)}, {2, tstr(d.deviceType)}, {3, num(18)},
		{4, num(4)}, {5, num(sequence(1, 5))}, {6, bstr(digest("image 2.1.0"))},
	}
}

// messages is what the three kinds have in common.
type messages struct {
	f        *tv.Writer
	typ      uint64
	otherTyp uint64
	key, kid []byte
	good     payload
}

func (m messages) add(name string, expect reason.Reason, raw []byte, lines ...tv.Line) {
	m.f.Add(name, expect, append([]tv.Line{tv.Hex("object", raw)}, lines...)...)
}

func (m messages) sealed(p []byte) sealed {
	return sealed{typ: m.typ, kid: m.kid, key: m.key, payload: p}
}

func (m messages) seal(p payload) []byte { return m.sealed(p.encode()).encode() }

func (m messages) accept(name string, p payload, lines ...tv.Line) {
	m.add(name, reason.None, m.seal(p), lines...)
}

func (m messages) invalid(name string, p payload) { m.add(name, reason.InvalidField, m.seal(p)) }

func requestFile(d *device) []byte {
	f := tv.NewWriter("check-request", "Check requests that arrive at the server; up-key is the key of the device that they claim to be of.",
		tv.Word("device", d.id), tv.Word("device-type", d.deviceType), tv.Hex("up-key", d.up))
	m := messages{f, typRequest, typReport, d.up, d.upKID, d.request()}
	m.accept("required fields alone", m.good, tv.Num("nonce", 17), tv.Num("sequence", sequence(1, 4)),
		tv.Hex("image-digest", digest("image 2.0.0")), tv.Num("keyset-version", 3), tv.Num("boot", 0), tv.Num("last-error", 0),
		tv.Word("hardware", ""), tv.Num("capabilities", 0))
	m.accept("every field", m.good.with(7, num(2)).with(8, num(21)).with(9, tstr("B")).with(10, num(1)),
		tv.Num("boot", 2), tv.Num("last-error", 21), tv.Word("hardware", "B"), tv.Num("capabilities", 1))
	m.accept("the largest numbers", m.good.with(3, num(1<<64-1)).with(4, num(1<<64-1)).with(6, num(1<<32-1)).with(8, num(255)),
		tv.Num("nonce", uint64(1<<64-1)), tv.Num("sequence", uint64(1<<64-1)), tv.Num("keyset-version", uint64(1<<32-1)), tv.Num("last-error", 255))
	m.accept("nothing installed", m.good.with(4, num(0)), tv.Num("sequence", 0))
	m.common(7, d)
	m.sender()
	m.invalid("digest of 31 bytes", m.good.with(5, bstr(make([]byte, 31))))
	m.invalid("digest as an array of numbers", m.good.with(5, numbers(digest("x"))))
	m.invalid("nonce negative", m.good.with(3, integer(-1)))
	m.invalid("keyset version over 32 bits", m.good.with(6, num(1<<32)))
	m.invalid("boot state spelled out as 0", m.good.with(7, num(0)))
	m.add("boot state 3", reason.Unsupported, m.seal(m.good.with(7, num(3))))
	m.invalid("boot state over 8 bits", m.good.with(7, num(256)))
	m.invalid("last error spelled out as 0", m.good.with(8, num(0)))
	m.invalid("hardware revision empty", m.good.with(9, tstr("")))
	m.invalid("hardware revision with a space", m.good.with(9, tstr("B 1")))
	m.invalid("capabilities spelled out as 0", m.good.with(10, num(0)))
	m.add("capability 2", reason.Unsupported, m.seal(m.good.with(10, num(2))))
	m.add("critical field 11", reason.Unsupported, m.seal(m.good.with(11, num(1))))
	return f.Bytes()
}

func responseFile(d *device) []byte {
	f := tv.NewWriter("check-response", "Check responses that arrive at a device which waits for the answer to its nonce.",
		tv.Word("device", d.id), tv.Hex("down-key", d.down), tv.Num("nonce", 17))
	m := messages{f, typResponse, typRequest, d.down, d.downKID, d.response()}
	m.accept("a manifest", m.good, tv.Num("server-time", uint64(1790000000)), tv.Num("keyset-version", 3), tv.Num("retry-seconds", 3600),
		tv.Hex("manifest-hash", digest("a manifest")), tv.Num("manifest-size", 612), tv.Num("patch-size", 0), tv.Num("retry-rejected", 0))
	nothing := m.good.without(7).without(8)
	m.accept("nothing to install", nothing, tv.Num("manifest-size", 0))
	m.accept("a patch, and try again what was rejected",
		m.good.with(9, array(num(1), num(4096), bstr(digest("a patch")))).with(10, boolean(true)),
		tv.Num("retry-rejected", 1), tv.Num("patch-format", 1), tv.Num("patch-size", 4096), tv.Hex("patch-digest", digest("a patch")))
	m.accept("the largest numbers", m.good.with(3, num(1<<64-1)).with(4, num(1<<64-1)).with(5, num(1<<32-1)).with(6, num(1<<32-1)).with(8, num(1<<32-1)),
		tv.Num("nonce", uint64(1<<64-1)), tv.Num("server-time", uint64(1<<64-1)), tv.Num("manifest-size", uint64(1<<32-1)))
	m.common(6, d)
	m.add("another nonce", reason.WrongNonce, m.seal(m.good.with(3, num(16))))
	m.add("a nonce that is not asked for yet", reason.WrongNonce, m.seal(m.good.with(3, num(18))))
	m.add("another device", reason.WrongDevice, m.seal(m.good.with(1, tstr("dev-0002"))))
	m.add("another device's answer, MAC'ed with its key", reason.BadMAC,
		sealed{typ: typResponse, kid: symmetricKID(d.otherDown), key: d.otherDown, payload: m.good.with(1, tstr("dev-0002")).encode()}.encode())
	m.add("the device's own request, reflected", reason.WrongKind,
		sealed{typ: typRequest, kid: d.upKID, key: d.up, payload: d.request().encode()}.encode())
	m.add("an answer MAC'ed with the up key", reason.BadMAC, sealed{typ: typResponse, kid: d.upKID, key: d.up, payload: m.good.encode()}.encode())
	m.add("order: payload before device", reason.Unsupported, m.seal(m.good.with(1, tstr("dev-0002")).with(127, num(1))))
	m.add("order: device before nonce", reason.WrongDevice, m.seal(m.good.with(1, tstr("dev-0002")).with(3, num(1))))
	m.invalid("device id empty", m.good.with(1, tstr("")))
	m.invalid("manifest hash without its size", m.good.without(8))
	m.invalid("manifest size without its hash", m.good.without(7))
	m.invalid("manifest size 0", m.good.with(8, num(0)))
	m.invalid("manifest size over 32 bits", m.good.with(8, num(1<<32)))
	m.invalid("manifest hash of zeros", m.good.with(7, bstr(make([]byte, 32))))
	m.invalid("manifest hash of zeros for nothing to install", nothing.with(7, bstr(make([]byte, 32))))
	m.invalid("manifest hash of 33 bytes", m.good.with(7, bstr(make([]byte, 33))))
	m.invalid("retry seconds over 32 bits", m.good.with(6, num(1<<32)))
	m.invalid("patch without a manifest", nothing.with(9, array(num(1), num(4096), bstr(digest("a patch")))))
	m.invalid("patch of two items", m.good.with(9, array(num(1), num(4096))))
	m.invalid("patch with a digest of 31 bytes", m.good.with(9, array(num(1), num(4096), bstr(make([]byte, 31)))))
	m.invalid("field 10 spelled out as false", m.good.with(10, boolean(false)))
	m.add("critical field 2, which this message has not", reason.Unsupported, m.seal(m.good.with(2, tstr("sensor_v1"))))
	return f.Bytes()
}

func reportFile(d *device) []byte {
	f := tv.NewWriter("report", "Reports that arrive at the server; up-key is the key of the device that they claim to be of.",
		tv.Word("device", d.id), tv.Word("device-type", d.deviceType), tv.Hex("up-key", d.up))
	m := messages{f, typReport, typRequest, d.up, d.upKID, d.report()}
	m.accept("confirmed", m.good, tv.Num("nonce", 18), tv.Num("event", 4), tv.Num("sequence", sequence(1, 5)),
		tv.Hex("image-digest", digest("image 2.1.0")), tv.Num("reason", 0), tv.Word("detail", ""))
	m.accept("refused, with every field", m.good.with(4, num(6)).with(7, bstr(digest("a manifest"))).with(8, num(16)).with(9, tstr("sequence 1.3, installed 1.4")),
		tv.Num("event", 6), tv.Hex("target", digest("a manifest")), tv.Num("reason", 16), tv.Word("detail", "sequence 1.3, installed 1.4"))
	m.accept("detail of 256 bytes", m.good.with(9, tstr(strings.Repeat("~", 256))), tv.Word("detail", strings.Repeat("~", 256)))
	m.common(6, d)
	m.sender()
	m.invalid("digest of 31 bytes", m.good.with(6, bstr(make([]byte, 31))))
	m.add("event 0", reason.Unsupported, m.seal(m.good.with(4, num(0))))
	m.add("event 9", reason.Unsupported, m.seal(m.good.with(4, num(9))))
	m.invalid("event over 8 bits", m.good.with(4, num(256)))
	m.invalid("target of zeros", m.good.with(7, bstr(make([]byte, 32))))
	m.invalid("reason spelled out as 0", m.good.with(8, num(0)))
	m.invalid("detail spelled out as empty", m.good.with(9, tstr("")))
	m.invalid("detail of 257 bytes", m.good.with(9, tstr(strings.Repeat("~", 257))))
	m.invalid("detail with an escape character", m.good.with(9, tstr("\x1b[2J")))
	m.invalid("detail with a letter outside ASCII", m.good.with(9, tstr("é")))
	m.add("critical field 10", reason.Unsupported, m.seal(m.good.with(10, num(1))))
	return f.Bytes()
}

// sender has messages to the server that do not say properly whose they are:
// without that there is no key to check the MAC with.
func (m messages) sender() {
	m.invalid("device id empty", m.good.with(1, tstr("")))
	m.invalid("device id of 65 bytes", m.good.with(1, tstr(strings.Repeat("d", 65))))
	m.invalid("device id that leaves its directory", m.good.with(1, tstr("../dev")))
	m.invalid("device type with a space", m.good.with(2, tstr("sensor v1")))
	m.add("of a device that nobody knows", reason.BadMAC, m.seal(m.good.with(1, tstr("dev-9999"))))
	m.add("of another type", reason.BadMAC, m.seal(m.good.with(2, tstr("sensor_v2"))))
}

// common has what is wrong with any COSE_Mac0 or payload.
func (m messages) common(last int64, d *device) {
	commonPayload(func(name string, expect reason.Reason, p []byte) { m.add(name, expect, m.sealed(p).encode()) }, m.good, last)
	good := m.sealed(m.good.encode())
	raw := good.encode()
	add := func(name string, expect reason.Reason, change func(*sealed)) {
		s := good
		change(&s)
		m.add("envelope: "+name, expect, s.encode())
	}
	malformed := func(name string, change func(*sealed)) { add(name, reason.Malformed, change) }
	wire := func(name string, rewrite func([][]byte) []byte) {
		malformed(name, func(s *sealed) { s.wire = rewrite })
	}
	header := func(items ...[]byte) func(*sealed) { return func(s *sealed) { s.protected = pairs(items...) } }
	kid := bstr(m.kid)
	untagged := reason.Malformed
	if m.typ == typResponse {
		untagged = reason.Unauthenticated // no COSE_Mac0 at all
	}
	m.add("envelope: empty", untagged, nil)
	m.add("envelope: a byte after it", reason.Malformed, append(slices.Clone(raw), 0))
	m.add("envelope: a byte short", reason.Malformed, raw[:len(raw)-1])
	m.add("envelope: JSON", untagged, []byte(`{"device":"dev-0001","nonce":17}`))
	add("without its tag", untagged, func(s *sealed) { s.tag = []byte{} })
	add("tag not the shortest", untagged, func(s *sealed) { s.tag = wide(6, 1, 17) })
	add("tag of COSE_Sign", untagged, func(s *sealed) { s.tag = head(6, 98) })
	malformed("unprotected headers", func(s *sealed) { s.unprotected = pairs(num(4), kid) })
	malformed("header without alg", header(num(4), kid, num(16), num(m.typ)))
	malformed("header without kid", header(num(1), num(5), num(16), num(m.typ)))
	malformed("header without typ", header(num(1), num(5), num(4), kid))
	malformed("header with one parameter more", header(num(1), num(5), num(3), num(0), num(4), kid, num(16), num(m.typ)))
	malformed("header empty", func(s *sealed) { s.protected = []byte{} })
	malformed("truncated HMAC, alg 4", header(num(1), num(4), num(4), kid, num(16), num(m.typ)))
	malformed("HMAC 384, alg 6", header(num(1), num(6), num(4), kid, num(16), num(m.typ)))
	malformed("alg in words", header(num(1), tstr("HS256"), num(4), kid, num(16), num(m.typ)))
	malformed("kid of seven bytes", header(num(1), num(5), num(4), bstr(m.kid[:7]), num(16), num(m.typ)))
	malformed("kid as an array of numbers", header(num(1), num(5), num(4), numbers(m.kid), num(16), num(m.typ)))
	malformed("tag of eight bytes", func(s *sealed) { s.mac = func(t []byte) []byte { return t[:8] } })
	malformed("tag of sixteen bytes", func(s *sealed) { s.mac = func(t []byte) []byte { return t[:16] } })
	malformed("tag of 33 bytes", func(s *sealed) { s.mac = func(t []byte) []byte { return append(t, 0) } })
	malformed("tag empty", func(s *sealed) { s.mac = func([]byte) []byte { return nil } })
	wire("array of three", func(p [][]byte) []byte { return array(p[0], p[1], p[2]) })
	wire("array of five", func(p [][]byte) []byte { return array(p[0], p[1], p[2], p[3], array()) })
	wire("payload detached", func(p [][]byte) []byte { return array(p[0], p[1], []byte{0xf6}, p[3]) })
	wire("tag as an array of numbers", func(p [][]byte) []byte { return array(p[0], p[1], p[2], numbers(p[3][2:])) })
	wire("header as an array of numbers", func(p [][]byte) []byte { return array(numbers(p[0][1:]), p[1], p[2], p[3]) })
	add("another kind of object", reason.WrongKind, func(s *sealed) { s.typ = m.otherTyp })
	add("MAC of zeros", reason.BadMAC, func(s *sealed) { s.mac = func([]byte) []byte { return make([]byte, 32) } })
	add("MAC with one bit changed", reason.BadMAC, func(s *sealed) { s.mac = func(t []byte) []byte { t[31] ^= 1; return t } })
	add("MAC in the context of COSE_Mac", reason.BadMAC, func(s *sealed) { s.context = "MAC" })
	add("another key under the kid", reason.BadMAC, func(s *sealed) { s.key = d.otherUp })
	add("another kid under the key", reason.BadMAC, func(s *sealed) { s.kid = bytes.Repeat([]byte{1}, 8) })
	add("the key of the next generation", reason.BadMAC, func(s *sealed) { s.key, s.kid = d.nextGen, symmetricKID(d.nextGen) })
	padded := func(size int) []byte {
		pad := func(n int) []byte { return m.seal(m.good.with(200, bstr(make([]byte, n)))) }
		return pad(size - len(pad(600)) + 600)
	}
	m.add("envelope: 1,024 bytes", reason.None, padded(1024))
	m.add("envelope: 1,025 bytes", reason.TooLarge, padded(1025))
}
