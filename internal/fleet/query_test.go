package fleet_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// devices makes n devices of two types that differ in everything lists and
// counts look at.
func devices(n int, releases ...fleet.Running) []*fleet.Device {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	list := make([]*fleet.Device, n)
	for i := range list {
		d := &fleet.Device{
			Ref:   fleet.Ref{DeviceType: []string{otatest.DeviceType, "gateway"}[i%7/6], ID: fmt.Sprintf("dev-%06d", i*7919%n)},
			Level: fleet.Keyed, Generation: 1, Vendor: otatest.Vendor,
			HardwareRevision: []string{"rev-a", "rev-b", ""}[i%10/4], KeysetVersion: uint32(i % 4),
			Labels: map[string]string{"site": []string{"berlin", "oslo"}[i%2]}, AddedAt: start.Add(time.Duration(i%50) * time.Hour),
		}
		if i%5 != 0 {
			d.LastSeen = start.AddDate(0, 1, 0).Add(time.Duration(i%90) * time.Minute)
			d.Installed = releases[i%len(releases)]
			d.Boot = []trust.BootState{trust.BootConfirmed, trust.BootTrial, trust.BootReverted}[i%11%3]
		}
		list[i] = d
	}
	return list
}

// large returns a fleet of n such devices, two of whose three kinds of images
// are published.
func large(t testing.TB, n int) *fleet.Fleet {
	t.Helper()
	s := otatest.New(t)
	one, two := s.Publish("1.9.0", []byte("one")), s.Publish("1.10.0", []byte("two"))
	now := time.Date(2026, 2, 1, 2, 0, 0, 0, time.UTC)
	dir := s.Server.Repository().Dir()
	database, blobs := place.Of(t, dir)
	repo, err := repository.Open(t.Context(), repository.Config{Dir: dir, Database: database, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Open(t.Context(), fleet.Config{
		Repository: repo, Masters: auth.OpenMasters(filepath.Join(dir, "secrets")), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(context.Background()); repo.Close() })
	err = f.SaveAll(t.Context(), devices(n,
		fleet.Running{Sequence: one.Sequence, Digest: one.ImageDigest}, fleet.Running{Sequence: two.Sequence, Digest: two.ImageDigest},
		fleet.Running{Sequence: 1, Digest: manifest.Digest(sha256.Sum256([]byte("unknown")))}))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// key is what the API shows of a device, and sends back as a cursor's key.
func key(f *fleet.Fleet, d fleet.Device, by fleet.OrderField) string {
	instant := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.Format(time.RFC3339Nano)
	}
	return map[fleet.OrderField]string{
		fleet.BySeen: instant(d.LastSeen), fleet.ByAdded: instant(d.AddedAt), fleet.ByKeyset: fmt.Sprint(d.KeysetVersion),
		fleet.ByVersion: f.VersionOf(d.DeviceType, d.Installed), fleet.ByState: string(f.State(&d)),
	}[by]
}

// Page after page, in any order, under any filter: every device once, in the
// order of the whole.
func TestPagesAreTheWholeInOrder(t *testing.T) {
	f := large(t, 120)
	filters := []string{"", "label.site=berlin", "not version>=1.9.0 and type=gateway", "state=trial or keyset>=3", "version=1.10.0"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"", "id", "seen", "added", "version", "keyset", "state"}).Draw(t, "order")
		if name != "" && rapid.Bool().Draw(t, "descending") {
			name = "-" + name
		}
		order, err := fleet.ParseOrder(name)
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := filter.Parse(rapid.SampledFrom(filters).Draw(t, "filter"))
		if err != nil {
			t.Fatal(err)
		}
		q := fleet.Query{Filter: wanted, Order: order, Limit: 1000}
		whole, err := f.Find(q)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range whole {
			if !f.Matches(wanted, &d) {
				t.Fatalf("%s is not %s", d.Ref, wanted)
			}
			if i > 0 && wrongOrder(f, order, whole[i-1], d) {
				t.Fatalf("%s: %s before %s", name, whole[i-1].Ref, d.Ref)
			}
		}
		q.Limit = rapid.IntRange(1, 60).Draw(t, "limit")
		var paged []fleet.Ref
		for {
			page, err := f.Find(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				paged = append(paged, d.Ref)
			}
			if len(page) < q.Limit {
				break
			}
			last := page[len(page)-1]
			q.After = fleet.Cursor{Ref: last.Ref, Key: key(f, last, order.By)}
		}
		if !slices.EqualFunc(paged, whole, func(r fleet.Ref, d fleet.Device) bool { return r == d.Ref }) {
			t.Fatalf("%s of %s by pages of %d: %d devices, of %d", name, wanted, q.Limit, len(paged), len(whole))
		}
	})
}

// wrongOrder compares times and numbers as their texts, which here have one
// length, and versions by hand.
func wrongOrder(f *fleet.Fleet, o fleet.Order, a, b fleet.Device) bool {
	ka, kb := key(f, a, o.By), key(f, b, o.By)
	if o.By == fleet.ByVersion {
		rank := []string{"", "1.9.0", "1.10.0"}
		ka, kb = fmt.Sprint(slices.Index(rank, ka)), fmt.Sprint(slices.Index(rank, kb))
	}
	if o.By == fleet.ByName {
		ka, kb = a.Ref.String(), b.Ref.String()
	}
	if ka == kb {
		return a.Ref.String() > b.Ref.String()
	}
	return (ka > kb) != o.Descending
}

func TestCursorsThatAreNone(t *testing.T) {
	f := large(t, 10)
	for _, o := range []fleet.OrderField{fleet.BySeen, fleet.ByAdded, fleet.ByKeyset, fleet.ByVersion} {
		_, err := f.Find(fleet.Query{Order: fleet.Order{By: o}, After: fleet.Cursor{Ref: ref("x"), Key: "?"}, Limit: 1})
		if !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%s: %v", o, err)
		}
	}
	if _, err := fleet.ParseOrder("colour"); !errors.Is(err, fleet.ErrInvalid) {
		t.Error(err)
	}
}

func summarize(t *testing.T, f *fleet.Fleet, text, label string) fleet.Summary {
	t.Helper()
	sum, err := f.Summarize("", parse(t, text), label)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestSummaryCountsWhatFiltersSelect(t *testing.T) {
	f := large(t, 300)
	count := func(text string) int {
		n, err := f.Find(fleet.Query{Filter: parse(t, text), Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(n)
	}
	sum := summarize(t, f, "", "site")
	if sum.Devices != 300 || len(sum.Types) != 2 || sum.Types[0].DeviceType != "gateway" {
		t.Fatalf("summary %+v", sum)
	}
	quoted := func(s string) string { return `"` + s + `"` }
	checked := 0
	for _, ts := range sum.Types {
		of := "type=" + ts.DeviceType + " and "
		for _, facet := range []struct {
			facet fleet.Facet
			field string
			quote func(string) string
		}{
			{ts.Versions, "version=", quoted}, {ts.States, "state=", quoted}, {ts.Hardware, "hardware=", quoted},
			{ts.Labels, "label.site=", quoted}, {ts.Keysets, "keyset=", func(s string) string { return s }},
		} {
			total := facet.facet.Others
			for _, c := range facet.facet.Counts {
				total += c.Devices
				checked++
				if want := count(of + facet.field + facet.quote(c.Value)); want != c.Devices {
					t.Errorf("%s%s%s: %d, there are %d", of, facet.field, c.Value, c.Devices, want)
				}
			}
			if total != ts.Devices {
				t.Errorf("%s %s: %d of %d devices", ts.DeviceType, facet.field, total, ts.Devices)
			}
		}
	}
	total := 0
	for _, c := range sum.Cohorts {
		total += c.Devices
		want := count(fmt.Sprintf(`type=%s and version="%s" and keyset=%d and hardware="%s" and level=%s`,
			c.DeviceType, c.Version, c.KeysetVersion, c.HardwareRevision, c.Level))
		if want != c.Devices {
			t.Errorf("cohort %+v: there are %d", c, want)
		}
	}
	if checked < 20 || len(sum.Cohorts) < 10 || total != 300 {
		t.Errorf("%d values and %d cohorts of %d devices", checked, len(sum.Cohorts), total)
	}
	if some := summarize(t, f, "hardware=rev-a", ""); some.Devices != count("hardware=rev-a") || len(some.Types[0].Labels.Counts) != 0 {
		t.Errorf("of some: %+v", some)
	}
}

// Whoever may not edit all that is selected edits nothing.
func TestManyAreEditedOnlyIfAllMayBe(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	mixed := devices(8, fleet.Running{})
	for i := range mixed {
		mixed[i].DeviceType = "sensor_v1"
		if i < 3 {
			mixed[i].DeviceType = "gateway_v2"
		}
	}
	if err := f.SaveAll(t.Context(), mixed); err != nil {
		t.Fatal(err)
	}
	var asked [][]string
	m := fleet.EditMany{Filter: parse(t, "type~*"), Edit: fleet.Edit{Hold: new(true)}, Limit: 8, May: func(types []string) error {
		asked = append(asked, types)
		return auth.ErrForbidden
	}}
	if _, err := f.EditMany(t.Context(), operator, m); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("refused: %v", err)
	}
	m.DeviceType = "gateway_v2"
	if _, err := f.EditMany(t.Context(), operator, m); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("one type refused: %v", err)
	}
	if want := [][]string{{"gateway_v2", "sensor_v1"}, {"gateway_v2"}}; !cmp.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
	if n := len(records(t, s, audit.Filter{Action: "device.edit"})); n != 0 {
		t.Errorf("%d devices were edited", n)
	}
	m.May = nil
	if report, err := f.EditMany(t.Context(), operator, m); err != nil || report.Matched != 3 || report.Changed != 3 {
		t.Errorf("of one type: %+v, %v", report, err)
	}
}

func TestManyAreEditedWithARecordEach(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	if err := f.SaveAll(t.Context(), devices(500, fleet.Running{})); err != nil {
		t.Fatal(err)
	}
	m := fleet.EditMany{Filter: parse(t, "label.site=oslo"), Edit: fleet.Edit{Hold: new(true)}, Why: "storm", Limit: 249}
	_, err := f.EditMany(t.Context(), operator, m)
	var many *fleet.TooManyError
	if !errors.As(err, &many) || many.Matched != 250 || many.Limit != 249 {
		t.Fatalf("over the limit: %v", err)
	}
	m.DryRun, m.Limit = true, 0
	if report, err := f.EditMany(t.Context(), operator, m); err != nil || report.Matched != 250 || report.Changed != 250 || len(report.Examples) != 5 {
		t.Errorf("dry run: %+v, %v", report, err)
	}
	if n := len(records(t, s, audit.Filter{Action: "device.edit"})); n != 0 {
		t.Fatalf("the dry run changed %d", n)
	}
	if err := f.Edit(t.Context(), operator, devices(500, fleet.Running{})[1].Ref, fleet.Edit{Hold: new(true)}, ""); err != nil {
		t.Fatal(err)
	}
	m.DryRun, m.Limit = false, 250
	if report, err := f.EditMany(t.Context(), operator, m); err != nil || report.Matched != 250 || report.Changed != 249 {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := f.EditMany(t.Context(), operator, m); err != nil || report.Changed != 0 {
		t.Errorf("again: %+v, %v", report, err)
	}
	if n := len(records(t, s, audit.Filter{Action: "device.edit"})); n != 250 {
		t.Errorf("%d records of devices", n)
	}
	orders := records(t, s, audit.Filter{Action: "devices.edit", Oldest: true})
	if len(orders) != 2 || string(orders[0].After) != `{"filter":"label.site=oslo","edit":{"hold":true},"why":"storm","devices":200}` {
		t.Errorf("orders %s", orders)
	}
	stored := open(t, s, nil)
	if held := summarize(t, stored, "hold", ""); held.Devices != 250 || summarize(t, f, "hold", "").Devices != 250 {
		t.Errorf("%d held as stored", held.Devices)
	}
}

func BenchmarkFleetOf100000(b *testing.B) {
	if testing.Short() {
		b.Skip("takes half a minute to fill")
	}
	f := large(b, 100_000)
	wanted, err := filter.Parse("type=sensor_v1 and label.site=berlin and version<1.10.0 and not state=silent")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("summary of all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Summarize("", nil, "site"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("summary of a filter", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.Summarize("", wanted, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first 100 by last seen", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.Find(fleet.Query{Filter: wanted, Order: fleet.Order{By: fleet.BySeen}, Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
