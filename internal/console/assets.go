package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"

	"github.com/secure-ota/secure-ota/internal/protocol"
)

//go:embed static templates
var files embed.FS

// An asset is a file that pages refer to. Its URL names its content, so that
// browsers keep it for good.
type asset struct {
	tag, mediaType string
	body, gzipped  []byte
}

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// loadAssets reads what is embedded. That cannot fail in a program that a test
// has started once.
func loadAssets() map[string]asset {
	entries, err := files.ReadDir("static")
	if err != nil {
		panic(err)
	}
	assets := map[string]asset{}
	for _, e := range entries {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		assets[e.Name()] = asset{hex.EncodeToString(sum[:4]), mediaTypes[path.Ext(e.Name())], body, compress(body)}
	}
	return assets
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil { // a buffer takes everything
		panic(err)
	}
	return b.Bytes()
}

func assetURL(assets map[string]asset, name string) string {
	return "/static/" + assets[name].tag + "/" + name
}

// serveAsset also answers for another tag, uncached: during an upgrade a page
// of a newer replica asks an older one.
func (h *Handler) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := h.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if a.tag == r.PathValue("tag") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Vary", "Accept-Encoding")
	body := a.body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = a.gzipped
	}
	protocol.WriteBytes(w, http.StatusOK, a.mediaType, body)
}
