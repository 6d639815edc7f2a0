package report

import (
	"bufio"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
)

//go:embed page.html
var pageText string

// pageTemplate is parsed at first use: every start of the program would pay for
// it.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"day":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
		"stamp":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"short":  func(h audit.Hash) string { return h.String()[:12] },
		"base64": base64.StdEncoding.EncodeToString,
	}).Parse(pageText))
})

// WritePage writes a report as one page of HTML that needs nothing else.
func WritePage(w io.Writer, r *Report) error {
	out := bufio.NewWriterSize(w, 64<<10)
	page := struct {
		*Report
		Title string
	}{r, "What ran where"}
	if err := pageTemplate().Execute(out, page); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return out.Flush()
}
