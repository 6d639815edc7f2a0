package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/secure-ota/secure-ota/internal/fleet"
)

// maxEntry bounds what is read of a file for one device, in bytes.
const maxEntry = 256 << 10

// An Entry is a device as a file says it should be.
type Entry struct {
	fleet.ImportDevice
	Place Place
}

// Read yields the devices of a file, which is JSON if it begins with [ or {,
// and otherwise CSV. It stops at the first error, which is an *Error unless
// reading failed. A device that is in the file twice is one.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		input := &bounded{r: r, left: maxEntry}
		buffered := bufio.NewReader(input)
		next, err := open(buffered)
		seen := map[fleet.Ref]Place{}
		for err == nil {
			var e Entry
			input.left = maxEntry
			if e, err = next(); err != nil {
				break
			}
			if first, twice := seen[e.Ref]; twice {
				err = &Error{e.Place, fmt.Errorf("device %s stands in %s already", e.Ref, first)}
				break
			}
			seen[e.Ref] = e.Place
			if !yield(e, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(Entry{}, err)
		}
	}
}

// Pages yields the devices of a file in pages of at most n, as Read does. A page
// is valid until the next one.
func Pages(r io.Reader, n int) iter.Seq2[[]Entry, error] {
	return func(yield func([]Entry, error) bool) {
		var page []Entry
		for e, err := range Read(r) {
			if err != nil {
				yield(nil, err)
				return
			}
			if page = append(page, e); len(page) < n {
				continue
			}
			if !yield(page, nil) {
				return
			}
			page = page[:0]
		}
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}

// open finds out what the file is, and returns a function that reads the next
// device of it, io.EOF after the last.
func open(r *bufio.Reader) (next func() (Entry, error), err error) {
	if err := skipBOM(r); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		ahead, err := r.Peek(n)
		if len(ahead) < n {
			if errors.Is(err, io.EOF) {
				err = &Error{Place{"line", 1}, errors.New("the file is empty")}
			}
			return nil, err
		}
		switch c := ahead[n-1]; c {
		case ' ', '\t', '\r', '\n':
		case '[', '{':
			return newJSON(r)
		default:
			return newCSV(r)
		}
	}
}

// skipBOM skips the mark with which some programs begin UTF-8.
func skipBOM(r *bufio.Reader) error {
	const mark = "\xef\xbb\xbf"
	ahead, err := r.Peek(len(mark))
	if string(ahead) == mark {
		_, err = r.Discard(len(mark))
		return err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// bounded reads no further than so many bytes, which whoever reads an entry
// sets anew: a quote that is never closed would read a file of any length into
// memory.
type bounded struct {
	r    io.Reader
	left int
}

var errTooLong = fmt.Errorf("more than %d bytes for one device", maxEntry)

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
