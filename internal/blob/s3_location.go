package blob

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// DefaultCache is how many bytes of the local disk copies of images take
// unless the location says otherwise.
const DefaultCache = 4 << 30

// s3Location is what a location s3://BUCKET/PREFIX?… says.
type s3Location struct {
	bucket, prefix string
	endpoint       *url.URL
	region         string
	credentials    string // empty: the environment, then the shared file; "iam"; or a file
	cache          int64  // bytes
}

// IsS3 reports whether a location of images names a bucket, and not a
// directory.
func IsS3(location string) bool { return strings.HasPrefix(location, "s3://") }

// parseS3 reads a location (docs/operations-storage.md). It holds no secret:
// those come from the environment or a file.
func parseS3(location string) (s3Location, error) {
	u, err := url.Parse(location)
	if err != nil {
		return s3Location{}, fmt.Errorf("location of images: %w", err)
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
	for _, name := range slices.Sorted(mapKeys(query)) {
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

func mapKeys(query url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range query {
			if !yield(name) {
				return
			}
		}
	}
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

// Limits of a conversation with the store. It fails soon where nobody answers,
// so that what is asked for next finds its way around it.
const (
	s3Dial    = 3 * time.Second
	s3Header  = 30 * time.Second // until the answer begins: a large upload is put together meanwhile
	s3Retries = 3
)

func (l s3Location) client() (*minio.Core, error) {
	dialer := &net.Dialer{Timeout: s3Dial, KeepAlive: 15 * time.Second}
	return minio.NewCore(l.endpoint.Host, &minio.Options{
		Creds: l.provider(), Secure: l.endpoint.Scheme == "https", Region: l.region, MaxRetries: s3Retries,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: s3Dial,
			ResponseHeaderTimeout: s3Header, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
			DisableCompression: true, // images are sent as they are
		},
	})
}

func (l s3Location) provider() *credentials.Credentials {
	switch l.credentials {
	case "":
		return credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}})
	case "iam":
		return credentials.NewIAM("")
	}
	return credentials.NewFileAWSCredentials(l.credentials, "")
}
