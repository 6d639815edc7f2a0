package gateway

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// The device's end that libota ships speaks with this gateway, with the smallest
// buffer and a large one, and over a line that loses bytes.
func TestTheLinkInCSpeaksWithTheGateway(t *testing.T) {
	program := buildLink(t)
	image := firmware(6_000)
	server, _ := fakeServer(t, serveImage(image))
	for name, c := range map[string]struct {
		buffer string
		oneIn  int // changes of each kind; 0: a clean line
	}{
		"smallest": {"100", 0}, "small": {"288", 0}, "large": {"4126", 0}, "noisy": {"288", 4000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := newGateway(t, server)
			ours, theirs := socketPair(t)
			var port io.ReadWriteCloser = ours
			if c.oneIn > 0 {
				port = newNoisyPort(port, 3, c.oneIn)
			}
			serve(t, g, port)
			cmd := exec.Command(program, hex.EncodeToString(anImage.Digest), c.buffer)
			cmd.ExtraFiles = []*os.File{theirs}
			var words bytes.Buffer
			cmd.Stderr = &words
			got, err := cmd.Output()
			if err != nil || !bytes.Equal(got, image) {
				t.Errorf("%d bytes, %v %s", len(got), err, &words)
			}
		})
	}
}

func buildLink(t *testing.T) string {
	t.Helper()
	cc := testenv.Tool(t, "cc", "gcc")
	libota := filepath.Join("..", "..", "libota")
	program := filepath.Join(t.TempDir(), "link")
	out, err := exec.Command(cc, "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined",
		"-I", filepath.Join(libota, "include"), "-I", filepath.Join(libota, "src"), "-I", filepath.Join(libota, "ports"),
		"-o", program, filepath.Join("testdata", "link.c"), filepath.Join(libota, "ports", "serial_link.c"),
		filepath.Join(libota, "ports", "plain_map.c"), filepath.Join(libota, "src", "crc32.c")).CombinedOutput()
	if err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	return program
}

func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "line"), os.NewFile(uintptr(fds[1]), "device")
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}
