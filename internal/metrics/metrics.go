package metrics

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

const events = trust.EventKeyset + 1

// Metrics are the counters of one server. New makes them.
type Metrics struct {
	set     *metrics.Set
	sources *pulled

	nothing, offered *metrics.Counter // outcomes of update checks
	checkTime        *metrics.PrometheusHistogram
	reports          [events]*metrics.Counter
	enrolments       *metrics.Counter
	whole, cut       *metrics.Counter // ends of firmware streams
	streamBytes      *metrics.Counter
	crowded          *metrics.Counter
	logins           *metrics.Counter
	changes          *metrics.PrometheusHistogram
	failures         *metrics.Counter
}

// Upper bounds of histograms, in seconds.
var (
	checkBounds      = []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 1}
	managementBounds = []float64{1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 2.5, 10, 60}
	changeBounds     = []float64{500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 500e-3, 2.5, 20}
)

// New returns the counters of a server. version is that of the program.
func New(version string, sources Sources) *Metrics {
	metrics.ExposeMetadata(true) // a switch of the whole process, which nothing else uses
	set := metrics.NewSet()
	m := &Metrics{
		set: set, sources: newPulled(sources),
		nothing:     set.NewCounter(`ota_checks_total{outcome="nothing"}`),
		offered:     set.NewCounter(`ota_checks_total{outcome="offered"}`),
		checkTime:   set.NewPrometheusHistogramExt(`ota_check_duration_seconds`, checkBounds),
		enrolments:  set.NewCounter(`ota_enrolments_total`),
		whole:       set.NewCounter(`ota_downloads_total{outcome="whole"}`),
		cut:         set.NewCounter(`ota_downloads_total{outcome="cut"}`),
		streamBytes: set.NewCounter(`ota_download_bytes_total`),
		crowded:     set.NewCounter(`ota_connections_refused_total`),
		logins:      set.NewCounter(`ota_operator_authentication_failures_total`),
		changes:     set.NewPrometheusHistogramExt(`ota_store_change_duration_seconds`, changeBounds),
		failures:    set.NewCounter(`ota_store_failures_total`),
	}
	for e := trust.EventDownloading; e < events; e++ {
		m.reports[e] = set.NewCounter(fmt.Sprintf(`ota_reports_total{event=%q}`, e))
	}
	set.NewGauge(fmt.Sprintf(`ota_build_info{version=%q,go=%q}`, version, runtime.Version()), func() float64 { return 1 })
	return m
}

// ServeHTTP answers a scrape. Who may ask is decided before.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var text bytes.Buffer
	m.Write(&text)
	h := w.Header()
	h.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(text.Len()))
	w.Write(text.Bytes()) // a failure means that the client is gone
}

// Write writes all metrics in the text format of Prometheus.
func (m *Metrics) Write(w io.Writer) {
	m.set.WritePrometheus(w)
	m.sources.write(w)
	metrics.WriteProcessMetrics(w)
}

// timed is of how many checks one is timed: reading the clock twice costs a
// hundredth of a check, and quantiles need no more.
const timed = 16

// CheckStarted returns the time of now for a check that is to be timed, zero
// for all others.
func (m *Metrics) CheckStarted() time.Time {
	if m == nil || rand.Uint32()%timed != 0 {
		return time.Time{}
	}
	return time.Now()
}

// Checked counts an update check that was answered. start is what CheckStarted
// returned at the end of its header.
func (m *Metrics) Checked(offer bool, start time.Time) {
	if m == nil {
		return
	}
	if offer {
		m.offered.Inc()
	} else {
		m.nothing.Inc()
	}
	if !start.IsZero() {
		m.checkTime.Update(time.Since(start).Seconds())
	}
}

// Reported counts a report that was taken, now or before.
func (m *Metrics) Reported(e trust.Event) {
	if m == nil || e < trust.EventDownloading || e >= events {
		return
	}
	m.reports[e].Inc()
}

// Enrolled counts a device that enrolled itself.
func (m *Metrics) Enrolled() {
	if m != nil {
		m.enrolments.Inc()
	}
}

// Refused counts a request of the device protocol that got an error. Both
// labels come from one table with few rows.
func (m *Metrics) Refused(status int, r reason.Reason) {
	if m != nil {
		m.set.GetOrCreateCounter(fmt.Sprintf(`ota_device_refusals_total{status="%d",reason="%d"}`, status, r)).Inc()
	}
}

// Sent counts bytes of firmware.
func (m *Metrics) Sent(bytes int64) {
	if m != nil {
		m.streamBytes.AddInt64(bytes)
	}
}

// Streamed counts the end of a firmware stream.
func (m *Metrics) Streamed(err error) {
	switch {
	case m == nil:
	case err != nil:
		m.cut.Inc()
	default:
		m.whole.Inc()
	}
}

// Managed counts a request of an operator. route is the pattern that took it,
// never the path, of which there are as many as clients care to invent.
func (m *Metrics) Managed(method, route string, status int, took time.Duration) {
	if m == nil {
		return
	}
	name := fmt.Sprintf(`ota_management_request_duration_seconds{method=%q,route=%q,status="%d"}`, knownMethod(method), route, status)
	m.set.GetOrCreatePrometheusHistogramExt(name, managementBounds).Update(took.Seconds())
}

// knownMethod keeps invented methods from becoming labels.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// NotAuthenticated counts an operator's request without a token that is good.
func (m *Metrics) NotAuthenticated() {
	if m != nil {
		m.logins.Inc()
	}
}

// Crowded counts a connection that was one too many.
func (m *Metrics) Crowded() {
	if m != nil {
		m.crowded.Inc()
	}
}

// Stored counts a change of the database.
func (m *Metrics) Stored(took time.Duration, err error) {
	if m == nil {
		return
	}
	m.changes.Update(took.Seconds())
	if err != nil {
		m.failures.Inc()
	}
}
