package s3

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The examples of AWS's own documentation of the signature.
func TestSignaturesAreThoseOfTheDocumentation(t *testing.T) {
	example := secret{id: "AKIAIOSFODNN7EXAMPLE", key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct {
		path   string
		query  url.Values
		header http.Header
		want   string
	}{
		{"/test.txt", nil, http.Header{"Range": {"bytes=0-9"}}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"/", url.Values{"lifecycle": {""}}, nil, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"/", url.Values{"max-keys": {"2"}, "prefix": {"J"}}, nil, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		req, err := http.NewRequest("GET", "https://examplebucket.s3.amazonaws.com"+c.path+"?"+encodeQuery(c.query), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range c.header {
			req.Header[name] = values
		}
		sign(req, example, "us-east-1", empty, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+c.want) {
			t.Errorf("%s %v: %s", c.path, c.query, got)
		}
	}
}

func TestEscapes(t *testing.T) {
	if got := encodePath("/b/ä +~/x=y"); got != "/b/%C3%A4%20%2B~/x%3Dy" {
		t.Error(got)
	}
}

func TestCredentialsComeFromTheEnvironmentOrAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[other]\naws_access_key_id=no\n\n[default]\n aws_access_key_id = id\naws_secret_access_key = k=ey\n# aws_session_token = x\n[prod]\naws_access_key_id=p\naws_secret_access_key=q\naws_session_token=t\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		file string
		env  func(string) string
		want secret
	}{
		"environment":  {"", env("AWS_ACCESS_KEY_ID", "a", "AWS_SECRET_ACCESS_KEY", "b", "AWS_SESSION_TOKEN", "c"), secret{"a", "b", "c"}},
		"file":         {file, env("AWS_ACCESS_KEY_ID", "a"), secret{"id", "k=ey", ""}},
		"profile":      {file, env("AWS_PROFILE", "prod"), secret{"p", "q", "t"}},
		"shared file":  {"", env("AWS_SHARED_CREDENTIALS_FILE", file), secret{"id", "k=ey", ""}},
		"no secret":    {"", env("AWS_ACCESS_KEY_ID", "a"), secret{}},
		"half profile": {file, env("AWS_PROFILE", "other"), secret{}},
		"no file":      {"", env("HOME", t.TempDir()), secret{}},
	} {
		got, err := NewCredentials(c.file, c.env).get()
		if c.want == (secret{}) {
			if !errors.Is(err, ErrCredentials) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
