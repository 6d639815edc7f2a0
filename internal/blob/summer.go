package blob

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"sync"

	"github.com/secure-ota/secure-ota/manifest"
)

// lag is how many chunks MD5 and SHA-1 may be behind.
const lag = 8

// A summer computes all sums at once. MD5 alone takes longer than SHA-256 with
// hardware support, so the two old digests come in stages of their own behind
// it, and end while the disk syncs. Whoever makes one must stop it.
type summer struct {
	sha256, sha1, md5    hash.Hash
	size                 int64
	max                  int64 // bytes of the blob
	made                 int   // buffers
	toMD5, toSHA1, spare chan []byte
	stages               sync.WaitGroup
	stop                 func() // waits for what was added; nothing can be added any more
}

func newSummer(max int64) *summer {
	s := &summer{
		sha256: sha256.New(), sha1: sha1.New(), md5: md5.New(), max: max,
		// There are no more buffers than fit into one channel: no stage waits to hand one on.
		toMD5: make(chan []byte, lag), toSHA1: make(chan []byte, lag), spare: make(chan []byte, lag),
	}
	s.stages.Go(func() {
		defer close(s.toSHA1)
		for p := range s.toMD5 {
			s.md5.Write(p)
			s.toSHA1 <- p
		}
	})
	s.stages.Go(func() {
		for p := range s.toSHA1 {
			s.sha1.Write(p)
			s.spare <- p[:cap(p)]
		}
	})
	s.stop = sync.OnceFunc(func() {
		close(s.toMD5)
		s.stages.Wait()
	})
	return s
}

// buffer returns where to read what is to be added next. It waits while the
// old digests are too far behind.
func (s *summer) buffer() []byte {
	if s.made < lag && len(s.spare) == 0 {
		s.made++
		return newBuffer(s.max)
	}
	return <-s.spare
}

// add adds what was read into the last buffer, and calls also with it.
func (s *summer) add(p []byte, also func([]byte) error) error {
	s.toMD5 <- p // comes back through spare, which only the caller of add takes from
	s.sha256.Write(p)
	s.size += int64(len(p))
	return also(p)
}

// check compares what was added with what was announced. It need not wait for
// the old digests: nothing here trusts them.
func (s *summer) check(digest manifest.Digest, size int64) error {
	return Sums{SHA256: manifest.Digest(s.sha256.Sum(nil)), Size: s.size}.check(digest, size)
}

func (s *summer) sums() Sums {
	s.stop()
	sums := Sums{SHA256: manifest.Digest(s.sha256.Sum(nil)), Size: s.size}
	s.sha1.Sum(sums.SHA1[:0])
	s.md5.Sum(sums.MD5[:0])
	return sums
}
