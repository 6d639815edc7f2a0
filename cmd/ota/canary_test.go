//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/logging"
	"github.com/secure-ota/secure-ota/internal/testenv/issuer"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
)

// A story is everything that a vendor and an operator do, by the commands they
// do it with, watched for secrets that turn up where they do not belong.
type story struct {
	t       *testing.T
	dir     string
	secrets map[string]string // by what they are
	places  map[string][]byte // what was written, by where
	env     []string
	people  *issuer.Issuer // by whom they log in
	log     syncBuffer
	said    struct {
		TLS, Fingerprint, Metrics, Plain string
		Token                            string `json:"administrator_token"`
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

// spellings returns the forms in which a secret would be one all the same.
func spellings(secret string) []string {
	forms := []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)}
	if raw, err := hex.DecodeString(secret); err == nil && len(raw) >= 16 {
		forms = append(forms, string(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
	}
	if _, text, ok := strings.Cut(secret, "ota_"); ok { // of a token without its prefix
		if _, bare, ok := strings.Cut(text, "_"); ok {
			forms = append(forms, bare)
		}
	}
	return forms
}

// found returns which secrets stand in which places.
func found(places map[string][]byte, secrets map[string]string) (leaks []string) {
	for place, text := range places {
		for what, secret := range secrets {
			if slices.ContainsFunc(spellings(secret), func(form string) bool { return bytes.Contains(text, []byte(form)) }) {
				leaks = append(leaks, fmt.Sprintf("the %s stands in the %s", what, place))
			}
		}
	}
	slices.Sort(leaks)
	return leaks
}

func (r *story) secret(what, value string) {
	r.t.Helper()
	if len(value) < 12 {
		r.t.Fatalf("the %s is %q", what, value)
	}
	r.secrets[what] = value
}

func (r *story) command(args ...string) *exec.Cmd {
	cmd := otaCommand(r.dir, args...)
	cmd.Env = append(cmd.Env, r.env...)
	return cmd
}

// ota runs a command. What it says to people is a place to look at; so is its
// data, unless shown says that it is where a secret is shown once.
func (r *story) ota(shown bool, args ...string) []byte {
	r.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := r.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run() // some are refused, which is the point
	name := fmt.Sprintf("%d ota %s", len(r.places), strings.Join(args, " "))
	r.places["errors of "+name] = stderr.Bytes()
	if shown {
		if err != nil {
			r.t.Fatalf("%s: %v\n%s", name, err, stderr.String())
		}
	} else {
		r.places["output of "+name] = stdout.Bytes()
	}
	return stdout.Bytes()
}

// field returns a member of a JSON answer.
func (r *story) field(raw []byte, name string) string {
	r.t.Helper()
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		r.t.Fatalf("%v: %s", err, raw)
	}
	text, _ := members[name].(string)
	return text
}

func (r *story) serve() (stop func()) {
	r.t.Helper()
	cmd := r.command("serve", "--listen", "127.0.0.1:0", "--plain", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--log-level", "debug", "--json",
		"--public-url", "https://ota.example.com", "--oidc-issuer", r.people.URL, "--oidc-client-id", issuer.ClientID, "--oidc-secret-file", "oidc.secret", "--oidc-role", "staff=viewer")
	cmd.Stderr = &r.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	r.t.Cleanup(stop)
	if err := json.NewDecoder(out).Decode(&r.said); err != nil {
		r.t.Fatalf("ota serve said nothing: %v\n%s", err, r.log.bytes())
	}
	for _, file := range []string{"cmdline", "environ"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, file))
		if err != nil {
			r.t.Fatal(err)
		}
		if file == "cmdline" { // the environment is where a passphrase may be
			r.places["arguments of ota serve"] = raw
		}
	}
	return stop
}

// ask sends a request, whose answer is a place to look at.
func (r *story) ask(method, target, contentType, body, token string) []byte {
	r.t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", contentType)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a server of this test's own
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var head bytes.Buffer
	resp.Header.Write(&head)
	r.places[fmt.Sprintf("%d answer to %s %s", len(r.places), method, req.URL.Path)] = append(head.Bytes(), raw...)
	return raw
}

// signOn logs somebody in by the identity provider, as a browser does, twice: the
// second time the code is spent.
func (r *story) signOn() {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	client := http.Client{
		Jar:           jar,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // a server of this test's own
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	get := func(target string) *http.Response {
		resp, err := client.Get(target)
		if err != nil {
			r.t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	there := get(r.said.TLS + "/login/oidc").Header.Get("Location")
	_, back, ok := strings.Cut(get(there).Header.Get("Location"), "https://ota.example.com")
	if !ok {
		r.t.Fatalf("the provider at %s leads nowhere", there)
	}
	resp := get(r.said.TLS + back)
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-ota" {
			r.secret("session of a person", c.Value)
		}
	}
	query, err := url.ParseQuery(back[strings.Index(back, "?")+1:])
	if resp.StatusCode != http.StatusOK || err != nil {
		r.t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	r.secret("code of a login", query.Get("code"))
	get(r.said.TLS + back)
}

// files notes every file below a directory as a place, but for those that are
// there to hold secrets.
func (r *story) files(dir string, holders ...string) {
	r.t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || slices.ContainsFunc(holders, func(h string) bool { ok, _ := filepath.Match(h, name); return ok }) {
			return err
		}
		raw, err := os.ReadFile(path)
		r.places["file "+name+" of "+filepath.Base(dir)] = raw
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// fleetSecrets notes what the server keeps in its secrets.
func (r *story) fleetSecrets(data string) {
	r.t.Helper()
	master, err := os.ReadFile(filepath.Join(data, "secrets", "fleet-t.key"))
	if err != nil {
		r.t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(master)), ": ")
	r.secret("fleet master", value)
	for what, file := range map[string]string{"audit key": "audit.pem", "TLS key": "tls.pem"} {
		text, err := os.ReadFile(filepath.Join(data, "secrets", file))
		if err != nil {
			r.t.Fatal(err)
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if strings.Contains(block.Type, "PRIVATE") {
				r.secret(what, hex.EncodeToString(block.Bytes[len(block.Bytes)-32:])) // the scalar, or a part of the key
			}
		}
	}
}

func TestNoSecretTurnsUpAnywhere(t *testing.T) {
	t.Parallel() // it waits for scrypt
	r := &story{t: t, dir: t.TempDir(), secrets: map[string]string{}, places: map[string][]byte{}, people: issuer.New(t)}
	r.people.Claims = map[string]any{"groups": "staff"}
	temp := t.TempDir()
	r.secret("secret at the identity provider", issuer.Secret)
	if err := os.WriteFile(filepath.Join(r.dir, "oidc.secret"), []byte(issuer.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.secret("passphrase of the keys", "canary-7f3e91-of-the-keys")
	r.secret("passphrase of the backup", "canary-2b77d0-of-the-backup")
	r.env = []string{"TMPDIR=" + temp, "OTA_PASSPHRASE=" + r.secrets["passphrase of the keys"]}
	if err := os.WriteFile(filepath.Join(r.dir, "fw"), []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ota(false, "init", "ota-home", "--vendor", "acme", "--device-type", "t", "--roots", "1", "--algorithm", "Ed25519")
	stop := r.serve()
	r.secret("administrator's token", r.said.Token)
	server := []string{"--server", r.said.TLS}
	r.env = append(r.env, "OTA_TOKEN="+r.said.Token, "OTA_FINGERPRINT="+r.said.Fingerprint)
	on := func(args ...string) []string { return append(args, server...) }

	// A day, in which everything secret is made and used.
	r.ota(false, "login", r.said.TLS, "--fingerprint", r.said.Fingerprint)
	r.ota(false, on("publish", "fw", "--device-type", "t", "--version", "1.0.0", "--key", "release-t-1")...)
	r.secret("token of ci", r.field(r.ota(true, on("token", "add", "ci", "--role", "publisher", "--json")...), "token"))
	r.secret("rotated token of ci", r.field(r.ota(true, on("token", "rotate", "ci", "--json")...), "token"))
	keyed := r.ota(true, on("device", "add", "t", "dev-1", "--json")...)
	r.secret("up key", r.field(keyed, "up_key"))
	r.secret("down key", r.field(keyed, "down_key"))
	r.secret("device token", r.field(r.ota(true, on("device", "add", "t", "dev-2", "--token", "--json")...), "token"))
	code := r.field(r.ota(true, on("device", "add", "t", "--enrol", "--json")...), "code")
	delete(r.places, fmt.Sprintf("errors of %d ota %s", len(r.places)-1, strings.Join(on("device", "add", "t", "--enrol", "--json"), " "))) // says how to use the code
	r.secret("enrolment code", code)
	r.fleetSecrets(filepath.Join(r.dir, "ota-home", "server"))
	r.signOn()

	// What goes wrong, with secrets where they do not belong.
	body := `{"code":"` + code + `","device_type":"t","device":"gw-1"}`
	r.ask("POST", r.said.Plain+"/v1/enrol", "application/json", body, "") // without TLS
	r.ask("POST", r.said.TLS+"/v1/enrol", "application/json", body+"x", "")
	enrolled := r.ask("POST", r.said.TLS+"/v1/enrol", "application/json", body, "")
	r.secret("enrolled up key", r.field(enrolled, "up_key"))
	for place := range r.places { // the one answer that carries keys
		if strings.HasSuffix(place, "/v1/enrol") && bytes.Contains(r.places[place], []byte("up_key")) {
			delete(r.places, place)
		}
	}
	r.ask("POST", r.said.TLS+"/v1/enrol", "application/json", body, "") // spent
	for _, secret := range r.secrets {
		r.ask("GET", r.said.TLS+"/api/v1/info", "", "", secret+"x")
		r.ask("GET", r.said.Plain+"/api/v1/info", "", "", secret)
		r.ask("POST", r.said.TLS+"/login", "application/x-www-form-urlencoded", "token="+url.QueryEscape(secret)+"x", "")
		r.ask("POST", r.said.TLS+"/v1/check", "application/json", `{"device":"dev-2","device_type":"t"}`, secret)
		r.ask("POST", r.said.TLS+"/v1/check", "application/cose", "\xd1"+secret, "")
	}
	r.ota(false, on("device", "add", "t", "dev-1")...) // exists
	r.ota(false, on("token", "add", "ci", "--role", "viewer")...)
	r.ota(false, "sign", "fw", "--key", "root-1")
	r.env[1] = "OTA_PASSPHRASE=wrong"
	r.ota(false, on("publish", "fw", "--device-type", "t", "--version", "1.1.0", "--key", "release-t-1")...)
	r.env[1] = "OTA_PASSPHRASE=" + r.secrets["passphrase of the backup"]
	r.ota(false, "backup", "copy", "--data", "ota-home/server")
	r.ota(false, "restore", "copy", "--data", "again")

	// Everything that can be read.
	for _, route := range everyGet(t) {
		r.ask("GET", r.said.TLS+strings.NewReplacer("{type}", "t", "{id}", "dev-1", "{name}", "ci", "{digest}", strings.Repeat("0", 64)).Replace(route), "", "", r.said.Token)
	}
	r.ask("GET", strings.TrimSuffix(r.said.Metrics, "/metrics")+"/metrics", "", "", "")
	r.ota(false, on("audit", "list", "--json", "--limit", "1000")...)
	r.ota(false, on("token", "list", "--json")...)
	r.ota(false, on("device", "list", "--json")...)
	r.ota(false, "doctor", "--json")
	time.Sleep(100 * time.Millisecond) // what is being written
	r.files(filepath.Join(r.dir, "ota-home", "server"), "secrets/*")
	stop()
	r.places["log"] = r.log.bytes()
	r.files(filepath.Join(r.dir, "ota-home"), "logins.json", "server/secrets/*")
	r.files(filepath.Join(r.dir, "copy"))
	r.files(temp)

	if leaks := found(r.places, r.secrets); len(leaks) > 0 {
		t.Errorf("%d leaks:\n%s", len(leaks), strings.Join(leaks, "\n"))
	}
	for _, place := range []string{"file ota.db of copy", "file ota.db of server", "file secrets.tar.age of copy"} {
		if len(r.places[place]) == 0 {
			t.Errorf("there is no %s", place)
		}
	}
	if len(r.places) < 100 || len(r.secrets) < 12 || len(r.places["log"]) < 5000 {
		t.Errorf("%d places, %d secrets, a log of %d bytes: that is not everything", len(r.places), len(r.secrets), len(r.places["log"]))
	}
	r.wouldFind()
}

// wouldFind plants each secret, in each spelling, in the log, and wants it to be
// found.
func (r *story) wouldFind() {
	r.t.Helper()
	for what, secret := range r.secrets {
		for _, form := range spellings(secret) {
			planted := map[string][]byte{"log": append(bytes.Clone(r.places["log"]), "level=INFO msg="+form+"\n"...)}
			if leaks := found(planted, r.secrets); !slices.Contains(leaks, "the "+what+" stands in the log") {
				r.t.Errorf("the %s, planted as %.12q…, is not found", what, form)
			}
		}
	}
}

// everyGet returns the paths of everything that can be read.
func everyGet(t *testing.T) (paths []string) {
	t.Helper()
	repo, err := repository.Open(t.Context(), repository.Config{Dir: filepath.Join(t.TempDir(), "x"), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	for _, route := range api.NewHandler(api.NewService(api.Config{Repository: repo}), http.NotFoundHandler()).Routes() {
		if route.Method == "GET" {
			paths = append(paths, route.Path)
		}
	}
	return append(paths, "/", "/devices", "/releases", "/audit", "/settings", "/keys", "/rollouts")
}

// A database's password is in its URL.
func TestTheDatabasesPasswordTurnsUpNowhere(t *testing.T) {
	t.Parallel()
	const password = "canary-91ac44-of-the-database"
	var log syncBuffer
	logger, err := logging.New(&log, logging.Text, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.New(t.Context(), server.Config{Dir: t.TempDir(), TLSAddress: "127.0.0.1:0", Log: logger,
		Database: "postgres://ota:" + password + "@127.0.0.1:1/ota"})
	if err == nil {
		t.Fatal("there is a server at port 1")
	}
	places := map[string][]byte{"error": fmt.Appendf(nil, "%v %+v %#v", err, err, err), "log": log.bytes()}
	if leaks := found(places, map[string]string{"password": password}); len(leaks) > 0 {
		t.Errorf("%s: %v", leaks, err)
	}
}
