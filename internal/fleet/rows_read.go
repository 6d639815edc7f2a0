package fleet

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// A deviceReader reads rows of the table of devices, one after the other, into
// the same variables: a server reads a million when it starts.
type deviceReader struct {
	columns []any // where deviceColumns are scanned

	deviceType, id, vendor, hardwareRevision, detail, note, pin                                              string
	level, generation, revoked, running, keyset, boot, lastError, confirmed, epoch, counter, retry, event    integer
	eventMS, reportNonce, checkNonce, offerMS, startedMS, addedMS, seenMS, revision, hold, updateNow, number integer
	labels, token, runningDigest, confirmedDigest, rejected, offerManifest, offerImage                       octets

	// known are labels by their JSON: many devices have the same.
	known map[string]map[string]string
}

func newDeviceReader() *deviceReader {
	r := &deviceReader{known: map[string]map[string]string{}}
	r.columns = []any{
		&r.deviceType, &r.id, &r.vendor, &r.level, &r.generation, &r.revoked, &r.hardwareRevision, &r.labels, &r.token,
		&r.running, &r.runningDigest, &r.keyset, &r.boot, &r.lastError, &r.confirmed, &r.confirmedDigest,
		&r.epoch, &r.counter, &r.rejected, &r.retry, &r.event, &r.eventMS, &r.detail,
		&r.reportNonce, &r.checkNonce, &r.offerManifest, &r.offerImage, &r.offerMS, &r.startedMS, &r.addedMS, &r.seenMS, &r.revision,
		&r.note, &r.hold, &r.pin, &r.updateNow, &r.number,
	}
	return r
}

// device returns the device that was scanned.
func (r *deviceReader) device() (*Device, error) {
	labels, ok := r.known[string(r.labels)]
	if !ok {
		if err := json.Unmarshal(r.labels, &labels); err != nil {
			return nil, fmt.Errorf("device %s/%s: labels: %w", r.deviceType, r.id, err)
		}
		if len(r.known) == maxUnpacked {
			clear(r.known)
		}
		r.known[string(r.labels)] = labels
	}
	d := &Device{
		Ref: Ref{r.deviceType, r.id}, Vendor: r.vendor, HardwareRevision: r.hardwareRevision, Labels: labels,
		Level: Level(r.level), Generation: uint32(r.generation), Revoked: r.revoked != 0, Token: auth.TokenHash(r.token),
		Note: r.note, Hold: r.hold != 0, Pin: r.pin, UpdateNow: r.updateNow != 0,
		Installed:     Running{manifest.Sequence(r.running), manifest.Digest(r.runningDigest)},
		KeysetVersion: uint32(r.keyset), Boot: trust.BootState(r.boot), LastError: trust.Reason(r.lastError),
		Confirmed:     Running{manifest.Sequence(r.confirmed), manifest.Digest(r.confirmedDigest)},
		RetryRejected: r.retry != 0,
		LastEvent:     trust.Event(r.event), LastEventAt: timeOf(int64(r.eventMS)), LastDetail: r.detail,
		ReportNonce: uint64(r.reportNonce), CheckNonce: uint64(r.checkNonce),
		Offer: Offer{
			manifest.Digest(r.offerManifest), manifest.Digest(r.offerImage), timeOf(int64(r.offerMS)), timeOf(int64(r.startedMS)),
		},
		AddedAt: timeOf(int64(r.addedMS)), LastSeen: timeOf(int64(r.seenMS)),
		revision: int64(r.revision), number: uint32(r.number),
	}
	d.Floor.Epoch, d.Floor.Counter = uint32(r.epoch), uint32(r.counter)
	for rest := r.rejected; len(rest) > 0; rest = rest[len(manifest.Digest{}):] {
		d.Rejected = append(d.Rejected, manifest.Digest(rest[:len(manifest.Digest{})]))
	}
	return d, nil
}

// An integer and octets are columns that are scanned without reflection, and
// octets into the same bytes again and again.
type (
	integer int64
	octets  []byte
)

// Scan implements sql.Scanner.
func (i *integer) Scan(src any) error {
	v, ok := src.(int64)
	*i = integer(v)
	return ofType(ok, src, "an integer")
}

// Scan implements sql.Scanner.
func (o *octets) Scan(src any) error {
	v, ok := src.([]byte)
	*o = append((*o)[:0], v...)
	return ofType(ok, src, "bytes")
}

func ofType(ok bool, src any, want string) error {
	if !ok {
		return fmt.Errorf("a column is of type %T and not %s", src, want)
	}
	return nil
}
