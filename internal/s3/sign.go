package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// sign signs a request, version 4. All headers that it has are signed, and the
// hash of its body, in hex.
func sign(req *http.Request, secret secret, region, bodyHash string, now time.Time) {
	now = now.UTC()
	req.Header.Set("X-Amz-Date", now.Format(timeFormat))
	req.Header.Set("X-Amz-Content-Sha256", bodyHash)
	if secret.token != "" {
		req.Header.Set("X-Amz-Security-Token", secret.token)
	}
	headers, names := canonicalHeaders(req)
	canonical := strings.Join([]string{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, headers, names, bodyHash}, "\n")
	scope := strings.Join([]string{now.Format(dateFormat), region, "s3", "aws4_request"}, "/")
	sum := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", now.Format(timeFormat), scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret.key)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+secret.id+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(mac(key, toSign)))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalHeaders returns the headers as they are signed, and their names.
func canonicalHeaders(req *http.Request) (headers, names string) {
	lines := map[string]string{"host": req.URL.Host}
	for name, values := range req.Header {
		lines[strings.ToLower(name)] = strings.TrimSpace(strings.Join(values, ","))
	}
	var sorted []string
	for name := range lines {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + lines[name] + "\n")
	}
	return b.String(), strings.Join(sorted, ";")
}

// encodePath escapes all but what the signature leaves as it is; a slash stays.
func encodePath(path string) string {
	return strings.ReplaceAll(escape(path), "%2F", "/")
}

// encodeQuery encodes parameters in the order in which they are signed.
func encodeQuery(query url.Values) string {
	var parts []string
	for name, values := range query {
		for _, value := range values {
			parts = append(parts, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

// escape escapes everything but letters, digits, "-", ".", "_" and "~".
func escape(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return b.String()
}
