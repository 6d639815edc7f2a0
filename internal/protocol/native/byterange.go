package native

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A span is a part of a file, in bytes.
type span struct{ start, length int64 }

// contentRange returns the value of Content-Range.
func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.start, s.start+s.length-1, size)
}

// errRange answers 416.
var errRange = errors.New("range not satisfiable")

// parseRange reads the Range headers of a request for a file of that size. It
// returns partial false where there is nothing to obey: no header, or a unit
// other than bytes (RFC 9110 section 14.2).
//
// Several ranges are refused, not served as multipart: no device asks for
// them, and overlapping ones are a known way to multiply a server's work.
func parseRange(headers []string, size int64) (s span, partial bool, err error) {
	whole := span{0, size}
	if len(headers) == 0 {
		return whole, false, nil
	}
	unit, spec, ok := strings.Cut(headers[0], "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return whole, false, nil
	}
	if len(headers) > 1 || strings.Contains(spec, ",") {
		return whole, false, fmt.Errorf("%w: one range at a time", errRange)
	}
	from, to, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return whole, false, fmt.Errorf("%w: %q", errRange, spec)
	}
	first, last := int64(0), size-1
	if from == "" { // the last N bytes
		n, err := position(to)
		if err != nil || n == 0 {
			return whole, false, fmt.Errorf("%w: %q", errRange, spec)
		}
		first = max(0, size-n)
	} else if first, err = position(from); err != nil {
		return whole, false, err
	} else if to != "" {
		end, err := position(to)
		if err != nil {
			return whole, false, err
		}
		if end < first {
			return whole, false, fmt.Errorf("%w: %q ends before it begins", errRange, spec)
		}
		last = min(last, end)
	}
	if first >= size {
		return whole, false, fmt.Errorf("%w: starts at %d, the file has %d bytes", errRange, first, size)
	}
	return span{first, last - first + 1}, true, nil
}

// position reads digits and nothing else; a number beyond every file is as
// good as the largest.
func position(text string) (int64, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, fmt.Errorf("%w: %q is not a position", errRange, text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt64, nil
	}
	return n, err
}
