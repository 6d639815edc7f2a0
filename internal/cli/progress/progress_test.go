package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestNothingIsDrawnButOnATerminal(t *testing.T) {
	var out bytes.Buffer
	bar := New(&out, "upload", time.Now, func(string) string { return "" })
	bar.Show(1, 2)
	bar.Show(2, 2)
	bar.End()
	if out.Len() > 0 {
		t.Errorf("drawn: %q", out.String())
	}
}

func TestBarShowsHowMuchIsDone(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(100, 0)
	bar := &Bar{out: &out, name: "upload", now: func() time.Time { return now }}
	bar.Show(1<<20, 4<<20)
	if want := "\rupload [=======                       ]  25%  1 MiB of 4 MiB "; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	bar.Show(2<<20, 4<<20) // at once: not worth a drawing
	if out.Len() > 0 {
		t.Errorf("drawn too often: %q", out.String())
	}
	bar.Show(4<<20, 4<<20) // the end is always drawn
	bar.End()
	if !strings.Contains(out.String(), "100%") || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("got %q", out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours without being asked for")
	}
}
