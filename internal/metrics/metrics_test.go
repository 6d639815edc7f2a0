package metrics

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

func scrape(m *Metrics) string {
	var text strings.Builder
	m.Write(&text)
	return text.String()
}

func TestWhatIsCountedIsWritten(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	m := New("1.2.3", Sources{
		Devices: func() []Cohort { return []Cohort{{"gateway", "idle", 7}, {"gateway", "offered", 1}} },
		Rollouts: func(context.Context) ([]Rollout, error) {
			return []Rollout{{"spring", "running", map[string]int{"confirmed": 3, "failed": 1}}, {"old", "completed", nil}}, nil
		},
		Refreshed:   func() time.Time { return at.Add(-3 * time.Second) },
		Stored:      func() bool { return true },
		Audit:       func(context.Context) (AuditState, error) { return AuditState{10, 8, at}, nil },
		Connections: func() int { return 4 },
		Room:        func() (int64, error) { return 1 << 30, nil },
		Certificate: func() (time.Time, bool) { return at, true },
		Now:         func() time.Time { return at },
	})
	m.Checked(false, time.Now())
	m.Checked(true, time.Now().Add(-2*time.Second))
	m.Checked(true, time.Time{}) // not timed
	m.Reported(trust.EventConfirmed)
	m.Reported(99)
	m.Enrolled()
	m.Refused(401, reason.BadMAC)
	m.Sent(1000)
	m.Streamed(nil)
	m.Streamed(errors.New("cut"))
	m.Managed("GET", "GET /api/v1/devices/{type}/{id}", 200, time.Millisecond)
	m.Managed("BREW", "/", 405, time.Millisecond)
	m.NotAuthenticated()
	m.Crowded()
	m.Stored(time.Millisecond, errors.New("full"))
	got := scrape(m)
	for _, line := range []string{
		`ota_checks_total{outcome="nothing"} 1`, `ota_checks_total{outcome="offered"} 2`,
		`ota_check_duration_seconds_bucket{le="1"} 1`, `ota_check_duration_seconds_bucket{le="+Inf"} 2`, `ota_check_duration_seconds_count 2`,
		`ota_reports_total{event="confirmed"} 1`, `ota_reports_total{event="reverted"} 0`, `ota_enrolments_total 1`,
		`ota_device_refusals_total{status="401",reason="23"} 1`, `ota_download_bytes_total 1000`,
		`ota_downloads_total{outcome="whole"} 1`, `ota_downloads_total{outcome="cut"} 1`,
		`ota_management_request_duration_seconds_count{method="GET",route="GET /api/v1/devices/{type}/{id}",status="200"} 1`,
		`ota_management_request_duration_seconds_count{method="other",route="/",status="405"} 1`,
		`ota_operator_authentication_failures_total 1`, `ota_connections_refused_total 1`, `ota_store_failures_total 1`,
		`ota_devices{device_type="gateway",state="idle"} 7`, `ota_snapshot_age_seconds 3`, `ota_store_up 1`,
		`ota_rollouts{state="running"} 1`, `ota_rollouts{state="completed"} 1`, `ota_rollout_devices{rollout="spring",state="confirmed"} 3`,
		`ota_audit_records 10`, `ota_audit_unconfirmed_records 2`, `ota_audit_checkpoint_timestamp_seconds 1.8e+09`,
		`ota_connections_open 4`, `ota_disk_free_bytes 1.073741824e+09`, `ota_tls_certificate_expiry_timestamp_seconds 1.8e+09`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
	for _, part := range []string{`ota_build_info{version="1.2.3",go="go1.`, "\ngo_goroutines ", "\nprocess_resident_memory_bytes "} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s", part)
		}
	}
}

// The grammar of the text format, as far as it is used here.
var grammar = regexp.MustCompile(`^(# HELP [a-z_]+( .*)?|# TYPE [a-z_]+ (counter|gauge|histogram|summary|unknown)|[a-z0-9_]+(\{([A-Za-z_]+="([^"\\]|\\.)*",? ?)+\})? [-+0-9.eINFa]+)$`)

func TestAScrapeIsInTheTextFormat(t *testing.T) {
	m := New("1.2.3", Sources{Devices: func() []Cohort { return []Cohort{{"a", "b", 1}, {"a", "c", 1}} }})
	m.Managed("GET", `a"b\c`, 200, time.Millisecond)
	typed := map[string]bool{}
	for line := range strings.Lines(scrape(m)) {
		line = strings.TrimSuffix(line, "\n")
		if !grammar.MatchString(line) {
			t.Errorf("line %q", line)
		}
		if strings.HasPrefix(line, "# TYPE") && typed[line] {
			t.Errorf("twice: %s", line)
		}
		typed[line] = true
	}
}

func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	m := New("", Sources{
		Audit:       func(context.Context) (AuditState, error) { return AuditState{}, errors.New("gone") },
		Room:        func() (int64, error) { return 0, errors.ErrUnsupported },
		Certificate: func() (time.Time, bool) { return time.Time{}, false },
		Stored:      func() bool { return false },
	})
	got := scrape(m)
	if !strings.Contains(got, "\nota_store_up 0\n") {
		t.Error("the database is not said to be gone")
	}
	for _, name := range []string{"ota_audit_", "ota_disk_", "ota_tls_", "ota_devices"} {
		if strings.Contains(got, name) {
			t.Errorf("%s is there", name)
		}
	}
}

func TestDevicesAreNotCountedForEveryScrape(t *testing.T) {
	counted, now := 0, time.Unix(1_800_000_000, 0)
	m := New("", Sources{Devices: func() []Cohort { counted++; return nil }, Now: func() time.Time { return now }})
	for range 10 {
		scrape(m)
	}
	now = now.Add(tallyLife)
	scrape(m)
	if counted != 2 {
		t.Errorf("counted %d times", counted)
	}
}

func TestNobodyHasToAskWhetherThereAreMetrics(t *testing.T) {
	var m *Metrics
	m.Checked(true, m.CheckStarted())
	m.Reported(trust.EventTrial)
	m.Enrolled()
	m.Refused(400, 0)
	m.Sent(1)
	m.Streamed(nil)
	m.Managed("GET", "/", 200, 0)
	m.NotAuthenticated()
	m.Crowded()
	m.Stored(0, nil)
}

func TestACheckIsCountedWithoutAllocating(t *testing.T) {
	m := New("", Sources{})
	n := testing.AllocsPerRun(1000, func() {
		m.Checked(false, m.CheckStarted())
		m.Reported(trust.EventConfirmed)
		m.Sent(4096)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkChecked is what counting adds to an update check of about 20 µs.
func BenchmarkChecked(b *testing.B) {
	m := New("", Sources{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Checked(false, m.CheckStarted())
		}
	})
}
