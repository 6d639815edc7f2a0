package s3

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrCredentials means that there is no key to sign with.
var ErrCredentials = errors.New("no S3 credentials")

// Credentials are where the keys come from: AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or a file as AWS's tools write
// it, with the profile that AWS_PROFILE names.
type Credentials struct {
	file   string // empty: the environment
	chosen bool   // the file was named
	getenv func(string) string

	mu   sync.Mutex
	have secret
	read time.Time
}

// rereadAfter is how soon keys that were replaced in the file are used.
const rereadAfter = time.Minute

// NewCredentials returns credentials: from the file if one is named, otherwise
// from the environment, or from the file that AWS_SHARED_CREDENTIALS_FILE
// names, ~/.aws/credentials if none.
func NewCredentials(file string, getenv func(string) string) *Credentials {
	chosen := file != ""
	if file == "" && getenv("AWS_ACCESS_KEY_ID") == "" {
		file = getenv("AWS_SHARED_CREDENTIALS_FILE")
		if file == "" {
			file = filepath.Join(getenv("HOME"), ".aws", "credentials")
		}
	}
	return &Credentials{file: file, chosen: chosen, getenv: getenv}
}

// A secret signs requests.
type secret struct{ id, key, token string }

// String hides the keys.
func (secret) String() string { return "[S3 credentials]" }

// GoString hides the keys.
func (secret) GoString() string { return "[S3 credentials]" }

func (c *Credentials) get() (secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == "" {
		s := secret{c.getenv("AWS_ACCESS_KEY_ID"), c.getenv("AWS_SECRET_ACCESS_KEY"), c.getenv("AWS_SESSION_TOKEN")}
		return s, s.check("AWS_SECRET_ACCESS_KEY is not set")
	}
	if c.have != (secret{}) && time.Since(c.read) < rereadAfter {
		return c.have, nil
	}
	text, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) && !c.chosen {
		return secret{}, fmt.Errorf("%w: AWS_ACCESS_KEY_ID is not set, and there is no file %s", ErrCredentials, c.file)
	}
	if err != nil {
		return secret{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	s := parseCredentials(text, cmp.Or(c.getenv("AWS_PROFILE"), "default"))
	if err := s.check(c.file + " has no such profile with both keys"); err != nil {
		return secret{}, err
	}
	c.have, c.read = s, time.Now()
	return s, nil
}

func (s secret) check(words string) error {
	if s.id == "" || s.key == "" {
		return fmt.Errorf("%w: %s", ErrCredentials, words)
	}
	return nil
}

// parseCredentials reads one profile of a file: lines NAME = VALUE below
// [PROFILE].
func parseCredentials(text []byte, profile string) (s secret) {
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			inside = strings.TrimSpace(strings.Trim(line, "[]")) == profile
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !inside || !found {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			s.id = value
		case "aws_secret_access_key":
			s.key = value
		case "aws_session_token":
			s.token = value
		}
	}
	return s
}
