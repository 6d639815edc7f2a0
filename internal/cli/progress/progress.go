// Package progress draws a progress bar for long transfers, on terminals only.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	width    = 30                     // of the bar, in characters
	interval = 100 * time.Millisecond // between two drawings
)

// A Bar shows how much of something is done. The zero Bar draws nothing.
type Bar struct {
	out    io.Writer
	name   string
	now    func() time.Time
	last   time.Time
	drawn  bool
	colour bool
}

// New returns a bar on out if that is a terminal, else one that draws nothing.
func New(out io.Writer, name string, now func() time.Time, getenv func(string) string) *Bar {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || getenv("TERM") == "dumb" {
		return &Bar{}
	}
	return &Bar{out: out, name: name, now: now, colour: getenv("NO_COLOR") == ""}
}

// Show draws that done of total bytes are there.
func (b *Bar) Show(done, total int64) {
	if b.out == nil || total <= 0 {
		return
	}
	now := b.now()
	if done < total && now.Sub(b.last) < interval {
		return
	}
	b.last, b.drawn = now, true
	fmt.Fprintf(b.out, "\r%s %s %3d%%  %s of %s ", b.name, b.bar(done, total), done*100/total, size(done), size(total))
}

func (b *Bar) bar(done, total int64) string {
	full := int(done * width / total)
	text := strings.Repeat("=", full) + strings.Repeat(" ", width-full)
	if b.colour {
		return "[\x1b[32m" + text[:full] + "\x1b[0m" + text[full:] + "]"
	}
	return "[" + text + "]"
}

// End ends the line, if there is one.
func (b *Bar) End() {
	if b.drawn {
		fmt.Fprintln(b.out)
		b.drawn = false
	}
}

// size returns a number of bytes in words of three or four characters.
func size(n int64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1024 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%d GiB", n)
}
