package rollout_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
)

// tries counts the checks of which a server says that it could not record what
// they change.
type tries struct {
	slog.Handler
	n atomic.Int32
}

func (t *tries) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "check not recorded") {
		t.n.Add(1)
	}
	return nil
}

func (t *tries) Enabled(context.Context, slog.Level) bool { return true }

// A server whose database is gone answers devices that wait for a rollout, and
// tries nothing: their check has no statement in it. An offer does.
func TestADeviceThatWaitsForARolloutCostsNoStatement(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rollout.Spec)
		before func(w *world, list []*device)
	}{
		{"paced", func(s *rollout.Spec) { all(s); s.Pace = 1 }, func(w *world, list []*device) { w.check(list[0]) }},
		{"exhausted", func(s *rollout.Spec) { all(s); s.MaxUnproven = 1 }, func(w *world, list []*device) { w.check(list[0]) }},
		{"paused", all, func(w *world, _ []*device) { w.act("spring", rollout.Pause) }},
		{"halted", all, func(w *world, _ []*device) { w.act("spring", rollout.Halt) }},
		{"a later stage", in(t, "label.group=lab,gate", "100%"), func(*world, []*device) {}},
		{"outside its window", func(s *rollout.Spec) { all(s); s.Window = must(rollout.ParseWindow("01:00-02:00"))(t) }, func(*world, []*device) {}},
		{"before its start", func(s *rollout.Spec) { all(s); s.StartAt = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) }, func(*world, []*device) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tried := &tries{Handler: slog.DiscardHandler}
			w := newWorld(t)
			w.log = slog.New(tried)
			r := w.publish("1.0.0")
			list := w.devices(6)
			w.begin(w.spec("spring", r, c.change))
			c.before(w, list)
			e, repo := w.replica()
			w.urgent(list[5])
			w.must(e.Fleet().Refresh(t.Context()))
			w.must(repo.Close())
			for _, d := range list[1:5] {
				if hash := must(w.checkAt(e, d))(t); hash != (manifest.Digest{}) {
					t.Errorf("device %s is offered %s", d.id, hash)
				}
			}
			if n := tried.n.Load(); n > 0 {
				t.Errorf("%d of 4 checks want to write", n)
			}
			if c.name == "a later stage" { // this device need not wait: its offer has to be committed
				if w.checkAt(e, list[5]); tried.n.Load() == 0 {
					t.Error("an offer without a database goes unnoticed: this test sees nothing")
				}
			}
		})
	}
}
