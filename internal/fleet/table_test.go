package fleet

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func (t *table) device(tb rapid.TB, ref Ref) Device {
	tb.Helper()
	number, ok := t.find(ref)
	if !ok {
		tb.Fatalf("%s is not in the table", ref)
	}
	var d Device
	t.get(number, ref, &d)
	return d
}

func mustPut(tb rapid.TB, t *table, d Device) {
	tb.Helper()
	if err := t.put(&d); err != nil {
		tb.Fatal(err)
	}
}

func diff(want, got Device) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return gocmp.Diff(want, got, gocmp.AllowUnexported(Device{}))
}

// Each field of a Device, by itself, comes out of the table as it went in: who
// adds one cannot forget it.
func TestARowIsTheWholeDevice(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[Device]())
	devices := newTable()
	for i, field := range fields {
		d := Device{Ref: Ref{testType, field.Name}, revision: 1, number: uint32(i + 1)}
		if field.IsExported() && !field.Anonymous {
			fill(t, reflect.ValueOf(&d).Elem().FieldByIndex(field.Index))
		}
		mustPut(t, devices, d)
		if diff := diff(d, devices.device(t, d.Ref)); diff != "" {
			t.Errorf("%s: %s", field.Name, diff)
		}
		mustPut(t, devices, Device{Ref: d.Ref, revision: 2})
		got := devices.device(t, d.Ref)
		got.CheckNonce, got.LastSeen = 0, time.Time{} // these never go back
		if diff := diff(Device{Ref: d.Ref, revision: 2, number: d.number}, got); diff != "" {
			t.Errorf("%s, taken back: %s", field.Name, diff)
		}
	}
}

// fill sets a value, and all that is in it, to something else than zero.
func fill(t *testing.T, v reflect.Value) {
	switch value := v.Addr().Interface().(type) {
	case *time.Time:
		*value = time.UnixMilli(1_800_000_000_123).UTC()
		return
	case *trust.BootState:
		*value = trust.BootReverted
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Uint8:
		v.SetUint(0xfe)
	case reflect.Uint32:
		v.SetUint(0xfffffffe)
	case reflect.Uint64:
		v.SetUint(0xfffffffffffffffe)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"site": "berlin", "empty": ""}))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

func TestARowIsSmall(t *testing.T) {
	if size := reflect.TypeFor[row]().Size(); size > 80 {
		t.Errorf("%d bytes", size)
	}
}

// The table does what a map of devices would.
func TestTheTableIsAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		devices, model, now := newTable(), map[Ref]Device{}, time.Unix(1_800_000_000, 0).UTC()
		known := func(rt *rapid.T) Ref {
			if len(model) == 0 {
				rt.Skip("there are no devices")
			}
			return rapid.SampledFrom(slices.SortedFunc(maps.Keys(model), compareRefs)).Draw(rt, "device")
		}
		put := func(rt *rapid.T, d Device) {
			mustPut(rt, devices, d)
			old, ok := model[d.Ref]
			if ok && old.revision >= d.revision {
				return
			}
			if ok {
				d.number = old.number
				d.LastSeen = latest(old.LastSeen, d.LastSeen)
			}
			if ok && old.Generation == d.Generation {
				d.CheckNonce = max(old.CheckNonce, d.CheckNonce)
			}
			model[d.Ref] = d
		}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				ref := Ref{rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "type"), fmt.Sprint(rapid.IntRange(0, 1_000_000).Draw(rt, "id"))}
				if _, ok := model[ref]; !ok {
					put(rt, Device{Ref: ref, Level: Keyed, Generation: 1, revision: 1, number: uint32(len(model) + 1)})
				}
			},
			"change": func(rt *rapid.T) {
				d := model[known(rt)]
				d.revision += int64(rapid.IntRange(-1, 2).Draw(rt, "ahead"))
				d.Generation += uint32(rapid.IntRange(0, 9).Draw(rt, "enrolled again") / 9)
				d.Note = rapid.SampledFrom([]string{"", "roof", "cellar"}).Draw(rt, "note")
				d.Installed.Digest[0] = byte(rapid.IntRange(0, 3).Draw(rt, "image"))
				d.Labels = rapid.SampledFrom([]map[string]string{nil, {"site": "a"}, {"site": "b", "x": ""}}).Draw(rt, "labels")
				d.CheckNonce = rapid.Uint64Range(0, 20).Draw(rt, "nonce")
				d.Rejected = make([]manifest.Digest, rapid.IntRange(0, 2).Draw(rt, "rejected"))
				if len(d.Rejected) == 0 {
					d.Rejected = nil
				}
				put(rt, d)
			},
			"claim": func(rt *rapid.T) {
				d := model[known(rt)]
				nonce := rapid.Uint64Range(0, 30).Draw(rt, "nonce")
				if got, want := devices.claim(&d, nonce), d.isAbove(nonce); got != want {
					rt.Fatalf("nonce %d after %d, %d: %t", nonce, d.CheckNonce, d.ReportNonce, got)
				}
				d.CheckNonce = max(d.CheckNonce, nonce)
				model[d.Ref] = d
			},
			"saw": func(rt *rapid.T) {
				d := model[known(rt)]
				at := now.Add(time.Duration(rapid.IntRange(-9, 9).Draw(rt, "seconds")) * time.Second)
				devices.saw(d.number, at)
				d.LastSeen = latest(d.LastSeen, at)
				model[d.Ref] = d
			},
			"": func(rt *rapid.T) {
				var listed []Ref
				for d := range devices.after(Ref{}) {
					if diff := diff(model[d.Ref], *d); diff != "" {
						rt.Fatal(diff)
					}
					listed = append(listed, d.Ref)
				}
				if want := slices.SortedFunc(maps.Keys(model), compareRefs); !slices.Equal(listed, want) {
					rt.Fatalf("listed %v, want %v", listed, want)
				}
				if _, ok := devices.find(Ref{"a", "not there"}); ok || int(devices.count.Load()) != len(model) {
					rt.Fatal("there are more devices than there are")
				}
				if n := devices.remarks.size(); n > len(model) {
					rt.Fatalf("%d remarks are kept of %d devices", n, len(model))
				}
			},
		})
	})
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Whoever reads while others write gets a device as it was at some moment, and
// never one made of two.
func TestReadersNeverSeeHalfADevice(t *testing.T) {
	const count, revisions = 30, 200
	devices := newTable()
	at := func(i int, revision int64) Device {
		d := Device{Ref: Ref{testType, fmt.Sprint("dev-", i)}, Generation: 1, revision: revision, number: uint32(i + 1)}
		d.Note, d.LastDetail = fmt.Sprint("note ", revision), fmt.Sprint("detail ", revision)
		d.Installed.Sequence, d.Confirmed.Sequence = manifest.Sequence(revision), manifest.Sequence(revision)
		d.Offer.Manifest[3], d.Token = byte(revision), auth.TokenHash{byte(revision)}
		d.Labels, d.ReportNonce = map[string]string{"revision": fmt.Sprint(revision)}, uint64(revision)
		return d
	}
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		writing.Go(func() {
			for revision := range int64(revisions) {
				for i := range count {
					d := at(i, revision+1)
					if err := devices.put(&d); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		reading.Go(func() {
			for i := 0; ; i = (i + 1) % count {
				select {
				case <-done:
					return
				default:
				}
				ref := Ref{testType, fmt.Sprint("dev-", i)}
				number, ok := devices.find(ref)
				if !ok {
					continue
				}
				var d Device
				if devices.get(number, ref, &d); d.revision == 0 {
					continue // coming in
				}
				if diff := diff(at(i, d.revision), d); diff != "" {
					t.Error(diff)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	if n := devices.remarks.size(); n != 1 {
		t.Errorf("%d remarks are kept, of which one is in use", n)
	}
}

func TestATableTakesNoNumberTwice(t *testing.T) {
	devices := newTable()
	mustPut(t, devices, Device{Ref: Ref{testType, "a"}, revision: 1, number: 7})
	for _, number := range []uint32{0, 7, maxNumber + 1} {
		if err := devices.put(&Device{Ref: Ref{testType, "b"}, revision: 1, number: number}); err == nil {
			t.Errorf("number %d was taken", number)
		}
	}
	if _, ok := devices.find(Ref{testType, "b"}); ok {
		t.Error("half of a device is there")
	}
}

func TestATableGrows(t *testing.T) {
	const count = 30_000
	devices := newTable()
	for i := range count {
		mustPut(t, devices, Device{Ref: Ref{testType, fmt.Sprint("dev-", i)}, revision: 1, number: uint32(count - i), ReportNonce: uint64(i)})
	}
	for i := range count {
		if d := devices.device(t, Ref{testType, fmt.Sprint("dev-", i)}); d.ReportNonce != uint64(i) || d.number != uint32(count-i) {
			t.Fatalf("device %d: %+v", i, d)
		}
	}
}

// Whatever is expected, a search for a device that is not there has an end.
func TestATableThatWasToldItsSize(t *testing.T) {
	t.Parallel()
	for _, expected := range []int{0, 1, 50, 64, 100, 200, 1000, 3000} {
		devices := newTable()
		devices.expect(expected)
		for number := range uint32(max(300, expected)) {
			ref := Ref{testType, fmt.Sprint("dev-", number)}
			mustPut(t, devices, Device{Ref: ref, revision: 1, number: number + 1})
			if _, ok := devices.find(Ref{testType, "no such"}); ok {
				t.Fatal("found what is not there")
			}
			if _, ok := devices.find(ref); !ok {
				t.Fatalf("of %d expected: %s is lost", expected, ref)
			}
		}
	}
}

// The memory of a table that nobody has any more goes back to the system.
func TestATableEnds(t *testing.T) {
	devices := newTable()
	mustPut(t, devices, Device{Ref: Ref{testType, "a"}, revision: 1, number: 1})
	memory := devices.memory
	devices = nil
	for range 500 {
		runtime.GC()
		memory.mu.Lock()
		left := len(memory.regions)
		memory.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it is kept")
}
