package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/docs/spec"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

const (
	typeJSON   = "application/json"
	typeBundle = "application/cbor"
	typeBytes  = "application/octet-stream"
)

// Headers of an upload, both ways.
const headerUploadOffset = "Upload-Offset"

func (h *Handler) routes() {
	h.handle("GET", "/api/v1/info", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.Info(r.Context()))
	})
	h.handle("GET", "/api/v1/openapi.yaml", func(m local, w http.ResponseWriter, r *http.Request) error {
		if err := m.allowSome(r.Context(), auth.Viewer, "info"); err != nil {
			return err
		}
		protocol.WriteBytes(w, http.StatusOK, "application/yaml", spec.OpenAPI)
		return nil
	})
	h.handle("GET", "/api/v1/uploads/{digest}", getUpload)
	h.handle("PATCH", "/api/v1/uploads/{digest}", patchUpload)
	h.handle("POST", "/api/v1/releases", func(m local, w http.ResponseWriter, r *http.Request) error {
		bundle, err := readBundle(r)
		if err != nil {
			return err
		}
		return created(w)(m.AddRelease(r.Context(), bundle))
	})
	h.handle("POST", "/api/v1/releases/check", func(m local, w http.ResponseWriter, r *http.Request) error {
		bundle, err := readBundle(r)
		if err != nil {
			return err
		}
		return done(w, m.CheckRelease(r.Context(), bundle))
	})
	h.handle("GET", "/api/v1/releases", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.Releases(r.Context(), r.URL.Query().Get("device_type")))
	})
	h.handle("GET", "/api/v1/releases/{digest}", func(m local, w http.ResponseWriter, r *http.Request) error {
		identity, err := digestOf(r)
		if err != nil {
			return err
		}
		return answer(w)(m.Release(r.Context(), identity))
	})
	h.handle("POST", "/api/v1/releases/{digest}/withdraw", func(m local, w http.ResponseWriter, r *http.Request) error {
		identity, err := digestOf(r)
		if err != nil {
			return err
		}
		var body whyJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return done(w, m.WithdrawRelease(r.Context(), identity, body.Why))
	})
	h.handle("POST", "/api/v1/keysets", func(m local, w http.ResponseWriter, r *http.Request) error {
		bundle, err := readBundle(r)
		if err != nil {
			return err
		}
		return created(w)(m.AddKeyset(r.Context(), bundle))
	})
	h.handle("POST", "/api/v1/keysets/check", func(m local, w http.ResponseWriter, r *http.Request) error {
		bundle, err := readBundle(r)
		if err != nil {
			return err
		}
		return answer(w)(m.CheckKeyset(r.Context(), bundle))
	})
	h.handle("GET", "/api/v1/keysets", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.Keysets(r.Context(), r.URL.Query().Get("device_type")))
	})
	h.deviceRoutes()
	h.fleetRoutes()
	h.auditRoutes()
	h.rolloutRoutes()
	if h.metrics != nil {
		h.handle("GET", "/metrics", h.scrape)
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { h.fail(w, r, h.unrouted(w, r)) })
}

// scrape lets a monitoring system read the metrics with a viewer's token.
func (h *Handler) scrape(m local, w http.ResponseWriter, r *http.Request) error {
	if err := m.allow(r.Context(), auth.Viewer, "metrics"); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	h.metrics.ServeHTTP(w, r)
	return nil
}

func (h *Handler) deviceRoutes() {
	h.handle("POST", "/api/v1/devices", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body fleet.NewDevice
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return created(w)(m.AddDevice(r.Context(), body))
	})
	h.handle("POST", "/api/v1/enrolment-codes", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body codeJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return created(w)(m.AddEnrolmentCode(r.Context(), fleet.NewCode{
			DeviceType: body.DeviceType, Device: body.Device, Again: body.Again, Valid: seconds(body.ValidSeconds),
		}))
	})
	h.handle("GET", "/api/v1/devices", func(m local, w http.ResponseWriter, r *http.Request) error {
		q := r.URL.Query()
		limit, err := limitOf(r)
		if err != nil {
			return err
		}
		return answer(w)(m.Devices(r.Context(), DeviceQuery{
			DeviceType: q.Get("device_type"), Filter: q.Get("filter"), Sort: q.Get("sort"),
			After: fleet.Ref{DeviceType: q.Get("after_type"), ID: q.Get("after")}, AfterKey: q.Get("after_key"), Limit: limit,
		}))
	})
	h.handle("GET", "/api/v1/devices/{type}/{id}", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.Device(r.Context(), refOf(r)))
	})
	h.handle("POST", "/api/v1/devices/{type}/{id}/revoke", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body whyJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return done(w, m.RevokeDevice(r.Context(), refOf(r), body.Why))
	})
	h.handle("POST", "/api/v1/devices/{type}/{id}/retry", func(m local, w http.ResponseWriter, r *http.Request) error {
		return done(w, m.RetryDevice(r.Context(), refOf(r)))
	})
}

func (h *Handler) auditRoutes() {
	h.handle("GET", "/api/v1/audit", func(m local, w http.ResponseWriter, r *http.Request) error {
		f, err := filterOf(r)
		if err != nil {
			return err
		}
		return answer(w)(m.AuditRecords(r.Context(), f))
	})
	h.handle("GET", "/api/v1/audit/checkpoint", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.AuditCheckpoint(r.Context()))
	})
	h.handle("POST", "/api/v1/audit/verify", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body verifyJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return answer(w)(m.VerifyAudit(r.Context(), body.Checkpoints))
	})
	h.handle("POST", "/api/v1/tokens", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body newTokenJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		valid := seconds(body.ValidSeconds)
		if body.Forever && valid != 0 {
			return fmt.Errorf("add token: %w: forever, and for %s", ErrInvalid, valid)
		}
		if body.Forever {
			valid = auth.Forever
		}
		token, err := m.AddToken(r.Context(), auth.NewOperator{Name: body.Name, Role: body.Role, Scope: body.Scope, Valid: valid})
		return created(w)(tokenJSON{token.Reveal()}, err)
	})
	h.handle("GET", "/api/v1/tokens", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.Tokens(r.Context()))
	})
	h.handle("POST", "/api/v1/tokens/{name}/rotate", func(m local, w http.ResponseWriter, r *http.Request) error {
		token, err := m.RotateToken(r.Context(), r.PathValue("name"))
		return answer(w)(tokenJSON{token.Reveal()}, err)
	})
	h.handle("DELETE", "/api/v1/tokens/{name}", func(m local, w http.ResponseWriter, r *http.Request) error {
		return done(w, m.RevokeToken(r.Context(), r.PathValue("name")))
	})
}

// unrouted says why no route took a request, and which methods the path has:
// the mux knows them.
func (h *Handler) unrouted(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := h.mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return fmt.Errorf("path %q: %w", r.URL.Path, ErrNotFound)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return fmt.Errorf("%s: %w; this path has %s", r.Method, ErrMethod, strings.Join(allowed, ", "))
}

// seconds is a duration of so many; one that is too long for a Duration is the
// longest, not, wrapped around, a short one or "for ever".
func seconds(n int64) time.Duration {
	const longest = int64(math.MaxInt64 / time.Second)
	return time.Duration(max(-longest, min(n, longest))) * time.Second
}

func getUpload(m local, w http.ResponseWriter, r *http.Request) error {
	digest, size, err := uploadOf(r)
	if err != nil {
		return err
	}
	state, err := m.UploadState(r.Context(), digest, size)
	return answer(w)(uploadJSON{state.Offset, state.Stored}, err)
}

func patchUpload(m local, w http.ResponseWriter, r *http.Request) error {
	digest, size, err := uploadOf(r)
	if err != nil {
		return err
	}
	if protocol.MediaType(r) != typeBytes {
		return fmt.Errorf("upload: %w: want %s", ErrMediaType, typeBytes)
	}
	offset, err := strconv.ParseInt(r.Header.Get(headerUploadOffset), 10, 64)
	if err != nil {
		return fmt.Errorf("upload: %w: header %s", ErrInvalid, headerUploadOffset)
	}
	state, err := m.UploadPart(r.Context(), digest, size, offset, protocol.Patient(w, r))
	var moved *repository.UploadOffsetError
	if errors.As(err, &moved) {
		w.Header().Set(headerUploadOffset, strconv.FormatInt(moved.Want, 10))
		return fmt.Errorf("%w: %w", ErrOffset, err)
	}
	if err != nil {
		return err
	}
	w.Header().Set(headerUploadOffset, strconv.FormatInt(state.Offset, 10))
	return answer(w)(uploadJSON{state.Offset, state.Stored}, nil)
}

func uploadOf(r *http.Request) (digest manifest.Digest, size int64, err error) {
	if digest, err = digestOf(r); err != nil {
		return digest, 0, err
	}
	size, err = number(r, "size")
	if err == nil && (size < 1 || size > manifest.MaxImageSize) {
		err = fmt.Errorf("upload: %w: size %d", ErrInvalid, size)
	}
	return digest, size, err
}

func filterOf(r *http.Request) (audit.Filter, error) {
	q := r.URL.Query()
	f := audit.Filter{Actor: q.Get("actor"), Action: q.Get("action"), Object: q.Get("object"), Oldest: q.Get("order") == "oldest"}
	after, err1 := number(r, "after")
	before, err2 := number(r, "before")
	limit, err3 := limitOf(r)
	since, err4 := moment(r, "since")
	until, err5 := moment(r, "until")
	_, err6 := oneOf(r, "order", "oldest")
	f.After, f.Before, f.Limit, f.Since, f.Until = after, before, limit, since, until
	return f, errors.Join(err1, err2, err3, err4, err5, err6)
}

// oneOf reads a query parameter that is one of a few words; absent is "".
func oneOf[T ~string](r *http.Request, name string, words ...T) (T, error) {
	word := T(r.URL.Query().Get(name))
	if word != "" && !slices.Contains(words, word) {
		return "", fmt.Errorf("%w: %s=%q: want one of %q", ErrInvalid, name, word, words)
	}
	return word, nil
}

// number reads a query parameter that is a decimal; absent is 0.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s=%q: want a number", ErrInvalid, name, text)
	}
	return n, nil
}

// limitOf reads the query parameter limit. One more than MaxPage stands for
// all that are refused, on machines with a small int as well.
func limitOf(r *http.Request) (int, error) {
	n, err := number(r, "limit")
	return int(min(n, MaxPage+1)), err
}

// moment reads a query parameter that is a time; absent is zero.
func moment(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%w: %s=%q: want RFC 3339", ErrInvalid, name, text)
	}
	return t, nil
}

func digestOf(r *http.Request) (manifest.Digest, error) {
	digest, err := manifest.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return digest, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return digest, nil
}

func refOf(r *http.Request) fleet.Ref {
	return fleet.Ref{DeviceType: r.PathValue("type"), ID: r.PathValue("id")}
}

func readBundle(r *http.Request) (trust.Bundle, error) {
	if protocol.MediaType(r) != typeBundle {
		return trust.Bundle{}, fmt.Errorf("bundle: %w: want %s", ErrMediaType, typeBundle)
	}
	raw, err := protocol.Body(r, trust.MaxBundle)
	if err != nil {
		return trust.Bundle{}, err
	}
	return trust.DecodeBundle(raw)
}

func readJSON(r *http.Request, v any) error { return readLongJSON(r, maxBody, v) }

func readLongJSON(r *http.Request, max int64, v any) error {
	if protocol.MediaType(r) != typeJSON {
		return fmt.Errorf("body: %w: want %s", ErrMediaType, typeJSON)
	}
	raw, err := protocol.Body(r, max)
	if err != nil {
		return err
	}
	return protocol.DecodeJSON(raw, v)
}

// answer writes what a call returned, unless it failed.
func answer(w http.ResponseWriter) func(v any, err error) error { return write(w, http.StatusOK) }

func created(w http.ResponseWriter) func(v any, err error) error {
	return write(w, http.StatusCreated)
}

func write(w http.ResponseWriter, status int) func(v any, err error) error {
	return func(v any, err error) error {
		if err != nil {
			return err
		}
		w.Header().Set("Cache-Control", "no-store")
		return protocol.WriteJSON(w, status, v)
	}
}

func done(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
