package gateway

import "fmt"

// steps is how many words a download is worth.
const steps = 10

// A download is what a device was given of an image so far.
type download struct {
	path string
	step uint64
}

// sayRead tells of an object that is read, and how far.
func (s *session) sayRead(q question, n int, total uint32) {
	if n == 0 {
		return
	}
	if q.Kind != kindImage {
		if q.Offset == 0 {
			s.log(Event{Event: "fetch", Device: s.who, Text: fmt.Sprintf("%s of %d bytes", q.Kind, total), Total: int64(total)})
		}
		return
	}
	done := uint64(q.Offset) + uint64(n)
	step := done * steps / uint64(total)
	begins := s.download.path != q.path() || step < s.download.step
	if !begins && step == s.download.step {
		return
	}
	s.download = download{q.path(), step}
	text := fmt.Sprintf("%d %%, %d of %d bytes", done*100/uint64(total), done, total)
	if begins && q.Offset > 0 {
		text += fmt.Sprintf(", resumed at %d", q.Offset)
	}
	s.log(Event{Event: "download", Device: s.who, Text: text, Done: int64(done), Total: int64(total)})
}
