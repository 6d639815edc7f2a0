package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/secure-ota/secure-ota/client"
)

// showProgress returns what shows a download: a bar on a terminal, and anywhere
// else a line of the log for each quarter.
func showProgress(env *environment) func(client.Progress) {
	if f, ok := env.stderr.(*os.File); ok && !env.json && term.IsTerminal(int(f.Fd())) {
		return (&bar{env: env}).show
	}
	return (&quarters{log: env.log()}).show
}

// quarters logs how far a download is, four times.
type quarters struct {
	log  *slog.Logger
	next int64 // percent
}

func (q *quarters) show(p client.Progress) {
	percent := 100 * p.Done / p.Total
	if q.next == 0 || percent < q.next-25 {
		q.next = 25 // another download
	}
	if percent < q.next {
		return
	}
	q.log.Info("downloading", "version", p.Version, "percent", percent, "bytes", p.Done)
	q.next = percent/25*25 + 25
}

// A bar shows a download on a terminal.
type bar struct {
	env   *environment
	shown time.Time
}

// barWidth is the length of the bar, in characters.
const barWidth = 30

func (b *bar) show(p client.Progress) {
	end := p.Done == p.Total
	if !end && time.Since(b.shown) < 100*time.Millisecond {
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
