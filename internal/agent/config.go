package agent

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/bootloader"
	"github.com/secure-ota/secure-ota/internal/agent/slot"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// A Config is the configuration file, a JSON object (docs/agent.md). It holds no secret.
type Config struct {
	Server      string     `json:"server"`                // https://host:port
	Fingerprint string     `json:"fingerprint,omitzero"`  // SHA-256 of the server's certificate; "": checked against a CA
	CAFile      string     `json:"ca_file,omitzero"`      // PEM; "": the system's
	Storage     string     `json:"storage"`               // directory of state, secret and, unless slots says otherwise, slots
	Slots       Slots      `json:"slots,omitzero"`        // where images go
	BootLoader  BootLoader `json:"boot_loader,omitzero"`  // who chooses the slot at boot
	Trial       Trial      `json:"trial,omitzero"`        // how a new image proves itself
	Program     []string   `json:"program,omitzero"`      // what boot and supervise start; default {image}
	Reboot      []string   `json:"reboot,omitzero"`       // how run starts the other slot; default: it waits for a reboot
	Watchdog    Watchdog   `json:"watchdog,omitzero"`     // the hardware one; systemd's is found by itself
	MaxPoll     Seconds    `json:"max_poll_sec,omitzero"` // ask at least so often; 0: as the server says
}

// Slots says where the two slots are.
type Slots struct {
	Kind string `json:"kind"` // "files" or "devices"
	A    Place  `json:"a"`
	B    Place  `json:"b"`
}

// A Place is one slot.
type Place struct {
	Path   string `json:"path"`
	Offset int64  `json:"offset,omitzero"` // bytes, of a device
	Size   int64  `json:"size,omitzero"`   // bytes; 0: to the end of the device, or without bound
}

// A BootLoader says how the boot loader is told.
type BootLoader struct {
	Kind     string `json:"kind"`              // "file", "uboot" or "script"
	Program  string `json:"program,omitzero"`  // of a script
	Printenv string `json:"printenv,omitzero"` // default fw_printenv
	Setenv   string `json:"setenv,omitzero"`   // default fw_setenv
	Cmdline  string `json:"cmdline,omitzero"`  // default /proc/cmdline
	Tries    int    `json:"tries,omitzero"`    // boots of a trial; default 3
}

// A Trial says how an image on trial is judged.
type Trial struct {
	Health   []string `json:"health,omitzero"`        // exits 0 if the image is well; tried until the deadline
	Settle   Seconds  `json:"settle_sec,omitzero"`    // it has to run so long before it is confirmed; default 5
	Deadline Seconds  `json:"deadline_sec,omitzero"`  // from boot to confirmation; default 120
	Manual   bool     `json:"manual,omitzero"`        // only `ota-agent confirm` confirms
	Interval Seconds  `json:"interval_sec,omitzero"`  // between two runs of the health command; default 1
	Timeout  Seconds  `json:"timeout_sec,omitzero"`   // of one run of it; default 30
	StopWait Seconds  `json:"stop_wait_sec,omitzero"` // from SIGTERM to SIGKILL of the program; default 10
}

// A Watchdog is a hardware watchdog of Linux.
type Watchdog struct {
	Device     string  `json:"device,omitzero"`       // for instance /dev/watchdog; "": none
	Interval   Seconds `json:"interval_sec,omitzero"` // between two keepalives; default 5
	BootStatus string  `json:"boot_status,omitzero"`  // file that tells why the last reset was; default /sys/class/watchdog/watchdog0/bootstatus
}

// Seconds is a time span as a number of seconds, 0.5 included.
type Seconds float64

// or returns the time span, or def if it is 0.
func (s Seconds) or(def time.Duration) time.Duration {
	if s == 0 {
		return def
	}
	return time.Duration(float64(s) * float64(time.Second))
}

// maxConfig is the longest configuration file, in bytes.
const maxConfig = 64 << 10

// LoadConfig reads a configuration file.
func LoadConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w (`ota-agent enrol` or `provision` writes one; --config names another)", err)
	}
	cfg, err := ParseConfig(raw)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig strictly decodes a configuration: no unknown or duplicate member.
func ParseConfig(raw []byte) (Config, error) {
	if len(raw) > maxConfig {
		return Config{}, fmt.Errorf("%d bytes, at most %d", len(raw), maxConfig)
	}
	var cfg Config
	if err := json.Unmarshal(raw, &cfg, json.RejectUnknownMembers(true)); err != nil {
		return Config{}, err
	}
	return cfg, cfg.Validate()
}

// Validate says which field is wrong and what it should be.
func (cfg Config) Validate() error {
	switch {
	case cfg.Server == "":
		return errors.New("server is missing: want https://host:port")
	case cfg.Storage == "":
		return errors.New("storage is missing: want a directory")
	case cfg.MaxPoll < 0:
		return fmt.Errorf("max_poll_sec is %v: want seconds, or 0", cfg.MaxPoll)
	}
	if err := cfg.Slots.validate(); err != nil {
		return err
	}
	return cfg.BootLoader.validate()
}

func (s Slots) validate() error {
	switch s.Kind {
	case "":
		if s != (Slots{}) {
			return errors.New(`slots.kind is missing: want "files" or "devices"`)
		}
		return nil
	case "files", "devices":
	default:
		return fmt.Errorf(`slots.kind is %q: want "files" or "devices"`, s.Kind)
	}
	for name, p := range map[string]Place{"a": s.A, "b": s.B} {
		if p.Path == "" || p.Offset < 0 || p.Size < 0 || s.Kind == "files" && p.Offset != 0 {
			return fmt.Errorf("slots.%s: want a path, and for devices an offset and a size of 0 or more", name)
		}
	}
	if s.A.Path == s.B.Path && !apart(s.A, s.B) {
		return errors.New("slots a and b overlap")
	}
	return nil
}

// apart reports whether two places on one device do not overlap.
func apart(a, b Place) bool {
	if a.Offset > b.Offset {
		a, b = b, a
	}
	return a.Size > 0 && a.Size <= b.Offset-a.Offset
}

func (b BootLoader) validate() error {
	switch b.Kind {
	case "", "file", "uboot":
	case "script":
		if b.Program == "" {
			return errors.New("boot_loader.program is missing")
		}
	default:
		return fmt.Errorf(`boot_loader.kind is %q: want "file", "uboot" or "script"`, b.Kind)
	}
	if b.Tries < 0 || b.Tries > bootloader.MaxTries {
		return fmt.Errorf("boot_loader.tries is %d: want 1 to %d", b.Tries, bootloader.MaxTries)
	}
	return nil
}

// Save writes the configuration, in place of what was there.
func (cfg Config) Save(path string) error {
	raw, err := json.Marshal(cfg, indent)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := fsatomic.WriteFile(fsatomic.OS(), path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Remote returns how the server is reached.
func (cfg Config) Remote() (client.Server, error) {
	s := client.Server{URL: cfg.Server, Fingerprint: cfg.Fingerprint}
	if cfg.CAFile == "" {
		return s, nil
	}
	ca, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return s, fmt.Errorf("read CA file: %w", err)
	}
	s.CA = ca
	return s, nil
}

// Client returns what package client works with.
func (cfg Config) Client() (client.Config, *client.Local, error) {
	server, err := cfg.Remote()
	if err != nil {
		return client.Config{}, nil, err
	}
	hc, err := server.HTTPClient()
	if err != nil {
		return client.Config{}, nil, err
	}
	local := &client.Local{Dir: cfg.Storage, HTTP: hc, Slots: cfg.Slots.places()}
	return client.Config{
		Server: server, Ops: local, Loader: cfg.BootLoader.loader(local), LastReset: cfg.Watchdog.lastReset,
	}, local, nil
}

func (s Slots) places() [2]slot.Place {
	place := func(p Place) slot.Place {
		return slot.Place{Path: p.Path, Device: s.Kind == "devices", Offset: p.Offset, Size: p.Size}
	}
	return [2]slot.Place{place(s.A), place(s.B)}
}

func (b BootLoader) loader(local *client.Local) client.Loader {
	switch b.Kind {
	case "uboot":
		return bootloader.UBoot{Printenv: b.Printenv, Setenv: b.Setenv, Cmdline: b.Cmdline, Tries: b.Tries}
	case "script":
		return bootloader.Script{Program: b.Program}
	}
	return bootloader.NewFile(local, b.Tries)
}
