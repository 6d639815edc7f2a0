package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/secure-ota/secure-ota/internal/cli/record"
)

// ErrInterrupted means that somebody ended the question instead of answering.
var ErrInterrupted = errors.New("interrupted")

// Terminal returns the terminal that r is, if it is one.
func Terminal(r any) (fd int, ok bool) {
	f, isFile := r.(*os.File)
	if !isFile {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// Ask writes a question and reads the answer from a terminal without echo. A
// signal that would end the program while the terminal is mute ends the
// question instead (ErrInterrupted), and the terminal echoes again.
func Ask(fd int, w io.Writer, question string) ([]byte, error) {
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	fmt.Fprint(w, record.Clean(question))
	defer fmt.Fprintln(w)

	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		if errors.Is(a.err, io.EOF) { // nothing was typed
			a.err = nil
		}
		return a.text, a.err
	case <-signals: // the reader is left behind: the program ends
		return nil, errors.Join(ErrInterrupted, term.Restore(fd, state))
	}
}
