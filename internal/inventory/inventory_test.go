package inventory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/inventory"
)

func read(text string) (list []inventory.Entry, err error) {
	for e, err := range inventory.Read(strings.NewReader(text)) {
		if err != nil {
			return list, err
		}
		list = append(list, e)
	}
	return list, nil
}

// hostile are texts that files and spreadsheets like to misread.
var hostile = rapid.OneOf(
	rapid.SampledFrom([]string{"", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "'", "''=x", "a;b", `a"b\c`, `"`, " x ", "a=b; c=d", "ü,€", "a,b\nc", "yes", "\r", "\t="}),
	rapid.StringN(0, 20, 60),
)

func drawDevice(t *rapid.T) api.Device {
	d := api.Device{
		Ref:    fleet.Ref{DeviceType: rapid.SampledFrom([]string{"sensor_v1", "gateway"}).Draw(t, "type"), ID: rapid.StringMatching(`[a-z0-9][a-z0-9._:-]{0,20}`).Draw(t, "id")},
		Vendor: "acme", Level: rapid.SampledFrom([]fleet.Level{fleet.Keyed, fleet.TokenOnly}).Draw(t, "level"),
		HardwareRevision: rapid.SampledFrom([]string{"", "rev-a"}).Draw(t, "hardware"),
		Labels:           rapid.MapOfN(rapid.StringMatching(`[a-z][a-z0-9_.-]{0,8}`), hostile, 0, 4).Draw(t, "labels"),
		Note:             hostile.Draw(t, "note"), Hold: rapid.Bool().Draw(t, "hold"), Pin: rapid.SampledFrom([]string{"", "1.0.0"}).Draw(t, "pin"),
		State: "idle", AddedAt: time.Unix(1_800_000_000, 0).UTC(),
	}
	// CSV knows one kind of end of line, and spreadsheets use both.
	d.Note = strings.ReplaceAll(d.Note, "\r", "")
	for key, value := range d.Labels {
		d.Labels[key] = strings.ReplaceAll(value, "\r", "")
	}
	d.Note = strings.ReplaceAll(d.Note, "\x00", "")
	return d
}

// What is exported is imported as it was, in both formats.
func TestWhatIsWrittenIsReadAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		devices := rapid.SliceOfNDistinct(rapid.Custom(drawDevice), 0, 5, func(d api.Device) fleet.Ref { return d.Ref }).Draw(t, "devices")
		for _, d := range devices {
			for key, value := range d.Labels {
				d.Labels[key] = strings.Map(printable, value)
			}
		}
		for _, format := range []string{"csv", "json"} {
			got, err := read(write(t, format, devices))
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			if len(got) != len(devices) {
				t.Fatalf("%s: %d devices, want %d", format, len(got), len(devices))
			}
			for i, e := range got {
				d := devices[i]
				if e.Ref != d.Ref || *e.Vendor != d.Vendor || *e.Level != d.Level || orEmpty(e.HardwareRevision) != d.HardwareRevision ||
					!cmp.Equal(*e.Labels, d.Labels) && len(*e.Labels)+len(d.Labels) > 0 || *e.Note != d.Note || *e.Hold != d.Hold || *e.Pin != d.Pin {
					t.Fatalf("%s: %+v is read as %+v, labels %q, note %q", format, d, e, *e.Labels, *e.Note)
				}
			}
		}
	})
}

// printable is what the server takes in a label's value.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func write(t interface{ Fatal(...any) }, format string, devices []api.Device) string {
	var out bytes.Buffer
	var w interface {
		Write(api.Device) error
		Close() error
	} = inventory.NewJSONWriter(&out)
	if format == "csv" {
		c, err := inventory.NewCSVWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = c
	}
	for _, d := range devices {
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// No cell of an export begins like a formula.
func TestNoCellIsAFormula(t *testing.T) {
	d := api.Device{
		Ref: fleet.Ref{DeviceType: "t", ID: "d"}, Level: fleet.Keyed, Labels: map[string]string{"a": "=1+1"}, Note: `=HYPERLINK("http://x";"y")`, Pin: "-1",
		Vendor: "@x", LastErrorText: "+1",
	}
	text := write(t, "csv", []api.Device{d})
	for _, want := range []string{`,"'=HYPERLINK(""http://x"";""y"")",`, `,'-1,`, `,'@x,`, `,'+1,`, `,a==1+1,`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

func TestFilesOfPeople(t *testing.T) {
	want := func(name, text string, want ...string) {
		t.Helper()
		list, err := read(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, e := range list {
			got = append(got, fmt.Sprintf("%s %s %v", e.Place, e.Ref, labelsOf(e)))
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	want("CRLF, a BOM and no last newline", "\ufeffdevice,device_type,labels\r\na,t,x=1\r\nb,t,\"y=\"\"a;b\"\" ; z=2;\"", "line 2 t/a map[x:1]", "line 3 t/b map[y:a;b z:2]")
	want("lines in a cell", "device_type,device,note\nt,a,\"one\ntwo\"\nt,b,\n", "line 2 t/a map[]", "line 4 t/b map[]")
	want("nothing but a heading", "device_type,device\n")
	want("an empty array", " [ ] \n")
	want("an array", `[{"device_type":"t","device":"a","labels":{"x":"1"}}, {"device_type":"t","device":"b"}]`, "entry 1 t/a map[x:1]", "entry 2 t/b map[]")
	want("one object a line", "{\"device_type\":\"t\",\"device\":\"a\"}\n{\"device_type\":\"t\",\"device\":\"b\"}\n", "entry 1 t/a map[]", "entry 2 t/b map[]")
}

func labelsOf(e inventory.Entry) map[string]string {
	if e.Labels == nil {
		return map[string]string{}
	}
	return *e.Labels
}

func TestWhatAListDoesNotSayStaysOpen(t *testing.T) {
	for _, text := range []string{
		"device_type,device,level,vendor,hardware_revision\nt,a,,,\n", `[{"device_type":"t","device":"a"}]`,
	} {
		list, err := read(text)
		want := fleet.ImportDevice{Ref: fleet.Ref{DeviceType: "t", ID: "a"}}
		if err != nil || len(list) != 1 || !cmp.Equal(list[0].ImportDevice, want) {
			t.Errorf("%s: %+v, %v", text, list, err)
		}
	}
	list, err := read("device_type,device,labels,note,hold,pin\nt,a,,,,\n")
	if err != nil || len(*list[0].Labels) != 0 || *list[0].Note != "" || *list[0].Hold || *list[0].Pin != "" {
		t.Errorf("empty cells: %+v, %v", list, err)
	}
}

func TestHostileFiles(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                   {"", "line 1: the file is empty"},
		"spaces":                    {" \n", "line 1: the file is empty"},
		"no names":                  {"device,labels\n", `line 1: no column "device_type"`},
		"a column that is unknown":  {"device_type,device,lables\n", `line 1: column "lables" is not known: want device_type, device, vendor`},
		"a column twice":            {"device_type,device,device\n", `line 1: column "device" twice`},
		"too few cells":             {"device_type,device\nt,a\nt\n", "line 3: wrong number of fields"},
		"a quote in a cell":         {"device_type,device\nt,a\"b\n", "line 2: bare \""},
		"a quote without end":       {"device_type,device\nt,\"a\n", "line 2: extraneous or missing \""},
		"a long quote without end":  {"device_type,device\nt,\"" + long, "line 2: more than 262144 bytes"},
		"a long heading":            {long, "line 1: more than 262144 bytes"},
		"a long line":               {"device_type,device\nt,a\nt," + long + long + "\n", "line 3: more than 262144 bytes"},
		"NUL":                       {"device_type,device\nt,a\x00\n", "line 2: it is no UTF-8 text"},
		"no UTF-8":                  {"device_type,device\nt,\xff\n", "line 2: it is no UTF-8 text"},
		"UTF-16":                    {"\xff\xfed\x00e\x00", "it is no UTF-8 text"},
		"a device twice":            {"device_type,device\nt,a\nt,b\nt,a\n", "line 4: device t/a stands in line 2 already"},
		"a level that is none":      {"device_type,device,level\nt,a,root\n", `line 2: level: level "root": want keyed or token`},
		"a hold that is none":       {"device_type,device,hold\nt,a,maybe\n", `line 2: hold: "maybe": want yes or no`},
		"labels without a value":    {"device_type,device,labels\nt,a,x\n", `line 2: labels: "x": want NAME=VALUE`},
		"a label twice":             {"device_type,device,labels\nt,a,x=1;x=2\n", `line 2: labels: label "x" twice`},
		"a label's quote":           {"device_type,device,labels\nt,a,\"x=\"\"1\"\n", "the quote has no end"},
		"behind a label's quote":    {"device_type,device,labels\nt,a,\"x=\"\"1\"\"2\"\n", "want a semicolon"},
		"a quote inside a label":    {"device_type,device,labels\nt,a,\"x=1\"\"2\"\n", "stands in quotes"},
		"a JSON list without end":   {`[{"device_type":"t","device":"a"}`, "entry 2:"},
		"a JSON list with a number": {`[1]`, "entry 1: "},
		"a JSON member unknown":     {`[{"device_type":"t","device":"a","lables":{}}]`, "entry 1: at \"/lables\""},
		"a JSON member twice":       {`[{"device_type":"t","device":"a","device":"b"}]`, "entry 1: "},
		"JSON behind the list":      {`[] []`, "something stands behind the list"},
		"JSON and a device twice":   {`[{"device_type":"t","device":"a"},{"device_type":"t","device":"a"}]`, "entry 2: device t/a stands in entry 1 already"},
		"a long JSON text":          {`[{"device_type":"t","device":"` + long, "entry 1: "},
		"a deep JSON value":         {`[{"device_type":"t","device":"a","offer":` + strings.Repeat("[", 20_000), "entry 1: "},
	} {
		_, err := read(c.text)
		var e *inventory.Error
		if !errors.As(err, &e) || !errors.Is(err, inventory.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}

// A disk that fails is no mistake in the file.
func TestFailedReadsAreNoMistakesOfTheFile(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, begin := range []string{"", "device_type,device\nt,a\n", `[{"device_type":"t","device":"a"},`} {
		var last error
		for _, err := range inventory.Read(io.MultiReader(strings.NewReader(begin), failing{broken})) {
			last = err
		}
		if !errors.Is(last, broken) || errors.Is(last, inventory.ErrMalformed) {
			t.Errorf("%q: %v", begin, last)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzRead(f *testing.F) {
	f.Add("device_type,device,labels\nt,a,\"x=\"\"a;b\"\"; y=2\"\n")
	f.Add("\ufeffdevice_type,device,note,hold,level\r\nt,a,'=1,yes,token\r\n")
	f.Add(`[{"device_type":"t","device":"a","labels":{"x":"1"},"note":"n","hold":true,"level":"keyed"}]`)
	f.Add("{\"device_type\":\"t\",\"device\":\"a\"}\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := read(text)
		if err != nil && !errors.Is(err, inventory.ErrMalformed) {
			t.Fatalf("%q: %v", text, err)
		}
		seen := map[fleet.Ref]bool{}
		for _, e := range list {
			if seen[e.Ref] || e.Place.Number < 1 {
				t.Fatalf("%q: %+v", text, e)
			}
			seen[e.Ref] = true
		}
	})
}
