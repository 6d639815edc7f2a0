// Package differential holds the C library against the Go code: the same bytes into both
// must give the same verdict and the same reason.
package differential

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A judge says what becomes of an object in the world of a file's first vector.
type judge func(object []byte) reason.Reason

// A kind of object, as the Go code judges it and as a holder of the keys makes it.
type kind struct {
	judge func(*testing.T, testvectors.Vector) judge
	// seal signs or MACs a payload, good or not, so that it gets past the door.
	seal func(*testing.T, *rand.Rand, testvectors.Vector, []byte) []byte
	// payload takes an object apart; nil if it does not come apart.
	payload func(object []byte) []byte
	sealed  int // how many are compared in a thousand: signing takes its time
}

var kinds = map[string]kind{
	"keyset":         {keysetJudge, signBy(cose.TypKeyset, "root a", "root b", "root c"), signedPayload(cose.TypKeyset), 10},
	"manifest":       {manifestJudge, signBy(cose.TypManifest, "release 1", "release 2"), signedPayload(cose.TypManifest), 20},
	"check-response": {responseJudge, mac, macedPayload, 500},
}

func TestSameVerdictAndReasonAsGo(t *testing.T) {
	program := buildJudge(t)
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("..", "..", "..", "testvectors", name+".txt")
			compare(t, k, startC(t, program, path), readVectors(t, path))
		})
	}
}

// compare mutates the objects of the vectors, some of them behind the door, and asks both
// judges about each.
func compare(t *testing.T, k kind, inC judge, vectors []testvectors.Vector) {
	rounds := 20_000
	if os.Getenv("OTA_LONG") == "1" {
		rounds = 1_000_000
	}
	inGo := k.judge(t, vectors[0])
	var objects, payloads [][]byte
	for _, v := range vectors {
		objects = append(objects, v.Bytes("object"))
		if p := k.payload(v.Bytes("object")); p != nil {
			payloads = append(payloads, p)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[reason.Reason]int{}
	for i := range rounds {
		var object []byte
		switch {
		case i < len(objects):
			object = objects[i]
		case random.IntN(1000) < k.sealed:
			object = k.seal(t, random, vectors[0], mutate(random, payloads[random.IntN(len(payloads))], payloads))
		default:
			object = mutate(random, objects[random.IntN(len(objects))], objects)
		}
		want, got := inGo(object), inC(object)
		seen[want]++
		if got != want {
			t.Fatalf("object %d: C says %d %v, Go %d %v\n%x", i, got, got, want, want, object)
		}
	}
	t.Logf("%d objects, refused %v", rounds, seen)
}

func signedPayload(typ cose.Typ) func([]byte) []byte {
	return func(object []byte) []byte {
		s, err := cose.ParseSigned(object, typ, trust.MaxManifest)
		if err != nil {
			return nil
		}
		return s.Payload
	}
}

func macedPayload(object []byte) []byte {
	m, err := cose.ParseMac0(object, cose.TypCheckResponse, trust.MaxMessage)
	if err != nil {
		return nil
	}
	return m.Payload
}

// signBy signs by some of the keys of those names.
func signBy(typ cose.Typ, names ...string) func(*testing.T, *rand.Rand, testvectors.Vector, []byte) []byte {
	return func(t *testing.T, random *rand.Rand, _ testvectors.Vector, payload []byte) []byte {
		s := cose.Signed{Typ: typ, Payload: payload}
		for _, name := range names[random.IntN(len(names)):] {
			k := testvectors.NewKey(name)
			alg, kid := int64(k.Public().Algorithm()), k.ID().KID()
			value, err := k.Sign(s.ToBeSigned(alg, kid))
			if err != nil {
				t.Fatal(err)
			}
			s.Add(cose.Signature{Alg: alg, KID: kid, Value: value})
		}
		object, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
}

func mac(_ *testing.T, _ *rand.Rand, v testvectors.Vector, payload []byte) []byte {
	key := trust.DeviceKey(v.Bytes("down-key"))
	return cose.Seal(cose.TypCheckResponse, key.KID(), key[:], payload)
}

// mutate changes an object in one to three places.
func mutate(random *rand.Rand, object []byte, seeds [][]byte) []byte {
	object = slices.Clone(object)
	for range 1 + random.IntN(3) {
		if len(object) == 0 {
			return []byte{byte(random.Uint32())}
		}
		at := random.IntN(len(object))
		switch random.IntN(6) {
		case 0:
			object[at] ^= 1 << random.IntN(8)
		case 1:
			object[at] = byte(random.Uint32())
		case 2:
			object[at] += byte(random.IntN(3)) - 1
		case 3:
			object = slices.Insert(object, at, byte(random.Uint32()))
		case 4:
			object = slices.Delete(object, at, min(len(object), at+1+random.IntN(4)))
		case 5: // a piece of another object, where it stood there
			other := seeds[random.IntN(len(seeds))]
			if at < len(other) {
				copy(object[at:], other[at:min(len(other), at+1+random.IntN(40))])
			}
		}
	}
	return object
}

func keyRing(t *testing.T, v testvectors.Vector) trust.KeyRing {
	ring := trust.KeyRing{}
	for _, text := range v.All("key") {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		k, err := trust.ParseCOSEKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		if k.Algorithm() == trust.PS256 && k.Bits() == 2048 { // what the C library verifies by itself
			ring[k.ID()] = k
		}
	}
	return ring
}

func openHeld(t *testing.T, v testvectors.Vector) (trust.VerifiedKeyset, trust.KeyRing) {
	ring := keyRing(t, v)
	held, err := trust.OpenHeld(v.Bytes("held"), ring)
	if err != nil {
		t.Fatal(err)
	}
	return held, ring
}

func keysetJudge(t *testing.T, v testvectors.Vector) judge {
	held, ring := openHeld(t, v)
	return func(object []byte) reason.Reason {
		_, err := held.Accept(object, ring)
		return reason.Of(err)
	}
}

func manifestJudge(t *testing.T, v testvectors.Vector) judge {
	held, ring := openHeld(t, v)
	installed, err := version.Parse(v.Text("installed-version"))
	if err != nil {
		t.Fatal(err)
	}
	state := rollback.State{
		Installed: rollback.Entry{
			Sequence: manifest.Sequence(v.Uint("installed-sequence")), Version: installed,
			ImageDigest: manifest.Digest(v.Bytes("installed-digest")),
		},
		Floor:    rollback.Floor{Epoch: uint32(v.Uint("floor-epoch")), Counter: uint32(v.Uint("floor-counter"))},
		Rejected: []manifest.Digest{manifest.Digest(v.Bytes("rejected"))},
	}
	device := rollback.Device{
		HardwareRevision: v.Text("hardware"), SlotSize: int64(v.Uint("slot-size")),
		KeysetFloor: held.Keyset().SecurityFloor, Now: time.Unix(int64(v.Uint("now")), 0),
	}
	return func(object []byte) reason.Reason {
		m, err := held.VerifyManifest(object, ring)
		if err == nil {
			err = state.Check(m.Manifest(), device)
		}
		return reason.Of(err)
	}
}

func responseJudge(_ *testing.T, v testvectors.Vector) judge {
	key := trust.DeviceKey(v.Bytes("down-key"))
	return func(object []byte) reason.Reason {
		_, err := trust.OpenCheckResponse(object, key, v.Text("device"), v.Uint("nonce"))
		return reason.Of(err)
	}
}

func readVectors(t *testing.T, path string) []testvectors.Vector {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := testvectors.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

// buildJudge compiles tests/judge.c with the library's own verifier.
func buildJudge(t *testing.T) string {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("gcc is not installed")
	}
	root := filepath.Join("..", "..")
	program := filepath.Join(t.TempDir(), "judge")
	args := []string{"-std=c99", "-O2", "-D_POSIX_C_SOURCE=200809L", "-I", filepath.Join(root, "include"), "-I", filepath.Join(root, "src"),
		"-I", filepath.Join(root, "tests"), "-o", program}
	for _, name := range []string{"tests/judge", "tests/vectors", "tests/world", "tests/key_builtin", "src/bytes", "src/cbor",
		"src/cbor_write", "src/check", "src/cose", "src/hmac", "src/keyset", "src/manifest", "src/rollback", "src/source", "src/version",
		"src/rsa_pss", "src/rsa_row", "src/sha256"} {
		args = append(args, filepath.Join(root, name+".c"))
	}
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("compile judge.c: %v\n%s", err, out)
	}
	return program
}

// startC starts the judge in C for one file of vectors.
func startC(t *testing.T, program, path string) judge {
	cmd := exec.Command(program, path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("judge in C: %v", err)
		}
	})
	answers := bufio.NewReader(stdout)
	return func(object []byte) reason.Reason {
		message := append(binary.BigEndian.AppendUint32(nil, uint32(len(object))), object...)
		if _, err := stdin.Write(message); err != nil {
			t.Fatalf("judge in C: %v", err)
		}
		answer, err := answers.ReadByte()
		if err != nil {
			t.Fatalf("judge in C died of %x: %v", object, err)
		}
		return reason.Reason(answer)
	}
}
