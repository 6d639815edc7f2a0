package bench

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A report is the table of docs/benchmarks.md.
type report struct{ rows [][3]string }

func newReport() *report { return &report{} }

func (r *report) add(what, measured, goal string) {
	r.rows = append(r.rows, [3]string{what, measured, goal})
}

// compare adds the medians of a sample, and the ratios to those of the peers.
func (r *report) compare(what string, s sample, overBare, overNginx float64) {
	ours := median(s.ours)
	text := fmt.Sprintf("%s CPU", short(ours))
	var goals []string
	if len(s.bare) > 0 {
		text += fmt.Sprintf("; bare net/http %s: **%.2f ×**", short(median(s.bare)), ratio(s.ours, s.bare))
		goals = append(goals, fmt.Sprintf("≤ %.1f × bare", overBare))
	}
	if len(s.nginx) > 0 {
		text += fmt.Sprintf("; nginx %s: **%.2f ×**", short(median(s.nginx)), ratio(s.ours, s.nginx))
		goals = append(goals, fmt.Sprintf("≤ %.1f × nginx", overNginx))
	}
	r.add(what, text, strings.Join(goals, ", "))
}

// ratio is the median of the ratios in each round: what else runs on the
// machine changes from one to the next.
func ratio(a, b []time.Duration) float64 {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		ratios = append(ratios, float64(a[i])/float64(b[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func short(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1000)
	}
	return fmt.Sprintf("%.0f ms", ms(d))
}

// Marks in docs/benchmarks.md between which the table stands.
const (
	tableBegin = "<!-- table of make bench -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// write logs the table, and in a full run puts it into the file that
// OTA_BENCH_WRITE names.
func (r *report) write(t *testing.T, c scale) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s, Linux %s, %s. %d devices, medians of %d rounds.\n\n", cpuName(), runtime.NumCPU(), memory(), kernel(),
		runtime.Version(), c.devices, c.rounds)
	b.WriteString("| what | measured | goal |\n|---|---|---|\n")
	for _, row := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row[0], row[1], row[2])
	}
	t.Log("\n" + b.String())
	file := os.Getenv("OTA_BENCH_WRITE")
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	if err := os.WriteFile(file, []byte(before+tableBegin+"\n"+b.String()+"\n"+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cpuName() string { return field1("/proc/cpuinfo", "model name") }
func memory() string {
	var kb int
	fmt.Sscanf(field1("/proc/meminfo", "MemTotal"), "%d", &kb)
	return fmt.Sprintf("%d GiB", (kb+1<<19)>>20)
}

func kernel() string {
	raw, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(raw))
}

// field1 returns the first value of that name in a file of "name: value" lines.
func field1(file, name string) string {
	raw, _ := os.ReadFile(file)
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
