package progress

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// A Block is some lines that are drawn again in place on a terminal. Elsewhere
// each drawing that differs from the one before follows it.
type Block struct {
	out      io.Writer
	terminal bool
	colour   bool
	drawn    []string
}

// NewBlock returns a block on out.
func NewBlock(out io.Writer, getenv func(string) string) *Block {
	f, ok := out.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd())) && getenv("TERM") != "dumb"
	return &Block{out: out, terminal: terminal, colour: terminal && getenv("NO_COLOR") == ""}
}

// Draw draws the lines.
func (b *Block) Draw(lines []string) {
	if strings.Join(lines, "\n") == strings.Join(b.drawn, "\n") {
		return
	}
	var text strings.Builder
	if b.terminal && len(b.drawn) > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\x1b[J", len(b.drawn)) // up to the first line, and all below is gone
	}
	for _, line := range lines {
		text.WriteString(line)
		text.WriteByte('\n')
	}
	b.drawn = lines
	io.WriteString(b.out, text.String())
}

// Bar returns a bar of a width in characters: of total, good are done and bad
// have failed.
func (b *Block) Bar(good, bad, total, width int) string {
	if total <= 0 {
		total = 1
	}
	full := min(good*width/total, width)
	failed := min((bad*width+total-1)/total, width-full)
	done, wrong, rest := strings.Repeat("=", full), strings.Repeat("x", failed), strings.Repeat(" ", width-full-failed)
	if b.colour {
		return "[\x1b[32m" + done + "\x1b[31m" + wrong + "\x1b[0m" + rest + "]"
	}
	return "[" + done + wrong + rest + "]"
}
