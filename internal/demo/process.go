package demo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopWait is how long a child may take to end before it is killed.
const stopWait = 10 * time.Second

// A process is a child that runs beside the demo: the server, or the device.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []string // what it printed, both streams
	heard chan struct{}
}

// start runs a program whose output is kept.
func start(name, dir, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{}), heard: make(chan struct{}, 1)}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &lineWriter{p: p}, &lineWriter{p: p}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// stop asks the program to end, and kills it if it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopWait):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// waitFor returns the first line from index on that contains text, and the index
// after it.
func (p *process) waitFor(ctx context.Context, text string, from int) (string, int, error) {
	for {
		p.mu.Lock()
		for i := from; i < len(p.lines); i++ {
			if strings.Contains(p.lines[i], text) {
				line := p.lines[i]
				p.mu.Unlock()
				return line, i + 1, nil
			}
		}
		from = max(from, len(p.lines))
		p.mu.Unlock()
		select {
		case <-p.heard:
		case <-p.done:
			return "", from, fmt.Errorf("%s ended without printing %q:\n%s", p.name, text, p.tail())
		case <-ctx.Done():
			return "", from, fmt.Errorf("%s did not print %q: %w\n%s", p.name, text, ctx.Err(), p.tail())
		}
	}
}

// printed returns how many lines there are so far.
func (p *process) printed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// tail returns the last lines, for an error.
func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-15):], "\n")
}

// A lineWriter cuts a stream into lines.
type lineWriter struct {
	p    *process
	rest []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte{'\n'})
		if !ok {
			return len(b), nil
		}
		w.rest = rest
		w.p.mu.Lock()
		w.p.lines = append(w.p.lines, strings.TrimRight(string(line), "\r"))
		w.p.mu.Unlock()
		select {
		case w.p.heard <- struct{}{}:
		default:
		}
	}
}

// output runs a program to its end and returns what it wrote to its standard
// output. Its error holds what it said.
func output(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), &commandError{err: err, stderr: stderr.String()}
	}
	return stdout.Bytes(), nil
}

// A commandError is a command that failed, with what it said.
type commandError struct {
	err    error
	stderr string
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%v: %s", e.err, strings.TrimSpace(e.stderr))
}
func (e *commandError) Unwrap() error { return e.err }

// said returns the line in which a command told what is wrong.
func (e *commandError) said() string {
	scanner := bufio.NewScanner(strings.NewReader(e.stderr))
	for scanner.Scan() {
		if line, ok := strings.CutPrefix(scanner.Text(), "ota: "); ok {
			return line
		}
	}
	return strings.TrimSpace(e.stderr)
}
