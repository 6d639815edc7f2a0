package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// An Order is what the operator of a device asks of it.
type Order string

// The orders.
const (
	OrderConfirm  Order = "confirm"  // end the trial well
	OrderReject   Order = "reject"   // end the trial, or give up a switched update
	OrderRollback Order = "rollback" // return to the retained image
	OrderCheck    Order = "check"    // ask the server now
)

// An order waits in the loop of the agent for its turn.
type order struct {
	what  Order
	reply chan<- error
}

// orderTimeout is how long a command waits for a busy agent.
const orderTimeout = 5 * time.Minute

func socketPath(storage string) string { return filepath.Join(storage, "agent.sock") }

// listen takes orders on a socket in the storage directory, which only its
// owner can enter. A device without it works, too.
func (a *Agent) listen(ctx context.Context) {
	path := socketPath(a.cfg.Storage)
	_ = os.Remove(path) // left by a killed agent: the lock says that none is alive
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		a.log.Warn("no orders will be taken", "error", err)
		return
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go a.answer(ctx, conn)
		}
	}()
}

func (a *Agent) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(orderTimeout))
	line, err := bufio.NewReaderSize(conn, 64).ReadString('\n')
	if err != nil {
		return
	}
	reply := make(chan error, 1)
	select {
	case a.orders <- order{Order(strings.TrimSpace(line)), reply}:
		err = <-reply
	case <-ctx.Done():
		err = errors.New("the agent is stopping")
	case <-time.After(orderTimeout):
		return // whoever gave the order was told that it failed: it must not happen later
	}
	if err != nil {
		fmt.Fprintf(conn, "error %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Fprintln(conn, "ok")
}

// ErrOrderRefused is wrapped by the error of an order that a running agent did
// not carry out.
var ErrOrderRefused = errors.New("the agent refused")

// Command gives an order to the device of cfg: to the running agent if there is
// one, otherwise it carries it out itself.
func (cfg Config) Command(ctx context.Context, what Order, open func() (*Agent, error)) error {
	a, err := open()
	if errors.Is(err, ErrLocked) {
		return send(ctx, socketPath(cfg.Storage), what)
	}
	if err != nil {
		return err
	}
	return errors.Join(a.obey(ctx, what), a.Close())
}

func send(ctx context.Context, path string, what Order) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("%s: %w, and takes no orders: %w", what, ErrLocked, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(orderTimeout))
	if _, err := fmt.Fprintln(conn, what); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s: the agent did not answer: %w", what, err)
	}
	if words, refused := strings.CutPrefix(strings.TrimSpace(line), "error "); refused {
		return fmt.Errorf("%w: %s", ErrOrderRefused, words)
	}
	return nil
}

// obey carries out an order.
func (a *Agent) obey(ctx context.Context, what Order) error {
	a.log.Info("order of the operator", "order", string(what))
	switch what {
	case OrderConfirm:
		return a.client.ConfirmFirmware(ctx)
	case OrderReject:
		return a.client.RejectFirmware(ctx, reason.OperatorRequested, "")
	case OrderRollback:
		return a.client.RollbackFirmware(ctx)
	case OrderCheck:
		_, err := a.update(ctx)
		return err
	}
	return fmt.Errorf("no such order: %q", what)
}
