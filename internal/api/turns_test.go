package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/secure-ota/secure-ota/internal/auth"
)

func TestAnActorHasOneCostlyQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &turns{queue: map[queueOf]*turn{}}
		alice, bob := auth.Actor{Name: "token:alice"}, auth.Actor{Name: "token:bob"}
		running, most := 0, 0
		answer := make(chan struct{})
		done := make(chan error, maxWaiting+2)
		ask := func(ctx context.Context, actor auth.Actor) {
			end, err := turns.take(ctx, actor, "fleet")
			if err == nil {
				running++
				most = max(most, running)
				<-answer
				running--
				end()
			}
			done <- err
		}
		for range maxWaiting + 1 {
			go ask(t.Context(), alice)
			synctest.Wait()
		}
		if running != 1 {
			t.Fatalf("%d are answered at once", running)
		}
		if _, err := turns.take(t.Context(), alice, "fleet"); !errors.Is(err, ErrTooMany) {
			t.Errorf("one more than may wait: %v", err)
		}
		for _, other := range []queueOf{{bob.Name, "fleet"}, {alice.Name, "audit log"}} {
			end, err := turns.take(t.Context(), auth.Actor{Name: other.actor}, other.about)
			if err != nil {
				t.Fatalf("%v: %v", other, err)
			}
			end()
		}
		for range maxWaiting + 1 {
			answer <- struct{}{}
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if most != 1 {
			t.Errorf("%d were answered at once", most)
		}

		go ask(t.Context(), alice)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go ask(ctx, alice)
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("who went away: %v", err)
		}
		answer <- struct{}{}
		<-done
		if len(turns.queue) != 0 {
			t.Errorf("%d actors are still in mind", len(turns.queue))
		}
	})
}
