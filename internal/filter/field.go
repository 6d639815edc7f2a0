package filter

// A Field is what of a device a test looks at.
type Field uint8

// The fields.
const (
	Type Field = iota + 1
	ID
	Hardware
	Vendor
	Level
	Version
	Sequence
	Keyset
	State
	Boot
	LastError
	Label // with a key: label.site
	Seen
	Added
	Note
	Hold
	Pin
	UpdateNow
)

// A Kind says what values a field has, and by which method of a Subject it is
// read.
type Kind uint8

// The kinds.
const (
	Words    Kind = iota + 1 // Subject.Text; empty: none
	Versions                 // Subject.Version; the zero Version: none
	Numbers                  // Subject.Number; 0: none
	Moments                  // Subject.Time; the zero Time: never
	Flags                    // Subject.Flag
)

// A spec describes a field.
type spec struct {
	name  string
	kind  Kind
	words []string // the only values of a Words field; nil: any
	about string
}

// labelPrefix precedes the key of a label.
const labelPrefix = "label."

// States are the words for what a device is doing, in the order of an update's
// life. Package fleet says when each holds.
var States = []string{
	"never seen", "idle", "offered", "downloading", "installing", "trial", "confirmed",
	"reverted", "failed", "refused", "silent", "revoked",
}

var specs = [...]spec{
	Type:      {"type", Words, nil, "device type"},
	ID:        {"id", Words, nil, "device id"},
	Hardware:  {"hardware", Words, nil, "hardware revision"},
	Vendor:    {"vendor", Words, nil, "vendor"},
	Level:     {"level", Words, []string{"keyed", "token"}, "how the device authenticates"},
	Version:   {"version", Versions, nil, "version of the published release that runs"},
	Sequence:  {"sequence", Numbers, nil, "sequence of what runs, such as 1.42"},
	Keyset:    {"keyset", Numbers, nil, "version of the keyset that the device holds"},
	State:     {"state", Words, States, "what the device is doing"},
	Boot:      {"boot", Words, []string{"confirmed", "trial", "reverted"}, "state of the image that runs"},
	LastError: {"error", Numbers, nil, "number of the last refusal or failure (docs/spec/reasons.md)"},
	Label:     {labelPrefix + "KEY", Words, nil, "value of a label"},
	Seen:      {"seen", Moments, nil, "when the device was last here"},
	Added:     {"added", Moments, nil, "when the device was added"},
	Note:      {"note", Words, nil, "the operators' note"},
	Hold:      {"hold", Flags, nil, "nothing is offered to the device"},
	Pin:       {"pin", Versions, nil, "the only version that is offered to the device"},
	UpdateNow: {"update-now", Flags, nil, "the device does not wait for its turn in a rollout"},
}

// Fields returns all fields, in the order of docs/filters.md.
func Fields() []Field {
	list := make([]Field, 0, len(specs)-1)
	for f := Type; int(f) < len(specs); f++ {
		list = append(list, f)
	}
	return list
}

// String returns the field's name as filters write it; that of Label is
// "label.KEY".
func (f Field) String() string { return specs[f].name }

// Kind returns what values the field has.
func (f Field) Kind() Kind { return specs[f].kind }

// About describes the field in a few words.
func (f Field) About() string { return specs[f].about }

// Words returns the only values that the field can have, nil if it can have
// others.
func (f Field) Words() []string { return specs[f].words }

// byName holds every field but Label.
var byName = func() map[string]Field {
	m := map[string]Field{}
	for _, f := range Fields() {
		if f != Label {
			m[f.String()] = f
		}
	}
	return m
}()
