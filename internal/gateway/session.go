package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	answerTimeout = 15 * time.Second // within which every question is answered
	noiseEvery    = 10 * time.Second // between two words about noise
)

// A session is one line while it is open. There is at most one question at a
// time: a new one ends the one before it.
type session struct {
	port   io.ReadWriteCloser
	up     *upstream
	tell   func(Event)
	events *rate.Limiter
	unsaid atomic.Int64 // events over the limit

	question []byte // body of the last one
	working  bool
	cancel   context.CancelFunc // of the work
	answer   []byte             // frame of the last answer that may be repeated, nil: none
	results  chan result

	who      string // TYPE/ID, as the device claims
	download download
	noise    int
}

func newSession(port io.ReadWriteCloser, up *upstream, events *rate.Limiter, tell func(Event)) *session {
	return &session{port: port, up: up, tell: tell, events: events, results: make(chan result, 1)}
}

// A result is the answer to a question.
type result struct {
	frame []byte
	done  bool // may be repeated
}

// run serves the line until it fails.
func (s *session) run(ctx context.Context) error {
	finds := make(chan found)
	lost := make(chan error, 1)
	go func() { lost <- s.readAll(ctx, finds) }()
	quiet := time.NewTicker(noiseEvery)
	defer quiet.Stop()
	defer s.end()
	for {
		var err error
		select {
		case f := <-finds:
			err = s.take(ctx, f)
		case r := <-s.results:
			err = s.finish(r)
		case <-quiet.C:
			s.sayNoise()
		case err = <-lost:
		}
		if err != nil {
			return err
		}
	}
}

// readAll reads the line, at a bounded rate: a device that floods it is held up
// by its own line.
func (s *session) readAll(ctx context.Context, to chan<- found) error {
	in := bufio.NewReader(s.port)
	limit := rate.NewLimiter(frameRate, frameRate)
	var scan scanner
	for {
		b, err := in.ReadByte()
		if err != nil {
			return fmt.Errorf("read line: %w", err)
		}
		f := scan.next(b)
		if f == (found{}) {
			continue
		}
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		select {
		case to <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *session) take(ctx context.Context, f found) error {
	switch {
	case f.text != "":
		s.log(Event{Event: "says", Text: f.text})
	case f.noise:
		s.noise++
	case bytes.Equal(f.frame.body, s.question) && s.working:
		// It is being answered.
	case bytes.Equal(f.frame.body, s.question) && s.answer != nil:
		return s.send(s.answer)
	default:
		s.end()
		s.begin(ctx, *f.frame)
	}
	return nil
}

// begin starts to work on a question.
func (s *session) begin(ctx context.Context, f frame) {
	ctx, s.cancel = context.WithTimeout(ctx, answerTimeout-time.Second)
	s.question, s.answer, s.working = bytes.Clone(f.body), nil, true
	go func() {
		data, total, err := s.work(ctx, f.body)
		a := answer{Format: format, To: f.crc, Total: total, Data: data}
		if err != nil {
			a = answerTo(f.crc, err)
			if !errors.Is(ctx.Err(), context.Canceled) {
				s.log(Event{Event: "failed", Device: s.who, Text: err.Error(), Reason: a.Reason})
			}
		}
		s.results <- result{a.encode(), err == nil}
	}()
}

// end ends the work on the last question, and waits for it: one piece of work
// at a time uses what the session has.
func (s *session) end() {
	if s.working {
		s.cancel()
		<-s.results
		s.working = false
	}
}

func (s *session) finish(r result) error {
	s.cancel()
	s.working = false
	if r.done {
		s.answer = r.frame
	}
	return s.send(r.frame)
}

// send writes a frame. A device that does not read is a line that fails.
func (s *session) send(frame []byte) error {
	if d, ok := s.port.(interface{ SetWriteDeadline(time.Time) error }); ok {
		d.SetWriteDeadline(time.Now().Add(answerTimeout)) // not all lines have one; those without are closed with ctx
	}
	if _, err := s.port.Write(frame); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}

// work asks the server what a question asks.
func (s *session) work(ctx context.Context, body []byte) (data []byte, total uint32, err error) {
	q, err := decodeQuestion(body)
	if err != nil {
		return nil, 0, failed(statusBad, "%w", err)
	}
	switch q.Kind {
	case kindCheck:
		return s.check(ctx, q)
	case kindReport:
		return nil, 0, s.report(ctx, q)
	}
	data, total, err = s.up.read(ctx, q)
	if err == nil {
		s.sayRead(q, len(data), total)
	}
	return data, total, err
}

func (s *session) check(ctx context.Context, q question) ([]byte, uint32, error) {
	s.identify(q)
	text, why := describe(q.Kind, q.Message)
	s.log(Event{Event: "check", Device: s.who, Text: text, Reason: why})
	response, err := s.up.post(ctx, "/v1/check", q.Message, http.StatusOK)
	if err != nil {
		return nil, 0, err
	}
	total := uint32(len(response))
	if total > q.Most {
		f := failed(statusTooLarge, "the answer has %d bytes, the device takes %d", total, q.Most)
		f.total = total
		return nil, 0, f
	}
	o, text := offerOf(response)
	s.log(Event{Event: "offer", Device: s.who, Text: text, Version: o.Keyset})
	return response, total, nil
}

func (s *session) report(ctx context.Context, q question) error {
	s.identify(q)
	text, why := describe(q.Kind, q.Message)
	s.log(Event{Event: "report", Device: s.who, Text: text, Reason: why})
	_, err := s.up.post(ctx, "/v1/report", q.Message, http.StatusNoContent)
	return err
}

// identify notes who claims to be at the line.
func (s *session) identify(q question) {
	if deviceType, device, ok := senderOf(q.Kind, q.Message); ok {
		s.who, s.up.device = deviceType+"/"+device, device
	}
}

// log tells an event, unless there were too many.
func (s *session) log(e Event) {
	if !s.events.Allow() {
		s.unsaid.Add(1)
		return
	}
	s.tell(e)
}

// sayNoise tells how much came that is not worth a word each.
func (s *session) sayNoise() {
	unsaid := s.unsaid.Swap(0)
	if s.noise == 0 && unsaid == 0 {
		return
	}
	s.tell(Event{Event: "noise", Text: fmt.Sprintf("%d pieces were no frames, %d events too many to tell", s.noise, unsaid)})
	s.noise = 0
}
