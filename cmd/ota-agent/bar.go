package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/secure-ota/secure-ota/client"
)

// A bar shows a download on a terminal, and nothing anywhere else.
type bar struct {
	env   *environment
	shown time.Time
	on    bool
}

// barWidth is the length of the bar, in characters.
const barWidth = 30

func newBar(env *environment) *bar {
	f, ok := env.stderr.(*os.File)
	return &bar{env: env, on: ok && !env.json && term.IsTerminal(int(f.Fd()))}
}

func (b *bar) show(p client.Progress) {
	end := p.Done == p.Total
	if !b.on || !end && time.Since(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = time.Now()
	full := int(barWidth * p.Done / p.Total)
	done, left := strings.Repeat("#", full), strings.Repeat(".", barWidth-full)
	if os.Getenv("NO_COLOR") == "" {
		done = "\x1b[32m" + done + "\x1b[0m"
	}
	fmt.Fprintf(b.env.stderr, "\r%s [%s%s] %3d%% %.1f MB ", p.Version, done, left, 100*p.Done/p.Total, float64(p.Done)/1e6)
	if end {
		fmt.Fprintln(b.env.stderr)
	}
}
