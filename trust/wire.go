package trust

import (
	"math"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
)

// An update check is the message that a server sees all day, and half of its
// cost would be the general decoder and encoder. What stands here reads and
// writes the same bytes field by field. It takes nothing that they would not
// take; whatever it does not take, they do, or say what is wrong with it.

// readCheckRequest reads the payload of a check request.
func readCheckRequest(payload []byte) (q CheckRequest, ok bool) {
	r := dcbor.NewReader(payload)
	next := uint64(0) // least key that may come
	for range r.Map() {
		key := r.Uint(10)
		if !r.OK() || key < next || key > next && next < 7 { // the first seven must be there
			return CheckRequest{}, false
		}
		next = key + 1
		absent := false // fields from 7 on are absent where they would be zero
		switch key {
		case 0:
			ok = r.Uint(MessageFormat) == MessageFormat
		case 1:
			q.Device = r.Text()
		case 2:
			q.DeviceType = r.Text()
		case 3:
			q.Nonce = r.Uint(math.MaxUint64)
		case 4:
			q.Sequence = manifest.Sequence(r.Uint(math.MaxUint64))
		case 5:
			digest := r.Bytes()
			if len(digest) != len(q.ImageDigest) {
				return CheckRequest{}, false
			}
			copy(q.ImageDigest[:], digest)
		case 6:
			q.KeysetVersion = uint32(r.Uint(math.MaxUint32))
		case 7:
			q.Boot = BootState(r.Uint(math.MaxUint8))
			absent = q.Boot == 0
		case 8:
			q.LastError = Reason(r.Uint(math.MaxUint8))
			absent = q.LastError == 0
		case 9:
			q.HardwareRevision = r.Text()
			absent = q.HardwareRevision == ""
		case 10:
			q.Capabilities = uint8(r.Uint(math.MaxUint8))
			absent = q.Capabilities == 0
		}
		if absent {
			return CheckRequest{}, false
		}
	}
	return q, ok && r.Done() && next >= 7
}

// append appends the payload of a check response without a patch.
func (w *checkResponsePayload) append(dst []byte) []byte {
	pairs := 6
	for _, there := range [...]bool{w.ManifestHash != nil, w.ManifestSize != 0, w.RetryRejected} {
		if there {
			pairs++
		}
	}
	dst = dcbor.AppendMap(dst, pairs)
	dst = dcbor.AppendUint(append(dst, 0), w.Format)
	dst = dcbor.AppendText(append(dst, 1), w.Device)
	dst = dcbor.AppendUint(append(dst, 3), w.Nonce)
	dst = dcbor.AppendUint(append(dst, 4), w.ServerTime)
	dst = dcbor.AppendUint(append(dst, 5), uint64(w.KeysetVersion))
	dst = dcbor.AppendUint(append(dst, 6), uint64(w.RetrySeconds))
	if w.ManifestHash != nil {
		dst = dcbor.AppendBytes(append(dst, 7), w.ManifestHash)
	}
	if w.ManifestSize != 0 {
		dst = dcbor.AppendUint(append(dst, 8), uint64(w.ManifestSize))
	}
	if w.RetryRejected {
		dst = append(dst, 10, cborTrue)
	}
	return dst
}

const cborTrue = 0xf5
