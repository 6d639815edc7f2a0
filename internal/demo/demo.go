// Package demo tells the main job as a story that really happens: keys, a
// signed release, a server, a device that runs what it is given, four attacks,
// and what the audit log says afterwards. It runs the programs that a user
// would run, as separate processes, and fails if anything is not as it should
// be.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/trust"
)

// A Config says where the programs are.
type Config struct {
	Ota      string    // path of ota itself
	Agent    string    // path of ota-agent; empty: beside Ota
	Firmware string    // directory with sensor-1.0.0, sensor-1.1.0 and sensor-1.2.0
	Once     bool      // end when the story is told
	Out      io.Writer // where it is told
}

// The cast.
const (
	vendor     = "acme"
	deviceType = "sensor_v1"
	otherType  = "pump_v2"
	deviceID   = "sensor-0001"
	device     = "device:" + deviceType + "/" + deviceID // in the audit log
)

// patience bounds each wait for something that must happen.
const patience = time.Minute

type demo struct {
	Config
	dir    string
	server *process
	device *process
	wire   *middle
	ops    *api.Client
	url    string // console
	token  string
	step   int
	read   int64  // last audit record that was read
	logged int    // lines of the device's log that were shown
	runs   report // the last confirmation
}

// Run tells the story. With Once it returns nil only if everything happened as
// it should; otherwise it then waits for ctx to end.
func Run(ctx context.Context, cfg Config) (err error) {
	if runtime.GOOS != "linux" {
		return errors.New("the demo's device is a Linux program: run the demo on Linux")
	}
	if cfg.Agent == "" {
		cfg.Agent = filepath.Join(filepath.Dir(cfg.Ota), "ota-agent")
	}
	d := &demo{Config: cfg}
	if err := d.findPrograms(); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "ota-demo-"); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer os.RemoveAll(d.dir)
	defer d.stop()
	if err := d.tell(ctx); err != nil {
		return err
	}
	if cfg.Once {
		return nil
	}
	fmt.Fprintf(d.Out, "\nThe server runs on: console %s (its certificate is self-made), token\n  %s\nCtrl-C ends it.\n", d.url, d.token)
	<-ctx.Done()
	return nil
}

func (d *demo) findPrograms() error {
	for _, path := range []*string{&d.Ota, &d.Agent, &d.Firmware} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		if _, err := os.Stat(abs); err != nil {
			return fmt.Errorf("demo: %w (`make demo` builds what it needs)", err)
		}
		*path = abs
	}
	return nil
}

func (d *demo) stop() {
	for _, p := range []*process{d.device, d.server} {
		if p != nil {
			p.stop()
		}
	}
}

func (d *demo) tell(ctx context.Context) error {
	for _, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Keys", d.makeKeys},
		{"Server", d.startServer},
		{"A device, and its first firmware", d.firstInstall},
		{"An update", d.update},
		{"Attacks on the way to the device", d.attacks},
		{"A bad release, properly signed", d.badRelease},
		{"Mistakes that are refused before they travel", d.mistakes},
		{"A microcontroller, on a serial line", d.microcontroller},
		{"What happened", d.audit},
	} {
		d.step++
		fmt.Fprintf(d.Out, "\n%d. %s\n", d.step, chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("demo: %s: %w", strings.ToLower(chapter.title), err)
		}
	}
	return nil
}

// quoted joins a command line as a shell would take it.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg
		if strings.Contains(arg, " ") {
			words[i] = strconv.Quote(arg)
		}
	}
	return strings.Join(words, " ")
}

// say prints a line of the story.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Out, "   "+format+"\n", args...) }

// ota runs an ota command, and shows it.
func (d *demo) ota(ctx context.Context, args ...string) ([]byte, error) {
	d.say("$ ota %s", quoted(args))
	return d.quietly(ctx, args...)
}

// quietly runs an ota command without showing it.
func (d *demo) quietly(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return output(ctx, d.dir, d.Ota, append([]string{"--json"}, args...)...)
}

func (d *demo) makeKeys(ctx context.Context) error {
	if _, err := d.ota(ctx, "init", "--vendor", vendor, "--device-type", deviceType, "--no-passphrase"); err != nil {
		return err
	}
	d.say("3 root keys, of which 2 must sign; a release key for %s; keyset 1 says so, signed by the roots", deviceType)
	for _, args := range [][]string{
		{"key", "generate", "release-" + otherType, "--purpose", "release", "--device-type", otherType, "--no-passphrase"},
		{"keyset", "new", otherType, "--add-release", "release-" + otherType},
		{"keyset", "sign", otherType},
	} {
		if _, err := d.quietly(ctx, args...); err != nil {
			return err
		}
	}
	d.say("another type, %s, gets a release key of its own", otherType)
	return nil
}

// startServer starts the real server, and puts the attacker on the wire.
func (d *demo) startServer(ctx context.Context) error {
	args := []string{"serve", "--data", "data", "--listen", "127.0.0.1:0", "--plain", "127.0.0.1:0", "--retry", "1s"}
	d.say("$ ota %s", quoted(args))
	var err error
	if d.server, err = start("ota serve", d.dir, d.Ota, append([]string{"--json"}, args...)...); err != nil {
		return err
	}
	var at struct {
		TLS         string `json:"tls"`
		Fingerprint string `json:"fingerprint"`
		Plain       string `json:"plain"`
		Token       string `json:"administrator_token"`
	}
	if err := d.announced(ctx, &at); err != nil {
		return err
	}
	d.url, d.token = at.TLS+"/", at.Token
	d.say("%s, certificate %s…; administrator's token printed once", at.TLS, at.Fingerprint[:16])
	if err := fsatomic.CreateFile(fsatomic.OS(), filepath.Join(d.dir, "token"), []byte(at.Token+"\n"), 0o600); err != nil {
		return err
	}
	if _, err := d.ota(ctx, "login", at.TLS, "--fingerprint", at.Fingerprint, "--token-file", "token"); err != nil {
		return err
	}
	d.ops, err = api.NewClient(api.ClientConfig{URL: at.TLS, Token: auth.Token(at.Token), Fingerprint: at.Fingerprint})
	if err != nil {
		return err
	}
	d.wire = &middle{upstream: at.Plain}
	return nil
}

// announced reads what the server says of itself: one JSON object over
// several lines.
func (d *demo) announced(ctx context.Context, v any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, first, err := d.server.waitFor(ctx, "{", 0)
	if err != nil {
		return err
	}
	_, last, err := d.server.waitFor(ctx, "}", first-1)
	if err != nil {
		return err
	}
	d.server.mu.Lock()
	text := strings.Join(d.server.lines[first-1:last], "\n")
	d.server.mu.Unlock()
	return json.Unmarshal([]byte(text), v)
}

// firstInstall provisions a device and starts it. It reaches the server through
// the attacker, without TLS: the case that the objects have to be safe in.
func (d *demo) firstInstall(ctx context.Context) error {
	if err := d.publish(ctx, "1.0.0"); err != nil {
		return err
	}
	if _, err := d.ota(ctx, "device", "add", deviceType, deviceID, "-o", "device.json"); err != nil {
		return err
	}
	if err := d.readKeys(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, d.wire) // ends with the process
	wire := "http://" + listener.Addr().String()
	if _, err := output(ctx, d.dir, d.Agent, "provision", "--config", "agent.json", "--server", wire, "--storage", "device", "device.json"); err != nil {
		return err
	}
	if err := d.configureAgent(); err != nil {
		return err
	}
	d.say("$ ota-agent supervise --config agent.json      # two slots; no TLS, and an attacker on the wire")
	if d.device, err = start("ota-agent", d.dir, d.Agent, "supervise", "--config", "agent.json"); err != nil {
		return err
	}
	return d.installed(ctx, "1.0.0")
}

// readKeys gives the attacker the device's keys, for the part in which he has
// stolen the server.
func (d *demo) readKeys() error {
	raw, err := os.ReadFile(filepath.Join(d.dir, "device.json"))
	if err != nil {
		return err
	}
	var p fleet.Provisioning
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if d.wire.keys.Up, err = trust.ParseDeviceKey(p.UpKey); err != nil {
		return err
	}
	d.wire.keys.Down, err = trust.ParseDeviceKey(p.DownKey)
	return err
}

// configureAgent makes the device quick: it asks every second, and a trial
// takes two.
func (d *demo) configureAgent() error {
	path := filepath.Join(d.dir, "agent.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cfg := map[string]any{}
	if err := json.Unmarshal(raw, &cfg); err != nil {
		return err
	}
	cfg["max_poll_sec"] = 1
	cfg["trial"] = map[string]any{"health": []string{"{image}", "--health"}, "settle_sec": 1, "deadline_sec": 5, "interval_sec": 0.5}
	if raw, err = json.Marshal(cfg); err != nil {
		return err
	}
	return fsatomic.WriteFile(fsatomic.OS(), path, raw, 0o644)
}
