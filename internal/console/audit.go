package console

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// auditPageSize is how many records one page shows.
const auditPageSize = 100

// auditPage is a part of the log.
type auditPage struct {
	Actor, Action, Object, Since, Until string // as they were typed
	Records                             []audit.Record
	OlderURL                            string // empty: this is the end
	Newest                              bool   // it begins at the newest record
}

func showAudit(v *visit) (*page, error) {
	a := &auditPage{
		Actor: v.query("actor"), Action: v.query("action"), Object: v.query("object"),
		Since: v.query("since"), Until: v.query("until"), Newest: v.query("before") == "",
	}
	p := &page{Title: "Audit", Section: "audit", Data: a}
	f, err := a.filter(v)
	if err == nil {
		a.Records, err = v.AuditRecords(v.ctx(), f)
	}
	if errors.Is(err, api.ErrInvalid) {
		return nil, &formError{form: p.as("audit"), cause: err}
	}
	if err != nil {
		return nil, err
	}
	if len(a.Records) > auditPageSize {
		a.Records = a.Records[:auditPageSize]
		query := v.URL.Query()
		query.Del(liveParameter)
		query.Set("before", strconv.FormatInt(a.Records[auditPageSize-1].Seq, 10))
		a.OlderURL = (&url.URL{Path: "/audit", RawQuery: query.Encode()}).String()
	}
	return p, nil
}

func (a *auditPage) filter(v *visit) (f audit.Filter, err error) {
	f = audit.Filter{Actor: a.Actor, Action: a.Action, Object: a.Object, Limit: auditPageSize + 1}
	if before := v.query("before"); before != "" {
		if f.Before, err = strconv.ParseInt(before, 10, 64); err != nil || f.Before < 1 {
			return f, fmt.Errorf("before=%q: %w: want a record's number", before, api.ErrInvalid)
		}
	}
	if f.Since, err = dayOf(a.Since); err != nil {
		return f, err
	}
	if f.Until, err = dayOf(a.Until); err == nil && !f.Until.IsZero() {
		f.Until = f.Until.AddDate(0, 0, 1) // that day, too
	}
	return f, err
}

func dayOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, fmt.Errorf("day %q: %w: want a day such as 2026-01-31", text, api.ErrInvalid)
	}
	return t, nil
}

// verdict is what verifying the log has shown.
type verdict struct {
	api.AuditState
	Given  int    // checkpoints that the operator brought
	Broken string // what is wrong with the log; empty: nothing
	Took   time.Duration
}

// maxCheckpoints bounds what an operator brings to a verification.
const maxCheckpoints = 100

func verifyAudit(v *visit) (*page, error) {
	given, err := readCheckpoints(v)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	state, err := v.VerifyAudit(v.ctx(), given)
	found := &verdict{AuditState: state, Given: len(given), Took: time.Since(began)}
	if errors.Is(err, api.ErrAuditBroken) {
		found.Broken = sentenceCase(err.Error())
		err = nil
	}
	return &page{Title: "Audit log verified", Section: "audit", Data: found}, err
}

// readCheckpoints reads the checkpoint files of the form.
func readCheckpoints(v *visit) (given [][]byte, err error) {
	parts, err := v.MultipartReader()
	if err != nil { // the plain button
		return nil, nil
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return given, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read form: %w", err)
		}
		raw, err := readSmall(part, audit.MaxCheckpoint)
		if err != nil {
			return nil, err
		}
		if len(raw) > 0 {
			given = append(given, raw)
		}
		if len(given) > maxCheckpoints {
			return nil, fmt.Errorf("verify audit log: %w: at most %d checkpoints at a time", api.ErrInvalid, maxCheckpoints)
		}
	}
}

// downloadCheckpoint answers with the signed head of the log as a file.
func downloadCheckpoint(v *visit) (string, error) {
	c, err := v.AuditCheckpoint(v.ctx())
	if err != nil {
		return "", err
	}
	v.w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%d.checkpoint"`, c.Seq))
	protocol.WriteBytes(v.w, 200, "application/cose", c.Signed)
	return "", nil
}
