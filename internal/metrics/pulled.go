package metrics

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// Limits of what a scrape may cost.
const (
	pullTimeout = 5 * time.Second  // for what stands in the database
	tallyLife   = 15 * time.Second // of a count of all devices, whoever scrapes in between
)

// A Cohort is how many devices of a type are in a state.
type Cohort struct {
	DeviceType, State string
	Devices           int
}

// A Rollout is how far a rollout is.
type Rollout struct {
	Name, State string
	Devices     map[string]int // by what they do; nil: it is over, or has not begun
}

// AuditState is how far the audit log is.
type AuditState struct {
	Head         int64     // number of its newest record
	Checkpoint   int64     // of the record that the newest checkpoint is of; 0: none
	CheckpointAt time.Time // when that was signed; zero: never
}

// Sources are read by a scrape. What is nil, or fails, has no metric in that
// scrape.
type Sources struct {
	Devices     func() []Cohort                           // by type
	Rollouts    func(context.Context) ([]Rollout, error)  // all of them
	Refreshed   func() time.Time                          // when the snapshot was last known to be what the database holds
	Stored      func() bool                               // the database answered when it was last asked
	Writable    func() bool                               // and stores what it is given
	Audit       func(context.Context) (AuditState, error) //
	Connections func() int                                // that are open
	Room        func() (free int64, err error)            // bytes of the disk under the data directory
	Certificate func() (notAfter time.Time, hasOne bool)  // of the TLS listener
	Now         func() time.Time                          // nil: time.Now
}

// pulled writes what Sources say.
type pulled struct {
	sources Sources

	mu      sync.Mutex
	tally   []Cohort
	tallied time.Time
}

func newPulled(s Sources) *pulled {
	if s.Now == nil {
		s.Now = time.Now
	}
	return &pulled{sources: s}
}

func (p *pulled) write(w io.Writer) {
	s := p.sources
	p.writeCohorts(w)
	if s.Refreshed != nil {
		gauge(w, "ota_snapshot_age_seconds", "since what devices are answered from was known to be what the database holds", max(0, s.Now().Sub(s.Refreshed()).Seconds()))
	}
	if s.Stored != nil {
		gauge(w, "ota_store_up", "1: the database answered when it was last asked", truth(s.Stored()))
	}
	if s.Writable != nil {
		gauge(w, "ota_store_writable", "1: the database stores what it is given", truth(s.Writable()))
	}
	if s.Connections != nil {
		gauge(w, "ota_connections_open", "connections of devices and operators", float64(s.Connections()))
	}
	if s.Room != nil {
		if free, err := s.Room(); err == nil {
			gauge(w, "ota_disk_free_bytes", "what can still be written under the data directory", float64(free))
		}
	}
	if s.Certificate != nil {
		if at, ok := s.Certificate(); ok {
			gauge(w, "ota_tls_certificate_expiry_timestamp_seconds", "end of the TLS listener's certificate, Unix time", float64(at.Unix()))
		}
	}
	p.writeRollouts(w)
	p.writeAudit(w)
}

func (p *pulled) writeRollouts(w io.Writer) {
	if p.sources.Rollouts == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	all, err := p.sources.Rollouts(ctx)
	if err != nil {
		return
	}
	states := map[string]int{}
	for _, r := range all {
		states[r.State]++
	}
	head(w, "ota_rollouts", "rollouts by state")
	for _, state := range slices.Sorted(maps.Keys(states)) {
		fmt.Fprintf(w, "ota_rollouts{state=%q} %d\n", state, states[state])
	}
	head(w, "ota_rollout_devices", "devices of the rollouts that are under way, by what they do")
	for _, r := range all {
		for _, state := range slices.Sorted(maps.Keys(r.Devices)) {
			fmt.Fprintf(w, "ota_rollout_devices{rollout=%q,state=%q} %d\n", r.Name, state, r.Devices[state])
		}
	}
}

func (p *pulled) writeAudit(w io.Writer) {
	if p.sources.Audit == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	a, err := p.sources.Audit(ctx)
	if err != nil { // ota_store_up says so
		return
	}
	gauge(w, "ota_audit_records", "records of the audit log", float64(a.Head))
	gauge(w, "ota_audit_unconfirmed_records", "records that no signed checkpoint covers yet", float64(a.Head-a.Checkpoint))
	if !a.CheckpointAt.IsZero() {
		gauge(w, "ota_audit_checkpoint_timestamp_seconds", "when the newest checkpoint was signed, Unix time", float64(a.CheckpointAt.UnixMilli())/1000)
	}
}

func (p *pulled) writeCohorts(w io.Writer) {
	cohorts := p.cohorts()
	if len(cohorts) == 0 {
		return
	}
	head(w, "ota_devices", "devices by type and state")
	for _, c := range cohorts {
		fmt.Fprintf(w, "ota_devices{device_type=%q,state=%q} %d\n", c.DeviceType, c.State, c.Devices)
	}
}

// cohorts counts the devices, or returns a count that is not old: a pass over a
// large fleet is not for everybody who scrapes.
func (p *pulled) cohorts() []Cohort {
	if p.sources.Devices == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.sources.Now(); p.tallied.IsZero() || now.Sub(p.tallied) >= tallyLife {
		p.tally, p.tallied = p.sources.Devices(), now
	}
	return p.tally
}

func gauge(w io.Writer, name, help string, v float64) {
	head(w, name, help)
	fmt.Fprintf(w, "%s %g\n", name, v)
}

func head(w io.Writer, name, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
