package gateway

import "strings"

// A scanner takes what comes over a line apart: frames, text that a firmware
// prints between them, and noise. It holds at most one frame's bytes.
type scanner struct {
	buffer  []byte
	mixed   bool // not only text so far
	tooLong bool // drop up to the next delimiter
}

// A found is what the scanner found: a frame, a line of text, or noise. Most
// bytes find nothing.
type found struct {
	frame *frame
	text  string
	noise bool
}

// next takes the next byte.
func (s *scanner) next(b byte) found {
	if b == delimiter {
		return s.end()
	}
	if s.tooLong || len(s.buffer) == maxWire {
		s.tooLong = true
		return found{}
	}
	s.buffer = append(s.buffer, b)
	s.mixed = s.mixed || !isText(b)
	// The second byte of a frame is never text, being the upper half of its
	// length or what follows a zero: no frame is taken for a line.
	if b == '\n' && !s.mixed && len(s.buffer) > 1 {
		defer s.reset()
		return found{text: s.text()}
	}
	return found{}
}

// end takes a delimiter.
func (s *scanner) end() found {
	defer s.reset()
	switch {
	case s.tooLong:
		return found{noise: true}
	case !s.mixed:
		return found{text: s.text()}
	}
	f, ok := decodeFrame(s.buffer)
	if !ok || lengthSize+len(f.body)+crcSize > maxQuestion {
		return found{noise: true}
	}
	return found{frame: &f}
}

// text is the line without what moves a cursor: a carriage return in it would
// write over the words that the log has before it.
func (s *scanner) text() string {
	return strings.TrimSpace(strings.NewReplacer("\r", " ", "\t", " ").Replace(string(s.buffer)))
}

func (s *scanner) reset() { *s = scanner{buffer: s.buffer[:0]} }

func isText(b byte) bool { return b == '\t' || b == '\n' || b == '\r' || ' ' <= b && b <= '~' }
