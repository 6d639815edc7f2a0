package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// The line's own test: the bytes of docs/spec/serial.md, lines that lose, double
// and change bytes, and frames that are none of ours.
func TestSerialLink(t *testing.T) {
	t.Parallel()
	gcc := testenv.Tool(t, "gcc", "gcc")
	const libota = "../../.."
	program := filepath.Join(t.TempDir(), "serial-link-test")
	args := []string{"-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-g", "-O1",
		"-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I" + libota + "/include", "-I" + libota + "/src", "-o", program}
	for _, file := range []string{"ports/serial_link.c", "ports/plain_map.c", "ports/serial_link_test.c", "src/crc32.c"} {
		args = append(args, filepath.Join(libota, file))
	}
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
