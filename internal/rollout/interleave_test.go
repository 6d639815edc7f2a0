package rollout_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// operations is how many operations one interleaving has on average, worldRuns
// how many of them are in one data directory.
const (
	operations = 40
	worldRuns  = 10
)

// interleavings is how many there are: with OTA_LONG, those that the project
// promises to have tried.
func interleavings() int {
	if os.Getenv("OTA_LONG") == "1" {
		return 10_000
	}
	return 80
}

func TestInterleavedOperationsDoWhatTheModelDoes(t *testing.T) {
	for name, n := range map[string]int{"rapid.checks": interleavings(), "rapid.steps": operations} {
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		defer flag.Set(name, before)
	}
	var two *servers
	run, steps := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if run%worldRuns == 0 { // or the data directory would grow without end
			two.end()
			two = newServers(newWorldIn(t, quickDir(t)))
		}
		run++
		i := newInterleaving(rt, two, run)
		i.run()
		steps += i.steps
	})
	t.Logf("%d interleavings of %d operations", run, steps)
}

// quickDir is a directory in memory, if there is one: what is tested here is
// no disk.
func quickDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "rollout")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// servers are two on one database.
type servers struct {
	w        *world // with the first of them
	second   *rollout.Engine
	closed   func()
	releases []repository.Release // that were not withdrawn yet
}

func newServers(w *world) *servers {
	s := &servers{w: w}
	s.restart()
	return s
}

// restart ends the second server, if there is one, and starts it again.
func (s *servers) restart() {
	if s.closed != nil {
		s.closed()
	}
	e, repo := s.w.replica()
	s.second, s.closed = e, func() {
		s.w.must(e.Close(s.w.t.Context()))
		s.w.must(repo.Close())
	}
}

// end closes both, if there are any, and removes what they stored: thousands of
// interleavings would fill the memory.
func (s *servers) end() {
	if s == nil {
		return
	}
	s.closed()
	s.w.must(s.w.Engine.Close(s.w.t.Context()))
	s.w.must(s.w.repo.Close())
	s.w.must(os.RemoveAll(s.w.dir))
}

// An interleaving is one run: the servers, the model, and who tells them what
// to do.
type interleaving struct {
	*rapid.T
	*servers
	model  *model
	name   string
	steps  int
	told   map[*modelDevice]*repository.Release
	before map[*modelDevice]fleet.Running // what ran before a trial
}

func newInterleaving(rt *rapid.T, two *servers, run int) *interleaving {
	w := two.w
	w.critical(false)
	i := &interleaving{
		T: rt, servers: two, model: &model{now: w.now(), rollouts: map[string]*modelRollout{}}, name: fmt.Sprintf("run%d", run),
		told: map[*modelDevice]*repository.Release{}, before: map[*modelDevice]fleet.Running{},
	}
	if slices.ContainsFunc(two.releases, i.withdrawn) || two.releases == nil {
		two.releases = []repository.Release{w.publish(fmt.Sprintf("%d.1.0", run)), w.publish(fmt.Sprintf("%d.2.0", run))}
	}
	for _, d := range w.group(i.name, 12) {
		i.model.devices = append(i.model.devices, &modelDevice{device: d, known: d.running, rejected: map[string]bool{}})
	}
	return i
}

func (i *interleaving) run() {
	i.Repeat(map[string]func(*rapid.T){
		"create":   func(rt *rapid.T) { i.create(rt) },
		"act":      func(rt *rapid.T) { i.act(rt) },
		"check":    func(rt *rapid.T) { i.check(rt) },
		"checks":   func(rt *rapid.T) { i.checks() },
		"trial":    func(rt *rapid.T) { i.trial(rt) },
		"outcome":  func(rt *rapid.T) { i.outcome(rt) },
		"fail":     func(rt *rapid.T) { i.fail(rt) },
		"operate":  func(rt *rapid.T) { i.operate(rt) },
		"time":     func(rt *rapid.T) { i.time(rt) },
		"rarely":   func(rt *rapid.T) { i.rarely(rt) },
		"":         func(*rapid.T) { i.compare() },
		"reflash":  func(rt *rapid.T) { i.reflash(rt) },
		"upgrade":  func(rt *rapid.T) { i.upgrade() },
		"advances": func(rt *rapid.T) { i.pass(time.Hour) },
		"settings": func(rt *rapid.T) { i.settings(rt) },
	})
	for _, r := range i.model.rollouts { // out of the way of the next run
		if r.state != rollout.Draft && r.state != rollout.Aborted {
			i.w.act(r.Name, rollout.Abort)
		}
	}
}

// step lets two seconds pass, in which a device earns a message, and everyone
// learn what is committed.
func (i *interleaving) step() {
	i.steps++
	i.w.ms.Add(2000)
	i.model.now = i.w.now()
	i.learn()
}

// learn has both servers learn what is committed.
func (i *interleaving) learn() {
	for _, e := range []*rollout.Engine{i.w.Engine, i.second} {
		e.Forget()
		i.w.must(e.Refresh(i.w.t.Context()))
		i.w.must(e.Fleet().Refresh(i.w.t.Context()))
	}
}

func (i *interleaving) create(rt *rapid.T) {
	i.step()
	if len(i.model.rollouts) == 4 {
		rt.Skip("enough")
	}
	r := rapid.SampledFrom(i.releases).Draw(rt, "release")
	spec := rollout.Spec{
		Name: fmt.Sprintf("%s-%d", i.name, len(i.model.rollouts)+100*i.model.started), DeviceType: deviceType, Release: r.Identity(),
		Filter: "label.group=" + i.name, Pace: rapid.SampledFrom([]int{0, 0, 1, 20}).Draw(rt, "pace"),
		Retries:     rapid.SampledFrom([]int{0, rollout.NoRetries, 2}).Draw(rt, "retries"),
		MaxUnproven: rapid.SampledFrom([]int{0, 1, 3, 100}).Draw(rt, "budget"),
		Timeout:     rollout.Duration(6 * time.Hour),
	}
	if rapid.Bool().Draw(rt, "window") {
		spec.Window = &rollout.Window{From: 6 * 60, To: 20 * 60}
	}
	if rapid.IntRange(0, 3).Draw(rt, "later") == 0 {
		spec.StartAt = i.model.now.Add(3 * time.Hour)
	}
	failure := rapid.SampledFrom([]float64{0, 30, 100}).Draw(rt, "failure")
	for _, text := range rapid.SampledFrom([][]string{{"100%"}, {"30%,soak=2h", "100%"}, {"2,soak=1h,success=50", "5", "100%"}, {"10%,gate", "60%,success=1", "100%"}}).Draw(rt, "stages") {
		stage := must(rollout.ParseStage(text))(i.w.t)
		stage.FailurePercent = failure
		spec.Stages = append(spec.Stages, stage)
	}
	_, exists := i.model.rollouts[spec.Name]
	made, err := i.w.Create(i.w.t.Context(), author, spec)
	withdrawn := i.withdrawn(r)
	if (err != nil) != (exists || withdrawn) {
		i.Fatalf("create %s: %v; exists %t, withdrawn %t", spec.Name, err, exists, withdrawn)
	}
	if err == nil {
		i.model.rollouts[spec.Name] = &modelRollout{
			Spec: made.Spec, id: made.ID, release: r, state: rollout.Draft, touched: map[*modelDevice]*modelTouched{},
		}
	}
}

func (i *interleaving) withdrawn(r repository.Release) bool {
	return must(i.w.repo.Release(i.w.t.Context(), r.Identity()))(i.w.t).Withdrawn()
}

func (i *interleaving) some(rt *rapid.T) *modelRollout {
	var names []string
	for name := range i.model.rollouts {
		names = append(names, name)
	}
	if len(names) == 0 {
		rt.Skip("no rollout")
	}
	slices.Sort(names)
	return i.model.rollouts[rapid.SampledFrom(names).Draw(rt, "rollout")]
}

func (i *interleaving) act(rt *rapid.T) {
	i.step()
	r := i.some(rt)
	action := rapid.SampledFrom([]rollout.Action{
		rollout.Start, rollout.Start, rollout.Start, rollout.Approve, rollout.Approve, rollout.Pause, rollout.Resume, rollout.Resume,
		rollout.Advance, rollout.Halt, rollout.Abort, rollout.Delete,
	}).Draw(rt, "action")
	by := rapid.SampledFrom([]auth.Actor{bob, bob, bob, alice}).Draw(rt, "actor")
	ctx, second := i.w.t.Context(), rapid.Bool().Draw(rt, "second server")
	var err error
	if second { // which dies before it does what follows
		err = i.second.Order(ctx, by, r.Name, action, "because")
	} else {
		_, err = i.w.Act(ctx, by, r.Name, action, "because")
	}
	if possible := i.model.act(r, by, action); possible != (err == nil) {
		i.Fatalf("%s by %s: %v; possible %t", action, by.Name, err, possible)
	}
	if err != nil || action == rollout.Delete {
		return
	}
	if second {
		i.learn()
		i.w.must(i.w.Tick(ctx))
	}
	i.model.tick()
}

// settings changes whether rollouts need a second person.
func (i *interleaving) settings(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
		rt.Skip("seldom")
	}
	i.step()
	i.model.critical = !i.model.critical
	i.w.critical(i.model.critical)
}

func (i *interleaving) device(rt *rapid.T) *modelDevice {
	return rapid.SampledFrom(i.model.devices).Draw(rt, "device")
}

func (i *interleaving) check(rt *rapid.T) { i.step(); i.ask(i.device(rt), i.server(rt)) }

func (i *interleaving) checks() {
	i.step()
	for _, d := range i.model.devices {
		i.ask(d, i.w.Engine)
	}
}

// server picks one of the two. Only the first is asked by devices that no
// rollout has touched: it counts who was here.
func (i *interleaving) server(rt *rapid.T) *rollout.Engine {
	if rapid.Bool().Draw(rt, "second server") {
		return i.second
	}
	return i.w.Engine
}

// ask has a device check, and holds the answer against the model.
func (i *interleaving) ask(d *modelDevice, e *rollout.Engine) {
	if !i.counted(d) {
		e = i.w.Engine
	}
	seen := d.seen
	want := i.model.check(d)
	if e == i.second {
		d.seen = seen // as the first server, which ticks, has it
	}
	got, err := i.w.checkAt(e, d.device)
	i.w.must(err)
	switch {
	case want == nil && !got.IsZero():
		i.Fatalf("device %s is offered %s, the model offers nothing", d.id, got)
	case want != nil && got != want.ManifestHash:
		i.Fatalf("device %s is offered %s, the model offers %s", d.id, got, want.ManifestHash)
	}
	i.told[d] = want
}

// counted reports whether it makes no difference to the first server that the
// device was at the second one: nothing waits for it, and nobody times it out.
func (i *interleaving) counted(d *modelDevice) bool {
	for _, r := range i.model.rollouts {
		t := r.touched[d]
		if r.state != rollout.Draft && (t == nil || t.state != rollout.Confirmed && !isOpen(t.state)) {
			return false
		}
	}
	return true
}

func (i *interleaving) trial(rt *rapid.T) {
	i.step()
	d := i.device(rt)
	r := i.told[d]
	if r == nil {
		rt.Skip("told nothing")
	}
	i.before[d] = d.running
	d.running, d.device.boot = runs(*r), trust.BootTrial
	i.w.report(d.device, trust.EventTrial, about(*r))
	i.model.trial(d, *r)
}

func (i *interleaving) running(d *modelDevice) repository.Release {
	for _, r := range i.releases {
		if runs(r) == d.running {
			return r
		}
	}
	i.Fatalf("device %s runs nothing that was published", d.id)
	return repository.Release{}
}

// outcome ends a trial in one of the ways in which trials end.
func (i *interleaving) outcome(rt *rapid.T) {
	i.step()
	d := i.device(rt)
	if d.device.boot != trust.BootTrial {
		rt.Skip("no trial")
	}
	i.told[d] = nil
	r := i.running(d)
	switch rapid.SampledFrom([]string{"report", "report", "check", "revert", "silence"}).Draw(rt, "outcome") {
	case "report":
		d.device.boot = trust.BootConfirmed
		i.w.report(d.device, trust.EventConfirmed, about(r))
		i.model.confirmed(d, r)
	case "check":
		d.device.boot = trust.BootConfirmed
		i.ask(d, i.w.Engine)
	case "revert":
		d.running, d.device.boot = i.before[d], trust.BootReverted
		i.w.report(d.device, trust.EventReverted, about(r), func(r *trust.Report) { r.Reason = trust.ErrHealthCheck })
		i.model.reverted(d, r)
	}
}

func (i *interleaving) fail(rt *rapid.T) {
	i.step()
	d := i.device(rt)
	r := i.told[d]
	if r == nil || d.device.boot == trust.BootTrial {
		rt.Skip("told nothing")
	}
	i.told[d] = nil
	event, reason := trust.EventFailed, trust.ErrTransport
	lasting := rapid.Bool().Draw(rt, "lasting")
	if lasting {
		event, reason = trust.EventRefused, trust.ErrBelowFloor
	} else if rapid.Bool().Draw(rt, "refused") {
		event, reason = trust.EventRefused, trust.ErrBadSignature
	}
	i.w.report(d.device, event, about(*r), func(r *trust.Report) { r.Reason = reason })
	i.model.failed(d, *r, lasting)
}

// operate is what operators do to devices.
func (i *interleaving) operate(rt *rapid.T) {
	i.step()
	d := i.device(rt)
	ref, f := fleet.Ref{DeviceType: deviceType, ID: d.id}, i.w.Fleet()
	edit := fleet.Edit{}
	switch rapid.SampledFrom([]string{"hold", "release", "release", "urgent", "retry"}).Draw(rt, "operation") {
	case "hold":
		d.hold, edit.Hold = true, new(true)
	case "release":
		d.hold, edit.Hold = false, new(false)
	case "urgent":
		d.urgent, edit.UpdateNow = true, new(true)
	case "retry":
		d.retry = true
		i.w.must(f.Retry(i.w.t.Context(), admin, ref))
		return
	}
	i.w.must(f.Edit(i.w.t.Context(), admin, ref, edit, "because"))
}

// reflash: a technician puts the first image back.
func (i *interleaving) reflash(rt *rapid.T) {
	d := i.device(rt)
	if rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
		rt.Skip("seldom")
	}
	d.running, d.device.boot, i.told[d] = fleet.Running{Digest: factory}, trust.BootConfirmed, nil
	i.check(rt)
}

// upgrade has every device that was told of a release take it, and be fine.
func (i *interleaving) upgrade() {
	for _, d := range i.model.devices {
		r := i.told[d]
		if r == nil || d.device.boot == trust.BootTrial {
			continue
		}
		i.step()
		d.running, d.device.boot, i.told[d] = runs(*r), trust.BootConfirmed, nil
		i.w.report(d.device, trust.EventConfirmed, about(*r))
		i.model.confirmed(d, *r)
	}
}

func (i *interleaving) time(rt *rapid.T) {
	i.pass(rapid.SampledFrom([]time.Duration{time.Minute, 20 * time.Minute, 3 * time.Hour, 7 * time.Hour}).Draw(rt, "time"))
}

func (i *interleaving) pass(d time.Duration) {
	i.w.ms.Add(d.Milliseconds())
	i.step()
	i.w.must(i.w.Tick(i.w.t.Context()))
	i.model.tick()
}

func (i *interleaving) rarely(rt *rapid.T) {
	switch rapid.IntRange(0, 15).Draw(rt, "what") {
	case 0:
		i.step()
		i.restart()
	case 1:
		i.step()
		r := rapid.SampledFrom(i.releases).Draw(rt, "withdrawn")
		i.w.must(i.w.repo.Withdraw(i.w.t.Context(), repository.Actor{Name: "test"}, r.Identity(), "bad"))
		i.w.must(i.w.Fleet().Refresh(i.w.t.Context()))
		for _, known := range i.model.rollouts {
			known.withdrawn = known.withdrawn || known.release.ManifestHash == r.ManifestHash
		}
	default:
		rt.Skip("nothing")
	}
}

// compare holds every rollout against the model.
func (i *interleaving) compare() {
	list, err := i.w.List(i.w.t.Context(), rollout.Query{After: i.name + "-", Limit: len(i.model.rollouts)})
	i.w.must(err)
	if len(list) != len(i.model.rollouts) {
		i.Fatalf("there are %d rollouts, the model has %d", len(list), len(i.model.rollouts))
	}
	for _, got := range list {
		want, ok := i.model.rollouts[got.Name]
		if !ok {
			i.Fatalf("rollout %s is not in the model", got.Name)
		}
		if a, b := summaryOf(got), want.summary(); a != b {
			i.Fatalf("rollout %s is\n%s, the model has\n%s", got.Name, a, b)
		}
	}
}

func summaryOf(r rollout.Rollout) string {
	c := r.Progress.Counts
	return fmt.Sprintf("%s %d touched %d unproven %d open %d confirmed %d by check %d retrying %d failed %d reverted %d refused %d timed out %d left %d",
		r.State, r.Stage, r.Progress.Touched, r.Progress.Unproven, c.Offered+c.Trial, c.Confirmed, c.ByCheck, c.Retrying, c.Failed, c.Reverted, c.Refused, c.TimedOut, c.Left)
}

func (r *modelRollout) summary() string {
	in := func(states ...rollout.DeviceState) int {
		return r.count(func(t *modelTouched) bool { return slices.Contains(states, t.state) })
	}
	byCheck := r.count(func(t *modelTouched) bool { return t.evidence == rollout.ByCheck })
	return strings.TrimSpace(fmt.Sprintf("%s %d touched %d unproven %d open %d confirmed %d by check %d retrying %d failed %d reverted %d refused %d timed out %d left %d",
		r.state, r.stage, len(r.touched), r.count(charged), in(rollout.Offered, rollout.Trial), in(rollout.Confirmed), byCheck, in(rollout.Retrying),
		in(rollout.Failed), in(rollout.Reverted), in(rollout.Refused), in(rollout.TimedOut), in(rollout.Left)))
}
