package agent

import (
	"errors"
	"testing"
	"time"
)

func TestALockThatIsLetGoSoonIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	first, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(dir); !errors.Is(err, ErrLocked) {
		t.Fatalf("held: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { first.release() })
	second, err := takeLock(dir)
	if err != nil {
		t.Fatalf("let go meanwhile: %v", err)
	}
	if err := second.release(); err != nil {
		t.Error(err)
	}
}
