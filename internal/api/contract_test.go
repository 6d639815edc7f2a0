package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/paths"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	openapi "github.com/secure-ota/secure-ota/docs/spec"
	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/otatest"
)

// newSystem starts a system whose traffic is held against openapi.yaml.
func newSystem(t *testing.T, options ...otatest.Options) *otatest.System {
	t.Helper()
	var o otatest.Options
	if len(options) > 0 {
		o = options[0]
	}
	o.Wrap = func(under http.RoundTripper) http.RoundTripper { return &witness{t, under, contract()} }
	return otatest.New(t, o)
}

// A description is openapi.yaml, and what of it was seen to be true.
type description struct {
	document *v3.Document
	check    validator.Validator

	mu   sync.Mutex // the validator is not made for many at once
	seen map[api.Route]bool
}

var contract = sync.OnceValue(func() *description {
	parsed, err := libopenapi.NewDocument(openapi.OpenAPI)
	if err != nil {
		panic(err)
	}
	model, err := parsed.BuildV3Model()
	if err != nil {
		panic(err)
	}
	check, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		panic(fmt.Sprint(errs))
	}
	return &description{document: &model.Model, check: check, seen: map[api.Route]bool{}}
})

// routes returns what the file describes.
func (d *description) routes() map[api.Route]bool {
	all := map[api.Route]bool{}
	for path, item := range d.document.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			all[api.Route{Method: strings.ToUpper(method), Path: path}] = true
		}
	}
	return all
}

// queries returns the query parameters of a GET.
func (d *description) queries(path string) (names []string) {
	item := d.document.Paths.PathItems.GetOrZero(path)
	for _, p := range append(item.Parameters, item.Get.Parameters...) {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	return names
}

// A witness holds what travels against the description.
type witness struct {
	t     *testing.T
	under http.RoundTripper
	*description
}

// maxWitnessed is how much of a body is looked at, in bytes; images of firmware
// are longer, and have no form.
const maxWitnessed = 1 << 20

// RoundTrip implements http.RoundTripper.
func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := req.Clone(req.Context())
	var body []byte
	if req.Body != nil && req.ContentLength >= 0 && req.ContentLength <= maxWitnessed {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
		sent.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := w.under.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if err != nil {
		return nil, err
	}
	w.hold(req, body, resp, answer)
	return resp, nil
}

// hold says what of an exchange is not as it is described. What was refused may
// have been asked in any form; what was done must have been asked in the one
// that is described.
func (w *witness) hold(req *http.Request, body []byte, resp *http.Response, answer []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, answered := req.Clone(req.Context()), *resp
	asked.Body, answered.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(answer))
	if !strings.HasPrefix(req.URL.Path, "/api/") && req.URL.Path != "/metrics" {
		return // pages of the console, and devices, which speak in binary
	}
	item, _, pattern := paths.FindPath(asked, w.document, nil)
	if item == nil || req.Method != strings.ToUpper(req.Method) || item.GetOperations().GetOrZero(strings.ToLower(req.Method)) == nil {
		if resp.StatusCode < 400 {
			w.t.Errorf("%s %s is not described, and answered with %d", req.Method, req.URL.Path, resp.StatusCode)
		}
		return
	}
	if ok, errs := w.check.ValidateHttpResponse(asked, &answered); !ok {
		for _, e := range errs {
			w.t.Errorf("%s %s, %d: the answer is not as described: %s\n%.300s", req.Method, pattern, resp.StatusCode, reasons(e), answer)
		}
	}
	if resp.StatusCode >= 300 {
		return
	}
	w.seen[api.Route{Method: req.Method, Path: pattern}] = true
	asked.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 && req.ContentLength > 0 { // too long to be looked at
		return
	}
	if ok, errs := w.check.ValidateHttpRequest(asked); !ok {
		for _, e := range errs {
			w.t.Errorf("%s %s: this was done, and is not described: %s\n%.300s", req.Method, pattern, reasons(e), body)
		}
	}
}

// reasons says what is wrong, and where.
func reasons(e *errors.ValidationError) string {
	if len(e.SchemaValidationErrors) == 0 {
		return e.Reason
	}
	var all []string
	for _, s := range e.SchemaValidationErrors {
		all = append(all, s.FieldPath+": "+s.Reason)
	}
	return strings.Join(all, "; ")
}

func TestMain(m *testing.M) {
	code := m.Run()
	// Only a whole run sees everything.
	whole := !strings.Contains(strings.Join(os.Args, " "), "-test.run=") && !strings.Contains(strings.Join(os.Args, " "), "-test.list=") &&
		!strings.Contains(strings.Join(os.Args, " "), "-test.fuzz")
	if code == 0 && whole {
		for route := range contract().routes() {
			if management(route) && !contract().seen[route] {
				fmt.Fprintf(os.Stderr, "%s %s is described, and no test has seen it work\n", route.Method, route.Path)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// management tells the API's routes from those of devices.
func management(r api.Route) bool {
	return strings.HasPrefix(r.Path, "/api/") || r.Path == "/metrics"
}

func TestTheDescriptionIsWellFormed(t *testing.T) {
	if ok, errs := contract().check.ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s: %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

func TestEveryRouteIsDescribedAndNoOther(t *testing.T) {
	described := contract().routes()
	for _, route := range newHandler(t).Routes() {
		if !described[route] {
			t.Errorf("%s %s is not in openapi.yaml", route.Method, route.Path)
		}
		delete(described, route)
	}
	for route := range described {
		if management(route) {
			t.Errorf("%s %s is in openapi.yaml and nowhere else", route.Method, route.Path)
		}
	}
}

// newHandler returns a handler that is asked for its routes only.
func newHandler(t *testing.T) *api.Handler {
	s := otatest.New(t)
	return api.NewHandler(api.NewService(api.Config{Repository: s.Server.Repository()}), http.NotFoundHandler())
}

// The witness sees a lie.
func TestAnAnswerThatIsNotDescribedIsFound(t *testing.T) {
	answer := func(status int, contentType, body string) http.RoundTripper {
		return roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})
	}
	for name, under := range map[string]http.RoundTripper{
		"a member too much":   answer(200, "application/json", `[{"name":"a","role":"viewer","created_at":"2030-01-01T00:00:00Z","secret":"x"}]`),
		"a member is missing": answer(200, "application/json", `[{"name":"a"}]`),
		"another kind":        answer(200, "application/json", `{}`),
		"a bare error":        answer(500, "application/json", `{"error":"x"}`),
		"another status":      answer(201, "application/json", `[]`),
	} {
		watched := &testing.T{}
		w := &witness{watched, under, contract()}
		resp, err := w.RoundTrip(must(http.NewRequest("GET", "https://localhost:8443/api/v1/tokens", nil))(t))
		if err != nil || resp == nil {
			t.Fatal(err)
		}
		if !watched.Failed() {
			t.Errorf("%s passes", name)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
