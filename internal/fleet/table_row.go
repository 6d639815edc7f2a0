package fleet

import (
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// A row is a Device in 80 bytes without pointers. What many devices have in
// common stands in pools, what few have in rare.
//
// A new field of Device goes, by what it is, into model, remarks, progress,
// event or rare, and nowhere else: pack and unpack below are the one place that
// knows, and TestARowIsTheWholeDevice finds what they forget.
type row struct {
	reportNonce, checkNonce                                      uint64
	revision, seenMS, addedMS, lastEventMS, offeredMS, startedMS uint48
	name, model, remarks, progress, event, offer                 uint32
	fullAt                                                       bucket // of the rate of requests
}

// A model is what a device is, and under which keys.
type model struct {
	vendor, hardwareRevision string
	level                    Level
	generation               uint32
	revoked                  bool
}

// remarks are what operators noted on a device.
type remarks struct {
	labels    string // see packLabels
	note, pin string

	hold, updateNow, retryRejected bool
}

// A progress is what a device says that it runs, and what it has proved.
type progress struct {
	installed     Running
	keysetVersion uint32
	boot          trust.BootState
	lastError     trust.Reason
	confirmed     Running
	floor         rollback.Floor
}

// An event is what a device reported last.
type event struct {
	event  trust.Event
	detail string
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
	t.models.replace(&r.model, model{d.Vendor, d.HardwareRevision, d.Level, d.Generation, d.Revoked})
	t.remarks.replace(&r.remarks, remarks{packLabels(d.Labels), d.Note, d.Pin, d.Hold, d.UpdateNow, d.RetryRejected})
	t.progress.replace(&r.progress, progress{d.Installed, d.KeysetVersion, d.Boot, d.LastError, d.Confirmed, d.Floor})
	t.events.replace(&r.event, event{d.LastEvent, d.LastDetail})
	t.offers.replace(&r.offer, offered{d.Offer.Manifest, d.Offer.Image})
	r.offeredMS, r.startedMS = packTime(d.Offer.At), packTime(d.Offer.StartedAt)
	r.reportNonce, r.revision = d.ReportNonce, packUint48(uint64(d.revision))
	r.addedMS, r.lastEventMS = packTime(d.AddedAt), packTime(d.LastEventAt)
	t.part(number).setRare(number, rare{d.Rejected, d.Token})
}

// unpack is the reverse of pack, and all of the row. ref is its name.
func (t *table) unpack(r *row, number uint32, ref Ref, d *Device) {
	m, n, p, e := t.models.value(r.model), t.remarks.value(r.remarks), t.progress.value(r.progress), t.events.value(r.event)
	o, x := t.offers.value(r.offer), t.part(number).rare[number]
	*d = Device{
		Ref: ref, Vendor: m.vendor, Level: m.level, Generation: m.generation, HardwareRevision: m.hardwareRevision, Revoked: m.revoked,
		Labels: t.labels.unpack(n.labels), Note: n.note, Pin: n.pin, Hold: n.hold, UpdateNow: n.updateNow, RetryRejected: n.retryRejected,
		Token: x.token, Rejected: x.rejected,
		Installed: p.installed, KeysetVersion: p.keysetVersion, Boot: p.boot, LastError: p.lastError,
		Confirmed: p.confirmed, Floor: p.floor,
		LastEvent: e.event, LastEventAt: r.lastEventMS.time(), LastDetail: e.detail,
		ReportNonce: r.reportNonce, CheckNonce: r.checkNonce,
		Offer:   Offer{o.manifest, o.image, r.offeredMS.time(), r.startedMS.time()},
		AddedAt: r.addedMS.time(), LastSeen: r.seenMS.time(),
		revision: int64(r.revision.value()), number: number,
	}
}

func (p *part) setRare(number uint32, x rare) {
	if x.isZero() {
		delete(p.rare, number)
		return
	}
	if p.rare == nil {
		p.rare = map[uint32]rare{}
	}
	p.rare[number] = x
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
