package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/secure-ota/secure-ota/client"
)

// How fast an image comes, by the size of the pieces that a device has room
// for: the line of a real part is slower than all of this.
func BenchmarkImage(b *testing.B) {
	image := firmware(256 << 10)
	server := httptest.NewServer(http.HandlerFunc(serveImage(image)))
	defer server.Close()
	for _, piece := range []uint32{256, 1024, 4096} {
		b.Run(fmt.Sprintf("%d bytes", piece), func(b *testing.B) {
			g, _ := newGateway(b, client.Server{URL: server.URL})
			d := newDevice(b, connect(b, g, func(p io.ReadWriteCloser) io.ReadWriteCloser { return p }))
			q := anImage
			q.Most = piece
			b.SetBytes(int64(piece))
			for b.Loop() {
				d.must(q, statusDone) // from the window: the gateway, not the server
			}
		})
	}
}
