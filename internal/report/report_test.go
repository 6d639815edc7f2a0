package report_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/report"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

// A log is an audit log in the making.
type log struct {
	t       *testing.T
	records []audit.Record
}

func (l *log) add(at time.Time, actor, action, object, after string) audit.Record {
	l.t.Helper()
	prev := audit.Record{}
	if n := len(l.records); n > 0 {
		prev = l.records[n-1]
	}
	r, err := audit.Follow(prev, at, audit.Entry{Actor: actor, Action: action, Object: object, After: []byte(after)})
	if err != nil {
		l.t.Fatal(err)
	}
	l.records = append(l.records, r)
	return r
}

func (l *log) all() iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range l.records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func image(n int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(n)})) }

func (l *log) publish(at time.Time, n int) {
	l.add(at, "user:alice", "release.publish", fmt.Sprintf("release:%02d", n),
		fmt.Sprintf(`{"device_type":"sensor_v1","version":"1.%d.0","sequence":"1.%d","image":"%s","downgrade":false}`, n, n, image(n)))
}

// says is a device's own word about release n.
func (l *log) says(at time.Time, id, action string, n int, more string) audit.Record {
	device := "device:sensor_v1/" + id
	return l.add(at, device, action, device, fmt.Sprintf(`{"sequence":"1.%d","digest":"%s"%s}`, n, image(n), more))
}

// story is a log of three devices: one goes from 1.1.0 to 1.2.0 and proves it,
// one says that it does and does not, one is silent.
func story(t *testing.T) *log {
	l := &log{t: t}
	l.publish(day(1), 1)
	for _, id := range []string{"a", "b", "c"} {
		l.add(day(1), "local:root", "device.add", "device:sensor_v1/"+id, `{"level":"keyed"}`)
	}
	l.says(day(2), "a", "device.state", 1, `,"boot":"confirmed"`)
	l.says(day(2), "b", "device.state", 1, `,"boot":"confirmed"`)
	l.publish(day(10), 2)
	l.add(day(10), "device:sensor_v1/a", "device.offer", "device:sensor_v1/a", `{"version":"1.2.0"}`)
	l.says(day(11), "a", "device.report.installed", 1, "")
	l.says(day(12), "a", "device.report.trial", 2, "")
	l.says(day(12), "a", "device.report.confirmed", 2, `,"counts":true`)
	l.says(day(13), "a", "device.report.installed", 1, `,"late":true`)
	l.says(day(14), "b", "device.report.confirmed", 3, `,"counts":false`) // an image that nobody published
	l.add(day(15), "device:sensor_v1/c?", "device.download", "device:sensor_v1/c", `{"image":"`+image(2)+`"}`)
	l.add(day(16), "user:alice", "type.set", "type:sensor_v1", `{"device_type":"sensor_v1","support_end":"2030-12-31T00:00:00Z"}`)
	l.add(day(20), "user:alice", "device.revoke", "device:sensor_v1/b", `{"why":"sold"}`)
	l.says(day(25), "a", "device.state", 4, `,"boot":"confirmed"`)
	l.add(day(26), "system", "refused", "unauthenticated", `{}`)
	return l
}

var key = func() *signing.Key {
	k, err := signing.Generate(trust.Ed25519)
	if err != nil {
		panic(err)
	}
	return k
}()

func build(t *testing.T, l *log, from, to time.Time, chosen []report.Name) *report.Report {
	t.Helper()
	b := report.NewBuilder(from, to, chosen)
	if _, err := audit.VerifyChain(b.Reading(l.all()), nil); err != nil {
		t.Fatal(err)
	}
	last := l.records[len(l.records)-1]
	signed, err := audit.SignCheckpoint(audit.Checkpoint{Seq: last.Seq, Hash: last.Hash, Time: last.Time}, key)
	if err != nil {
		t.Fatal(err)
	}
	return b.Report(report.Heading{Vendor: "acme", MadeAt: day(30)}, signed)
}

func write(t *testing.T, r *report.Report, l *log) []byte {
	t.Helper()
	var out bytes.Buffer
	var records iter.Seq2[audit.Record, error]
	if l != nil {
		records = l.all()
	}
	if err := report.Write(&out, r, records); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// verify reads a file and verifies it.
func verify(raw []byte, records iter.Seq2[audit.Record, error]) (*report.Report, error) {
	r, carried, err := report.Read(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if records == nil {
		records = carried
	}
	if records == nil {
		return r, errors.New("no log")
	}
	return r, report.Verify(r, records, key.Public())
}

func TestWhatRanWhere(t *testing.T) {
	r := build(t, story(t), day(5), day(24), nil)
	var got []string
	for _, d := range r.Devices {
		for _, p := range d.Periods {
			until, proof := "still", "unproven"
			if !p.Until.IsZero() {
				until = fmt.Sprint(p.Until.Day())
			}
			if p.Proof != nil {
				proof = fmt.Sprintf("proven by %d", p.Proof.Seq)
			}
			got = append(got, fmt.Sprintf("%s %s %d-%s %s, first %d %s, last %d %s", d.ID, p.Version, p.From.Day(), until, proof, p.First.Seq, p.First.Event, p.Last.Seq, p.Last.Event))
		}
		if len(d.Periods) == 0 {
			got = append(got, d.ID+" nothing")
		}
	}
	want := []string{
		"a 1.1.0 2-12 unproven, first 5 check, last 9 installed",
		"a 1.2.0 12-still proven by 11, first 10 trial, last 11 confirmed",
		"b 1.1.0 2-14 unproven, first 6 check, last 6 check",
		"b  14-still unproven, first 13 confirmed, last 13 confirmed",
		"c nothing",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(r.Types) != 1 || fmt.Sprint(r.Types[0]) != "{sensor_v1 3 2030-12-31 [{ 1 0} {1.2.0 1 1}] 1}" {
		t.Errorf("types %v", r.Types)
	}
	if d := r.Devices[1]; !r.Complete || !d.RevokedAt.Equal(day(20)) || !d.AddedAt.Equal(day(1)) {
		t.Errorf("device %+v", d)
	}
	// A range in which the first period had ended.
	if later := build(t, story(t), day(13), day(24), nil); len(later.Devices[0].Periods) != 1 {
		t.Errorf("later: %+v", later.Devices[0])
	}
	some := build(t, story(t), day(5), day(24), []report.Name{{DeviceType: "sensor_v1", ID: "c"}, {DeviceType: "sensor_v1", ID: "x"}})
	if some.Complete || len(some.Devices) != 2 {
		t.Errorf("chosen: %+v", some)
	}
}

func TestAReportVerifies(t *testing.T) {
	l := story(t)
	for name, chosen := range map[string][]report.Name{"all": nil, "some": {{DeviceType: "sensor_v1", ID: "a"}}} {
		r := build(t, l, day(5), day(24), chosen)
		if _, err := verify(write(t, r, l), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		alone := write(t, r, nil)
		if _, err := verify(alone, l.all()); err != nil {
			t.Errorf("%s, the log apart: %v", name, err)
		}
		longer := &log{t, slices.Clone(l.records)}
		longer.add(day(28), "user:alice", "token.add", "token:ci", `{}`)
		if _, err := verify(alone, longer.all()); err != nil {
			t.Errorf("%s, the log goes on: %v", name, err)
		}
	}
}

func TestTampering(t *testing.T) {
	l := story(t)
	honest := build(t, l, day(5), day(24), nil)
	raw := write(t, honest, l)
	stranger, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	// rewritten is a log that somebody with the database, but without the key, made consistent.
	rewritten := &log{t: t}
	for _, r := range l.records {
		after := strings.ReplaceAll(string(r.After), image(3), image(2))
		rewritten.add(r.Time, r.Actor, r.Action, r.Object, after)
	}
	shorter := &log{t, l.records[:len(l.records)-1]}
	edit := func(change func(*report.Report)) []byte {
		r := build(t, l, day(5), day(24), nil)
		change(r)
		return write(t, r, l)
	}
	bad := new(audit.BadRecordError)
	for name, c := range map[string]struct {
		raw  []byte
		want any
	}{
		"another version":      {edit(func(r *report.Report) { r.Devices[1].Periods[1].Version = "1.2.0" }), report.ErrMismatch},
		"a proof":              {edit(func(r *report.Report) { r.Devices[1].Periods[1].Proof = &r.Devices[0].Periods[1].First }), report.ErrMismatch},
		"another time":         {edit(func(r *report.Report) { r.Devices[0].Periods[1].From = day(6) }), report.ErrMismatch},
		"a device left out":    {edit(func(r *report.Report) { r.Devices = r.Devices[:2] }), report.ErrMismatch},
		"a period left out":    {edit(func(r *report.Report) { r.Devices[0].Periods = r.Devices[0].Periods[1:] }), report.ErrMismatch},
		"chosen, not complete": {edit(func(r *report.Report) { r.Devices, r.Complete = r.Devices[:2], false }), report.ErrMismatch}, // the sums are those of three
		"another sum":          {edit(func(r *report.Report) { r.Types[0].AtEnd[1].Devices = 3 }), report.ErrMismatch},
		"another support end":  {edit(func(r *report.Report) { r.Types[0].SupportEnd = "2040-01-01" }), report.ErrMismatch},
		"another range":        {edit(func(r *report.Report) { r.To = day(30) }), report.ErrMismatch},
		"another record":       {edit(func(r *report.Report) { r.Checkpoint.Seq-- }), report.ErrMismatch},
		"an unsigned one":      {edit(func(r *report.Report) { r.Checkpoint.Signed = nil }), trust.ErrMalformed},
		"another's key": {edit(func(r *report.Report) {
			r.Checkpoint.Signed, _ = audit.SignCheckpoint(audit.Checkpoint{Seq: r.Checkpoint.Seq, Hash: r.Checkpoint.Hash, Time: day(30)}, stranger)
		}), trust.ErrNotEnoughSigners},
		"a log written anew":       {write(t, build(t, rewritten, day(5), day(24), nil), l), bad},
		"the same, as it is":       {write(t, honest, rewritten), bad},
		"a shorter log":            {write(t, honest, shorter), bad},
		"a changed record":         {bytes.Replace(raw, []byte(`"counts":false`), []byte(`"counts":true`), 1), bad},
		"a record left out":        {bytes.Replace(raw, mustJSON(t, l.records[3]), nil, 1), report.ErrMalformed},
		"no records":               {withoutRecords(raw), bad},
		"something behind it":      {append(bytes.Clone(raw), '{'), nil},
		"another form":             {bytes.Replace(raw, []byte("report 1"), []byte("report 2"), 1), report.ErrMalformed},
		"an unknown member":        {bytes.Replace(raw, []byte(`"vendor"`), []byte(`"vendors"`), 1), report.ErrMalformed},
		"a member twice":           {bytes.Replace(raw, []byte(`"vendor": "acme",`), []byte(`"vendor": "acme", "vendor": "acme",`), 1), report.ErrMalformed},
		"a page instead of a file": {[]byte("<!DOCTYPE html>"), report.ErrMalformed},
	} {
		_, err := verify(c.raw, nil)
		ok := err != nil
		switch want := c.want.(type) {
		case *audit.BadRecordError:
			ok = errors.As(err, &want)
		case error:
			ok = errors.Is(err, want)
		}
		if !ok {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

func mustJSON(t *testing.T, r audit.Record) []byte {
	t.Helper()
	raw, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// withoutRecords empties the list of records.
func withoutRecords(raw []byte) []byte {
	head, _, _ := bytes.Cut(raw, []byte(`"records": [`))
	return append(bytes.Clone(head), `"records": []}`...)
}

// Whatever single byte is changed: it is found, or it changed the spelling, the
// heading, which is not proven, or the range to another one of which the same
// is true.
func TestAnyChangedByteIsFound(t *testing.T) {
	l := story(t)
	honest := build(t, l, day(5), day(24), nil)
	raw := write(t, honest, l)
	honest.Heading = report.Heading{}
	want, err := json.Marshal(honest, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		changed := bytes.Clone(raw)
		at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		if rapid.Bool().Draw(t, "digit") && changed[at] >= '0' && changed[at] <= '9' {
			changed[at] = byte(rapid.IntRange('0', '9').Draw(t, "to"))
		} else {
			changed[at] = rapid.Byte().Draw(t, "to")
		}
		r, err := verify(changed, nil)
		if err != nil {
			return
		}
		r.Heading, r.From, r.To = report.Heading{}, honest.From, honest.To
		if got, err := json.Marshal(r, json.Deterministic(true)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("byte %d of %q is not found: %s", at, changed[max(0, at-40):min(len(changed), at+40)], got)
		}
	})
}

func TestThePageNeedsNothingElseAndEscapes(t *testing.T) {
	l := story(t)
	r := build(t, l, day(5), day(24), nil)
	r.Vendor, r.Filter, r.Complete = `<script>alert(1)</script>`, `note~"<b>*"`, false
	r.Devices[0].ID = `"><img>`
	var out bytes.Buffer
	if err := report.WritePage(&out, r); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, forbidden := range []string{"<script", "<img", "<b>", "src=", "href=", "http://", "https://"} {
		if strings.Contains(page, forbidden) {
			t.Errorf("%s is in the page", forbidden)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "proven by its report, record 11", "said, not proven", "supported until 2030-12-31", r.Checkpoint.Hash.String(), "It said nothing that touches this time."} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in the page", want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"format":"secure-ota report 1","vendor":"","filter":"","made_at":"2026-01-01T00:00:00Z","from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","complete":true,"types":[],"devices":[],"checkpoint":{"seq":1,"hash":"00","signed":""},"records":[]}`))
	f.Add([]byte(`{"records":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, records, err := report.Read(bytes.NewReader(raw))
		if err != nil {
			if !errors.Is(err, report.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if records == nil {
			return
		}
		if err := report.Verify(r, records, key.Public()); err == nil {
			t.Fatal("verified without the key")
		}
	})
}
