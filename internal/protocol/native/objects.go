package native

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// immutable is the Cache-Control of what is named by its hash.
const immutable = "public, max-age=31536000, immutable"

func (h *Handler) manifest(w http.ResponseWriter, r *http.Request) error {
	hash, err := digestOf(r, "hash")
	if err != nil {
		return err
	}
	signed, ok := h.fleet.Manifest(hash)
	if !ok {
		return fmt.Errorf("manifest %s: %w", hash, errNotFound)
	}
	writeObject(w, r, typeCOSE, immutable, hash, signed)
	return nil
}

// Keysets and keys come from memory, as manifests do: a device needs them while
// the database is gone, too. One that another replica published a moment ago is
// not there yet, and is read.

func (h *Handler) keyset(w http.ResponseWriter, r *http.Request) error {
	deviceType, text := r.PathValue("type"), r.PathValue("version")
	if err := manifest.CheckName(deviceType); err != nil {
		return fmt.Errorf("device type: %w: %w", errNotFound, err)
	}
	cache, find := immutable, h.numberedKeyset
	if text == "latest" {
		cache, find = "no-cache", h.latestKeyset
	}
	keyset, err := find(r.Context(), deviceType, text)
	if err != nil {
		return err
	}
	writeObject(w, r, typeCOSE, cache, keyset.Hash(), keyset.Bytes())
	return nil
}

func (h *Handler) latestKeyset(ctx context.Context, deviceType, _ string) (trust.VerifiedKeyset, error) {
	if keyset, ok := h.fleet.LatestKeyset(deviceType); ok {
		return keyset, nil
	}
	return h.repository.LatestKeyset(ctx, deviceType)
}

// numberedKeyset returns the keyset of a version: a decimal without leading
// zeros.
func (h *Handler) numberedKeyset(ctx context.Context, deviceType, text string) (trust.VerifiedKeyset, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return trust.VerifiedKeyset{}, fmt.Errorf("keyset version %q: %w", text, errNotFound)
	}
	if keyset, ok := h.fleet.Keyset(deviceType, uint32(n)); ok {
		return keyset, nil
	}
	return h.repository.Keyset(ctx, deviceType, uint32(n))
}

func (h *Handler) key(w http.ResponseWriter, r *http.Request) error {
	id, err := digestOf(r, "id")
	if err != nil {
		return err
	}
	key, ok := h.fleet.Key(trust.KeyID(id))
	if !ok {
		if key, err = h.repository.Key(r.Context(), trust.KeyID(id)); err != nil {
			return err
		}
	}
	// The id of a key is the hash of its COSE_Key: the ETag holds here, too.
	writeObject(w, r, "application/cose-key", immutable, id, key.COSEKey())
	return nil
}

func (h *Handler) release(w http.ResponseWriter, r *http.Request) error {
	digest, err := digestOf(r, "digest")
	if err != nil {
		return err
	}
	if !h.fleet.PublishesDocument(digest) {
		return fmt.Errorf("release document %s: %w", digest, errNotFound)
	}
	document, err := h.repository.Document(r.Context(), digest)
	if err != nil {
		return err
	}
	writeObject(w, r, typeJSON, immutable, digest, document)
	return nil
}

func (h *Handler) firmware(w http.ResponseWriter, r *http.Request) error {
	digest, err := digestOf(r, "digest")
	if err != nil {
		return err
	}
	if !h.fleet.Publishes(digest) {
		return fmt.Errorf("image %s: %w", digest, errNotFound)
	}
	f, size, err := h.repository.Firmware(r.Context(), digest)
	if err != nil {
		return err
	}
	defer f.Close()
	etag := tagOf(digest)
	header := w.Header()
	header.Set("ETag", etag)
	header.Set("Cache-Control", immutable)
	header.Set("Accept-Ranges", "bytes")
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, status := span{0, size}, http.StatusOK
	if ifRange := r.Header.Values("If-Range"); len(ifRange) == 0 || len(ifRange) == 1 && ifRange[0] == etag {
		var partial bool
		if part, partial, err = parseRange(r.Header.Values("Range"), size); err != nil {
			header.Del("ETag")
			header.Del("Cache-Control")
			header.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
			return err
		}
		if partial {
			status = http.StatusPartialContent
			header.Set("Content-Range", part.contentRange(size))
		}
	}
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Length", strconv.FormatInt(part.length, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return nil
	}
	if device := r.URL.Query().Get("device"); device != "" {
		h.noteStart(r, device, digest)
	}
	w.WriteHeader(status)
	err = h.stream(r.Context(), w, f, part)
	h.metrics.Streamed(err)
	if err != nil {
		h.log.Info("native: firmware stream broke off", "image", digest, "address", r.RemoteAddr, "error", err)
		// The status is sent; only a broken connection tells the client that
		// the image is not whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// startWait is how long a download waits for its start to be on record.
const startWait = 2 * time.Second

// noteStart records the start of a download. The image is sent even while
// nothing can be stored: that a device claims to fetch it is a hint for people,
// and a fleet that stands still for want of a hint would be worse off. The claim
// is taken up with the device's next request for a part of the image.
func (h *Handler) noteStart(r *http.Request, device string, digest manifest.Digest) {
	recorded := make(chan error, 1)
	go func() {
		recorded <- h.fleet.StartDownload(context.WithoutCancel(r.Context()), device, digest, r.RemoteAddr)
	}()
	wait := time.NewTimer(startWait)
	defer wait.Stop()
	err := errors.New("storage does not answer")
	select {
	case err = <-recorded:
	case <-wait.C:
	}
	if err != nil {
		h.log.Error("native: start of a download not recorded", "device", device, "image", digest, "error", err)
	}
}

// writeObject answers with a small object, or 304 if the client has it.
func writeObject(w http.ResponseWriter, r *http.Request, contentType, cache string, hash manifest.Digest, raw []byte) {
	etag := tagOf(hash)
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", cache)
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	protocol.WriteBytes(w, http.StatusOK, contentType, raw)
}

func tagOf(hash manifest.Digest) string { return `"` + hash.String() + `"` }

// matches says whether an If-None-Match names the tag (RFC 9110 section
// 13.1.2: weak comparison).
func matches(headers []string, etag string) bool {
	for _, header := range headers {
		for candidate := range strings.SplitSeq(header, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == etag || candidate == "*" {
				return true
			}
		}
	}
	return false
}

// digestOf reads a path segment of 64 lower case hex digits. Anything else
// names no object.
func digestOf(r *http.Request, name string) (manifest.Digest, error) {
	digest, err := manifest.ParseDigest(r.PathValue(name))
	if err != nil {
		return digest, fmt.Errorf("%w: %w", errNotFound, err)
	}
	return digest, nil
}
