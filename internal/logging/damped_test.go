package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatClientsBringAboutDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		plain, err := New(&out, Text, slog.LevelDebug)
		if err != nil {
			t.Fatal(err)
		}
		log := Damped(plain, 3, time.Minute)
		lines := func(words string) int { return strings.Count(out.String(), words) }
		for device := range 1000 {
			log.Error("not recorded", "device", device)
			log.With("path", "/v1/check").Info("refused", "device", device)
			log.Debug("asked for")
		}
		log.Error("something else")
		if lines("not recorded") != 3 || lines("refused") != 3 || lines("something else") != 1 || lines("asked for") != 1000 {
			t.Errorf("%d, %d, %d and %d lines", lines("not recorded"), lines("refused"), lines("something else"), lines("asked for"))
		}
		time.Sleep(time.Minute)
		log.Error("not recorded", "device", 1)
		if !strings.Contains(out.String(), "left_out=997") {
			t.Error("it does not say how many were left out")
		}
		log.Error("not recorded", "device", 2)
		if lines("left_out") != 1 {
			t.Error("it says twice how many were left out")
		}
	})
}
