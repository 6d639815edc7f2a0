package fleet

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/store"
)

// topicDevices is what every change of a device touches, so that other
// processes read the rows that changed and no others.
const topicDevices = "devices"

const deviceColumns = `device_type, id, vendor, level, generation, revoked, hardware_revision, labels, token_hash,
	running_sequence, running_digest, keyset_version, boot, last_error, confirmed_sequence, confirmed_digest,
	floor_epoch, floor_counter, rejected, retry_rejected, last_event, last_event_ms, last_detail,
	report_nonce, check_nonce, offer_manifest, offer_image, offer_ms, offer_started_ms, added_ms, seen_ms, revision,
	note, hold, pin, update_now, number`

// topicNumbers counts the numbers that were given to devices.
const topicNumbers = "device numbers"

// save writes a device's row, new or not, sets its revision, and gives it a
// number if it has none.
func save(tx *store.Tx, d *Device) (err error) {
	if d.revision, err = touched(tx, topicDevices); err != nil {
		return err
	}
	if d.number == 0 {
		number, err := touched(tx, topicNumbers)
		if err != nil {
			return err
		}
		d.number = uint32(number)
	}
	return write(tx, d)
}

// write is save of a device that has its revision and its number.
func write(tx *store.Tx, d *Device) error {
	labels, err := json.Marshal(d.Labels, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode labels: %w", err)
	}
	rejected := []byte{}
	for _, digest := range d.Rejected {
		rejected = append(rejected, digest[:]...)
	}
	_, err = tx.Exec(`INSERT INTO devices (`+deviceColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
			$17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)
		ON CONFLICT (device_type, id) DO UPDATE SET
			vendor = excluded.vendor, level = excluded.level, generation = excluded.generation, revoked = excluded.revoked,
			hardware_revision = excluded.hardware_revision, labels = excluded.labels, token_hash = excluded.token_hash,
			running_sequence = excluded.running_sequence, running_digest = excluded.running_digest,
			keyset_version = excluded.keyset_version, boot = excluded.boot, last_error = excluded.last_error,
			confirmed_sequence = excluded.confirmed_sequence, confirmed_digest = excluded.confirmed_digest,
			floor_epoch = excluded.floor_epoch, floor_counter = excluded.floor_counter, rejected = excluded.rejected,
			retry_rejected = excluded.retry_rejected, last_event = excluded.last_event, last_event_ms = excluded.last_event_ms,
			last_detail = excluded.last_detail, report_nonce = excluded.report_nonce, check_nonce = excluded.check_nonce,
			offer_manifest = excluded.offer_manifest, offer_image = excluded.offer_image, offer_ms = excluded.offer_ms,
			offer_started_ms = excluded.offer_started_ms, revision = excluded.revision,
			note = excluded.note, hold = excluded.hold, pin = excluded.pin, update_now = excluded.update_now`,
		d.DeviceType, d.ID, d.Vendor, int64(d.Level), int64(d.Generation), flag(d.Revoked), d.HardwareRevision, labels, d.Token[:],
		int64(d.Installed.Sequence), d.Installed.Digest[:], int64(d.KeysetVersion), int64(d.Boot), int64(d.LastError),
		int64(d.Confirmed.Sequence), d.Confirmed.Digest[:], int64(d.Floor.Epoch), int64(d.Floor.Counter), rejected,
		flag(d.RetryRejected), int64(d.LastEvent), millis(d.LastEventAt), d.LastDetail,
		int64(d.ReportNonce), int64(d.CheckNonce), d.Offer.Manifest[:], d.Offer.Image[:], millis(d.Offer.At), millis(d.Offer.StartedAt),
		millis(d.AddedAt), millis(d.LastSeen), d.revision, d.Note, flag(d.Hold), d.Pin, flag(d.UpdateNow), int64(d.number))
	return err
}

// touched counts a topic up and returns its revision.
func touched(tx *store.Tx, topic string) (revision int64, err error) {
	if err := tx.Touch(topic); err != nil {
		return 0, err
	}
	return tx.Revision(topic)
}

// load reads one device, or returns store.ErrNotFound.
func load(tx *store.Tx, ref Ref) (*Device, error) {
	r := newDeviceReader()
	err := tx.Get(`SELECT `+deviceColumns+` FROM devices WHERE device_type = $1 AND id = $2`, []any{ref.DeviceType, ref.ID}, r.columns...)
	if err != nil {
		return nil, err
	}
	return r.device()
}

// loadSince calls f for every device that changed after a revision.
func loadSince(tx *store.Tx, revision int64, f func(*Device) error) error {
	return loadEach(tx, `WHERE revision > $1`, []any{revision}, f)
}

// loadRange calls f for every device with a number from from to below to.
func loadRange(tx *store.Tx, from, to uint32, f func(*Device) error) error {
	return loadEach(tx, `WHERE number >= $1 AND number < $2`, []any{int64(from), int64(to)}, f)
}

// loadEach calls f for devices. Within f, no other statement may run.
func loadEach(tx *store.Tx, where string, args []any, f func(*Device) error) error {
	r := newDeviceReader()
	return tx.Each(`SELECT `+deviceColumns+` FROM devices `+where, args, func(scan func(...any) error) error {
		if err := scan(r.columns...); err != nil {
			return err
		}
		d, err := r.device()
		if err != nil {
			return err
		}
		return f(d)
	})
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// millis stores the zero time as 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
