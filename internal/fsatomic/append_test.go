package fsatomic_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

var logRecords = [][]byte{content('1', 700), content('2', 900), content('3', 1300)}

// appendAll makes a log and returns how many of its records are acknowledged.
func appendAll(c fsatomic.FS) (acknowledged int, err error) {
	l, err := fsatomic.CreateLog(c, "/log", 0o600)
	if err != nil {
		return 0, err
	}
	for _, record := range logRecords {
		if err := l.Append(record); err != nil {
			return acknowledged, errors.Join(err, l.Close())
		}
		acknowledged++
	}
	return acknowledged, l.Close()
}

// Whatever fails and whatever a power cut takes: the acknowledged records are
// there, in their order, and behind them is nothing but a part of the next.
func TestAcknowledgedRecordsOfALogAreNeverLost(t *testing.T) {
	acknowledged := 0
	crashfs.SweepFaults(t, faults, nil, func(c fsatomic.FS) (err error) {
		acknowledged, err = appendAll(c)
		return err
	}, func(t testing.TB, c *crashfs.FS, injected, result error) {
		if result != nil && !errors.Is(result, injected) {
			t.Errorf("the cause is lost: %v", result)
		}
		got, err := c.Reboot(crashfs.Lost, 0).ReadFile("/log")
		if err != nil && (acknowledged > 0 || !errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("%d records are acknowledged, but %v", acknowledged, err)
		}
		if whole := bytes.Join(logRecords[:acknowledged], nil); !bytes.HasPrefix(got, whole) || !bytes.HasPrefix(bytes.Join(logRecords, nil), got) {
			t.Errorf("%d records are acknowledged, %d bytes are there", acknowledged, len(got))
		}
	})
}

func TestNothingIsAppendedBehindATornRecord(t *testing.T) {
	name := t.TempDir() + "/log"
	l, err := fsatomic.CreateLog(fsatomic.OS(), name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsatomic.CreateLog(fsatomic.OS(), name, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
	if err := errors.Join(l.Append([]byte("one\n")), l.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Append([]byte("two\n")); err == nil {
			t.Error("appended to a closed file")
		}
	}
	if raw, err := fsatomic.OS().ReadFile(name); err != nil || string(raw) != "one\n" {
		t.Errorf("%q, %v", raw, err)
	}
}
