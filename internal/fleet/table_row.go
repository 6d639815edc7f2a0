package fleet

import (
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// A row is a Device in 88 bytes without pointers. What many devices have in
// common stands in pools, what few have in rare.
//
// A new field of Device goes, by what it is, into model, said, proven or
// remarks, into a flag or into rare, and nowhere else: pack and unpack below
// are the one place that knows, and TestARowIsTheWholeDevice finds what they
// forget.
type row struct {
	reportNonce, checkNonce                                      uint64
	revision, seenMS, addedMS, lastEventMS, offeredMS, startedMS uint48
	name, model, said, proven, remarks, detail, offer            uint32
	fullAt                                                       bucket // of the rate of requests
	flags                                                        uint8
	lastEvent                                                    trust.Event
	sorted                                                       bool // under the lock of table.growing, as name is
}

// Flags of a row.
const (
	flagRevoked = 1 << iota
	flagRetryRejected
	flagHold
	flagUpdateNow
	flagRare // there is more of it in rare
)

// A model is what a device is, and under which keys.
type model struct {
	vendor, hardwareRevision string
	level                    Level
	generation               uint32
}

// said is what a device says of itself.
type said struct {
	installed     Running
	keysetVersion uint32
	boot          trust.BootState
	lastError     trust.Reason
}

// proven is what a device has proved.
type proven struct {
	confirmed Running
	floor     rollback.Floor
}

// remarks are what operators noted on a device.
type remarks struct {
	labels    string // see packLabels
	note, pin string
}

// An offered is an Offer without its times.
type offered struct{ manifest, image manifest.Digest }

// rare is what few devices have.
type rare struct {
	rejected []manifest.Digest
	token    auth.TokenHash
}

func (r rare) isZero() bool { return len(r.rejected) == 0 && r.token == auth.TokenHash{} }

// pack stores a device in its row, whose lock the caller holds, save for what
// finds it and for what moves on without a revision: name, last-seen time,
// nonce of a check, rate.
func (t *table) pack(r *row, number uint32, d *Device) {
	t.models.replace(&r.model, model{d.Vendor, d.HardwareRevision, d.Level, d.Generation})
	t.said.replace(&r.said, said{d.Installed, d.KeysetVersion, d.Boot, d.LastError})
	t.proven.replace(&r.proven, proven{d.Confirmed, d.Floor})
	t.remarks.replace(&r.remarks, remarks{packLabels(d.Labels), d.Note, d.Pin})
	t.details.replace(&r.detail, d.LastDetail)
	t.offers.replace(&r.offer, offered{d.Offer.Manifest, d.Offer.Image})
	r.offeredMS, r.startedMS = packTime(d.Offer.At), packTime(d.Offer.StartedAt)
	r.reportNonce, r.revision = d.ReportNonce, packUint48(uint64(d.revision))
	r.addedMS, r.lastEvent, r.lastEventMS = packTime(d.AddedAt), d.LastEvent, packTime(d.LastEventAt)
	r.setFlag(flagRevoked, d.Revoked)
	r.setFlag(flagRetryRejected, d.RetryRejected)
	r.setFlag(flagHold, d.Hold)
	r.setFlag(flagUpdateNow, d.UpdateNow)
	t.packRare(r, number, rare{d.Rejected, d.Token})
}

// unpack is the reverse of pack, and all of the row. ref is its name.
func (t *table) unpack(r *row, number uint32, ref Ref, d *Device) {
	m, s, p := t.models.value(r.model), t.said.value(r.said), t.proven.value(r.proven)
	n, o, x := t.remarks.value(r.remarks), t.offers.value(r.offer), t.unpackRare(r, number)
	*d = Device{
		Ref: ref, Vendor: m.vendor, Level: m.level, Generation: m.generation, HardwareRevision: m.hardwareRevision,
		Revoked: r.flags&flagRevoked != 0, RetryRejected: r.flags&flagRetryRejected != 0,
		Labels: t.labels.unpack(n.labels), Note: n.note, Pin: n.pin, Hold: r.flags&flagHold != 0, UpdateNow: r.flags&flagUpdateNow != 0,
		Token: x.token, Rejected: x.rejected,
		Installed: s.installed, KeysetVersion: s.keysetVersion, Boot: s.boot, LastError: s.lastError,
		Confirmed: p.confirmed, Floor: p.floor,
		LastEvent: r.lastEvent, LastEventAt: r.lastEventMS.time(), LastDetail: t.details.value(r.detail),
		ReportNonce: r.reportNonce, CheckNonce: r.checkNonce,
		Offer:   Offer{o.manifest, o.image, r.offeredMS.time(), r.startedMS.time()},
		AddedAt: r.addedMS.time(), LastSeen: r.seenMS.time(),
		revision: int64(r.revision.value()), number: number,
	}
}

func (t *table) packRare(r *row, number uint32, x rare) {
	part := t.part(number)
	switch {
	case !x.isZero():
		if part.rare == nil {
			part.rare = map[uint32]rare{}
		}
		part.rare[number] = x
	case r.flags&flagRare != 0:
		delete(part.rare, number)
	}
	r.setFlag(flagRare, !x.isZero())
}

func (t *table) unpackRare(r *row, number uint32) (x rare) {
	if r.flags&flagRare != 0 {
		x = t.part(number).rare[number]
	}
	return x
}

func (r *row) setFlag(flag uint8, on bool) {
	r.flags &^= flag
	if on {
		r.flags |= flag
	}
}

// A uint48 is a number below 2^48, such as milliseconds for 8,900 years.
type uint48 [6]byte

func packUint48(v uint64) uint48 {
	return uint48{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24), byte(v >> 32), byte(v >> 40)}
}

func (v uint48) value() uint64 {
	return uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 | uint64(v[4])<<32 | uint64(v[5])<<40
}

// packTime keeps milliseconds, as the store does.
func packTime(t time.Time) uint48 { return packUint48(uint64(max(0, millis(t)))) }

func (v uint48) time() time.Time { return timeOf(int64(v.value())) }
