package client_test

import (
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
)

func TestBackoffDoublesAndObeysTheServer(t *testing.T) {
	b := client.Backoff{Device: id}
	within := func(got, want time.Duration) bool { return got >= want && got <= want+want/10 }
	for _, want := range []time.Duration{30, 60, 120, 240, 480, 960, 1920, 3600, 3600} {
		if got := b.Next(client.Answer{}, errTransport()); !within(got, want*time.Second) {
			t.Errorf("waits %v, want %v to 10 %% more", got, want*time.Second)
		}
	}
	late := &client.StatusError{Status: 429, RetryAfter: 7 * time.Second}
	if got := b.Next(client.Answer{}, late); !within(got, 7*time.Second) {
		t.Errorf("waits %v, the server asked for 7s", got)
	}
	if got := b.Next(client.Answer{}, nil); !within(got, time.Hour) {
		t.Errorf("waits %v after success", got)
	}
	if got := b.Next(client.Answer{}, errTransport()); !within(got, 30*time.Second) {
		t.Errorf("waits %v: it does not begin anew after a success", got)
	}
	other := client.Backoff{Device: "dev-2"}
	if other.Next(client.Answer{}, nil) == b.Next(client.Answer{}, nil) {
		t.Error("two devices wait equally long")
	}
}

func errTransport() error { return &client.StatusError{Status: 500} }
