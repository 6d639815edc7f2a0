package console_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// patience is how long a browser may take for one step.
const patience = 30 * time.Second

// A window is a real browser's window on a server.
type window struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string // of the browser: errors of scripts, violations of the policy
}

// openWindow starts Debian's Chromium, without a head.
func openWindow(t *testing.T, base string, width, height int64, viewport ...chromedp.EmulateViewportOption) *window {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testenv.Tool(t, "chromium", "chromium")),
		chromedp.NoSandbox,        // the tests may run as root, which the sandbox refuses
		chromedp.IgnoreCertErrors, // the server's certificate is its own
		chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(int(width), int(height)))
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, closeWindow := chromedp.NewContext(allocator)
	t.Cleanup(func() { closeWindow(); stop() })
	w := &window{t: t, ctx: ctx, base: base}
	if err := chromedp.Listen(ctx, w.listen); err != nil {
		t.Fatal(err)
	}
	call(w, log.Enable, cdp.Empty{})
	call(w, runtime.Enable, cdp.Empty{})
	w.do(chromedp.EmulateViewport(width, height, viewport...))
	return w
}

// listen notes what the browser complains of. That an answer was an error is
// none: tests provoke those.
func (w *window) listen(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork || strings.Contains(e.Entry.Text, "Content Security Policy") {
			text = e.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	}
	if text != "" {
		w.mu.Lock()
		w.complaints = append(w.complaints, text)
		w.mu.Unlock()
	}
}

func call[P, R any](w *window, command cdp.Command[P, R], params P) {
	w.t.Helper()
	if _, err := chromedp.Call(w.ctx, command, params); err != nil {
		w.t.Fatalf("browser: %s: %v", command.Method, err)
	}
}

func (w *window) do(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.t.Fatalf("browser: %v; the page says\n%s", err, w.text())
	}
}

// text returns what the page says.
func (w *window) text() string {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (w *window) open(path string) {
	w.t.Helper()
	w.do(chromedp.Navigate(w.base+path), chromedp.WaitReady("main"))
}

// see waits until the page shows texts, in whatever case its style puts them.
func (w *window) see(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		w.waitFor(`document.body.innerText.toLowerCase().includes(` + quoteJS(strings.ToLower(text)) + `)`)
	}
}

// waitFor waits until an expression is true.
func (w *window) waitFor(expression string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)) // fails while a page is being left
		if err == nil && ok {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("browser: not in %s: %s; the page says\n%s", patience, expression, w.text())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func quoteJS(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func evaluate[T any](w *window, expression string) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		w.t.Fatalf("browser: %s: %v", expression, err)
	}
	return value
}

func (w *window) login(token string) {
	w.t.Helper()
	w.open("/")
	w.do(chromedp.SendKeys("#token", token), chromedp.Submit("#token"))
	w.see("Log out")
}

// click clicks the first element that a selector finds.
func (w *window) click(selector string) {
	w.t.Helper()
	w.do(chromedp.Click(selector, chromedp.NodeVisible))
}

// dark sets what the user prefers.
func (w *window) dark(on bool) {
	w.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
}

// isCalm fails if the browser complained of anything.
func (w *window) isCalm() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.complaints {
		w.t.Errorf("the browser complains: %s", c)
	}
}
