package blob

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/s3"
)

// DefaultCache is how many bytes of the local disk copies of images take
// unless the location says otherwise.
const DefaultCache = 4 << 30

// s3Location is what a location s3://BUCKET/PREFIX?… says.
type s3Location struct {
	bucket, prefix string
	endpoint       *url.URL
	region         string
	credentials    string // a file; empty: the environment, then the shared file
	cache          int64  // bytes
}

// IsS3 reports whether a location of images names a bucket, and not a
// directory.
func IsS3(location string) bool { return strings.HasPrefix(location, "s3://") }

// parseS3 reads a location (docs/operations-storage.md). It holds no secret:
// those come from the environment or a file.
func parseS3(location string) (s3Location, error) {
	u, err := url.Parse(location)
	if err != nil { // its words would repeat the location, and with it a secret that does not belong there
		return s3Location{}, errors.New("location of images: not a URL: want s3://BUCKET/PREFIX?endpoint=URL&region=REGION; credentials do not belong there")
	}
	if u.User != nil {
		return s3Location{}, fmt.Errorf("location s3://%s: credentials do not belong there, but into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a file: ?credentials=FILE", u.Host)
	}
	l := s3Location{bucket: u.Host, prefix: strings.Trim(path.Clean("/"+u.Path), "/"), cache: DefaultCache, region: "us-east-1"}
	if l.bucket == "" || u.Fragment != "" {
		return s3Location{}, fmt.Errorf("location %s: want s3://BUCKET/PREFIX?endpoint=URL&region=REGION", location)
	}
	if l.prefix != "" {
		l.prefix += "/"
	}
	query := u.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		value := query.Get(name)
		switch name {
		case "endpoint":
			l.endpoint, err = parseEndpoint(value)
		case "region":
			l.region = value
		case "credentials":
			l.credentials = value
		case "cache_mib":
			l.cache, err = parseCache(value)
		default:
			err = fmt.Errorf("%q is not known: want endpoint, region, credentials or cache_mib", name)
		}
		if err != nil {
			return s3Location{}, fmt.Errorf("location %s: %w", location, err)
		}
	}
	if l.endpoint == nil {
		l.endpoint = &url.URL{Scheme: "https", Host: "s3." + l.region + ".amazonaws.com"}
	}
	return l, nil
}

func parseEndpoint(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q: want https://HOST or http://HOST:PORT", value)
	}
	return u, nil
}

func parseCache(value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("cache_mib %q: want a number of MiB, 0 for none", value)
	}
	return n << 20, nil
}

func (l s3Location) client(stall time.Duration) *s3.Client {
	return s3.New(s3.Config{
		Endpoint: l.endpoint, Region: l.region, Bucket: l.bucket, Credentials: s3.NewCredentials(l.credentials, os.Getenv), Stall: stall,
	})
}
