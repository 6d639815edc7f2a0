package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A tampering changes a log somewhere and says which record it made bad first
// (seq), as an intruder with the database but without the audit key could.
type tampering struct {
	name  string
	apply func(r *rand.Rand, log []Record, last int) (tampered []Record, bad int64)
	exact bool // this very record must be named, though a checkpoint may be far behind
}

// Each works at a record up to place last, which a checkpoint covers: what is
// rewritten behind the newest exported checkpoint nobody can see.
var tamperings = []tampering{
	{"change a field", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		change(r, &log[i])
		return log, log[i].Seq
	}, true},
	{"change a hash", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		log[i].Hash[r.IntN(32)] ^= 1 << r.IntN(8)
		return log, log[i].Seq
	}, true},
	{"change the link", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		log[i].PrevHash[r.IntN(32)] ^= 1 << r.IntN(8)
		return log, log[i].Seq
	}, true},
	{"remove", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		return slices.Delete(log, i, i+1), int64(i + 1)
	}, true},
	{"truncate", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		return log[:i], int64(i + 1)
	}, true},
	{"insert a copy", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last) // the copy stands behind the original, or further down
		to := i + 1 + r.IntN(last-i)
		return slices.Insert(log, to, log[i]), int64(to + 1)
	}, true},
	{"swap", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		j := (i + 1 + r.IntN(len(log)-1)) % len(log)
		log[i], log[j] = log[j], log[i]
		return log, int64(min(i, j) + 1)
	}, true},
	{"change a field and its hash", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		change(r, &log[i])
		log[i].Hash = log[i].ComputeHash()
		return log, log[i].Seq
	}, false},
	{"rewrite the rest", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		change(r, &log[i])
		rewrite(log, i)
		return log, log[i].Seq
	}, false},
	{"remove and rewrite the rest", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		log = slices.Delete(log, i, i+1)
		rewrite(log, i)
		return log, int64(i + 1)
	}, false},
	{"insert and rewrite the rest", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		forged := log[r.IntN(len(log))]
		forged.Actor = "user:mallory"
		log = slices.Insert(log, i, forged)
		rewrite(log, i)
		return log, int64(i + 1)
	}, false},
	{"roll back and go on with others", func(r *rand.Rand, log []Record, last int) ([]Record, int64) {
		i := r.IntN(last)
		gone := slices.Clone(log[i:])
		log = log[:i]
		for n := r.IntN(2 * len(gone)); n > 0; n-- {
			forged := gone[r.IntN(len(gone))]
			forged.Actor = "user:mallory"
			log = append(log, forged)
		}
		rewrite(log, i)
		return log, int64(i + 1)
	}, false},
}

// change changes one field of a record.
func change(r *rand.Rand, record *Record) {
	switch r.IntN(8) {
	case 0:
		record.Time = record.Time.Add(time.Duration(1+r.IntN(1000)) * time.Millisecond)
	case 1:
		record.Actor += "x"
	case 2:
		record.Action += "x"
	case 3:
		record.Object = ""
	case 4:
		record.Address = "192.0.2.99"
	case 5:
		record.Before = nil
	case 6:
		record.After = JSON(r.Int())
	case 7: // a byte moves from one field to the next
		record.Address, record.Object = record.Object[len(record.Object)-1:]+record.Address, record.Object[:len(record.Object)-1]
	}
}

// rewrite gives the records from place i on the numbers and hashes that fit.
func rewrite(log []Record, i int) {
	var prev Record
	if i > 0 {
		prev = log[i-1]
	}
	for ; i < len(log); i++ {
		log[i].Seq, log[i].PrevHash = prev.Seq+1, prev.Hash
		log[i].Hash = log[i].ComputeHash()
		prev = log[i]
	}
}

func TestEveryTamperingIsFoundAndTheFirstBadRecordNamed(t *testing.T) {
	const rounds = 10_000
	seed := rand.Uint64()
	found := map[string]int{}
	for round := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, round))
		log := chain(t, 2+r.IntN(30))
		last := 1 + r.IntN(len(log)) // place behind the newest record that a checkpoint covers
		checkpoints := []Checkpoint{{Seq: log[last-1].Seq, Hash: log[last-1].Hash, Time: start}}
		for range r.IntN(3) {
			c := log[r.IntN(last)]
			checkpoints = append(checkpoints, Checkpoint{Seq: c.Seq, Hash: c.Hash, Time: start})
		}
		how := tamperings[r.IntN(len(tamperings))]
		tampered, bad := how.apply(r, slices.Clone(log), last)
		_, err := VerifyChain(seq(tampered), checkpoints)
		var named *BadRecordError
		if !errors.As(err, &named) {
			t.Fatalf("seed %d, round %d: %s at record %d was not found: %v", seed, round, how.name, bad, err)
		}
		if bad <= named.Confirmed || bad > named.Seq || how.exact && bad != named.Seq {
			t.Fatalf("seed %d, round %d: %s at record %d was taken for: %v", seed, round, how.name, bad, err)
		}
		found[how.name]++
	}
	t.Logf("seed %d: %v", seed, found)
}

// Whatever byte of an exported log is changed, it is found when the log is read
// again, and the record that it is in is named, or the line.
func TestEveryChangedByteOfAnExportIsFound(t *testing.T) {
	log := chain(t, 12)
	var export bytes.Buffer
	if err := Export(&export, seq(log)); err != nil {
		t.Fatal(err)
	}
	checkpoints := []Checkpoint{{Seq: 12, Hash: log[11].Hash, Time: start}}
	if _, err := VerifyChain(Import(bytes.NewReader(export.Bytes())), checkpoints); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range export.Len() {
		tampered := bytes.Clone(export.Bytes())
		tampered[i] ^= byte(1 + r.IntN(255))
		line := 1 + bytes.Count(export.Bytes()[:i], []byte("\n"))
		_, err := VerifyChain(Import(bytes.NewReader(tampered)), checkpoints)
		var named *BadRecordError
		switch {
		case errors.As(err, &named) && named.Seq == int64(line):
		case err != nil && strings.Contains(err.Error(), fmt.Sprintf("line %d:", line)):
		default:
			t.Errorf("seed %d: byte %d, in line %d, became %q: %v", seed, i, line, tampered[i], err)
		}
	}
}

// A rewritten record is caught by the next checkpoint, and cannot lie before the last one that held.
func TestARewriteIsNarrowedDownByCheckpoints(t *testing.T) {
	log := chain(t, 30)
	var checkpoints []Checkpoint
	for _, i := range []int{9, 14, 29} {
		checkpoints = append(checkpoints, Checkpoint{Seq: log[i].Seq, Hash: log[i].Hash, Time: start})
	}
	log[12].Actor = "user:mallory"
	rewrite(log, 12)
	_, err := VerifyChain(seq(log), checkpoints)
	var named *BadRecordError
	if !errors.As(err, &named) || named.Confirmed != 10 || named.Seq != 15 {
		t.Error(err)
	}
}
