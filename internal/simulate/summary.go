package simulate

import (
	"context"
	"time"
)

// A Progress is how far a simulation has come.
type Progress struct {
	Phase           string  // what is done now
	Done, Total     float64 // of it, in devices or seconds
	ChecksPerSecond int64
	P99             time.Duration
	Versions        map[string]int64 // devices by the version that runs
}

// A Summary says how a simulation went. Times are in seconds.
type Summary struct {
	Devices         int     `json:"devices"`
	Seconds         float64 `json:"seconds"`
	Seed            uint64  `json:"seed"`
	Checks          int64   `json:"checks"`
	ChecksPerSecond float64 `json:"checks_per_second"`
	CheckTimes      Times   `json:"check_seconds"`
	Reports         int64   `json:"reports"`
	ReportTimes     Times   `json:"report_seconds"`
	Offers          int64   `json:"offers"`
	Downloads       int64   `json:"downloads"`

	Confirmed int64 `json:"confirmed"`
	Failed    int64 `json:"failed"`
	Reverted  int64 `json:"reverted"`
	Bricked   int64 `json:"bricked"`
	Reboots   int64 `json:"reboots"`

	Lost       int64  `json:"lost"`    // answers that the simulation threw away
	Refused    int64  `json:"refused"` // requests that the server answered with an error
	Broken     int64  `json:"broken"`  // requests without an answer
	FirstError string `json:"first_error,omitempty"`
	LateTicks  int64  `json:"late_ticks"` // of 10 ms, in which devices waited for a free connection

	Versions map[string]int64 `json:"versions"` // devices by the version that runs at the end
	Rollouts []Rollout        `json:"rollouts,omitempty"`
}

// Times are percentiles, in seconds.
type Times struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// A Rollout is how one went, as the server says.
type Rollout struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Target    int    `json:"target"`
	Touched   int    `json:"touched"`
	Confirmed int    `json:"confirmed"`
	Failed    int    `json:"failed"` // all that came to nothing
	Waits     string `json:"waits,omitempty"`
}

func (h *histogram) times() Times {
	return Times{h.percentile(50).Seconds(), h.percentile(90).Seconds(), h.percentile(99).Seconds(), h.percentile(100).Seconds()}
}

func (s *simulation) summary(took time.Duration, w *world) (Summary, error) {
	c := &s.count
	sum := Summary{
		Devices: s.cfg.Devices, Seconds: took.Seconds(), Seed: s.cfg.Seed,
		Checks: c.checks.Load(), ChecksPerSecond: float64(c.checks.Load()) / took.Seconds(), CheckTimes: s.latency.times(),
		Reports: c.reports.Load(), ReportTimes: s.reportLatency.times(), Offers: c.offers.Load(), Downloads: c.downloads.Load(),
		Confirmed: c.confirmed.Load(), Failed: c.failed.Load(), Reverted: c.reverted.Load(), Bricked: c.bricked.Load(), Reboots: c.reboots.Load(),
		Lost: c.lost.Load(), Refused: c.refused.Load(), Broken: c.broken.Load(), LateTicks: c.late.Load(), Versions: s.images.versions(),
	}
	if first := s.firstError.Load(); first != nil {
		sum.FirstError = *first
	}
	if w == nil {
		return sum, nil
	}
	var err error
	sum.Rollouts, err = w.rollouts(context.Background())
	return sum, err
}
