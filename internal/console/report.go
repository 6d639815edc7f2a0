package console

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/report"
)

// saveReport answers with what ran where over a range of dates, as a file. It
// follows from the audit log, which is verified first.
func saveReport(v *visit) (string, error) {
	q, err := v.reportQuery()
	if err != nil {
		return "", err
	}
	format := v.field("format")
	if format != "json" && format != "html" {
		return "", fmt.Errorf("report: %w: format %q: want json or html", api.ErrInvalid, format)
	}
	// Reading a long log takes its time, and nothing is sent meanwhile.
	control := http.NewResponseController(v.w)
	if err := control.SetWriteDeadline(v.now.Add(reportTime)); err != nil {
		return "", err
	}
	r, log, err := api.MakeReport(v.ctx(), v, q)
	if err != nil {
		return "", err
	}
	out := bufio.NewWriterSize(v.w, 64<<10)
	v.attach(fmt.Sprintf("report-%s-%s.%s", q.From.Format(time.DateOnly), v.field("to"), format))
	if format == "html" {
		v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err = report.WritePage(out, r)
	} else {
		v.w.Header().Set("Content-Type", "application/json")
		err = report.Write(out, r, log)
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		panic(http.ErrAbortHandler) // so that nobody takes a part for all
	}
	return "", nil
}

// reportTime is how long a report may take.
const reportTime = 10 * protocol.StallTime

// reportQuery reads the form of a report: the last day is a part of it, and
// nothing is known of the time to come.
func (v *visit) reportQuery() (q api.ReportQuery, err error) {
	q = api.ReportQuery{Filter: v.field("filter"), MadeAt: v.now}
	if _, err := filter.Parse(q.Filter); err != nil {
		return q, err
	}
	if q.From, err = reportDay("from", v.field("from")); err != nil {
		return q, err
	}
	if q.To, err = reportDay("to", v.field("to")); err != nil {
		return q, err
	}
	q.To = q.To.AddDate(0, 0, 1)
	if now := v.now.UTC().Truncate(time.Millisecond); q.To.After(now) {
		q.To = now
	}
	if !q.From.Before(q.To) {
		return q, fmt.Errorf("report: %w: the first day is after the last one, or yet to come", api.ErrInvalid)
	}
	return q, nil
}

func reportDay(name, text string) (time.Time, error) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return at, fmt.Errorf("report: %w: %s: %q is not a date such as 2026-01-31", api.ErrInvalid, name, text)
	}
	return at, nil
}
