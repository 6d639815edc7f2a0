package s3

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An Object is one object, as the store describes it.
type Object struct {
	Key          string
	Size         int64 // bytes
	LastModified time.Time
}

// CheckBucket says whether the bucket exists and lets us in.
func (c *Client) CheckBucket(ctx context.Context) error {
	return c.discard(ctx, request{method: http.MethodHead})
}

// CreateBucket makes the bucket.
func (c *Client) CreateBucket(ctx context.Context) error {
	return c.discard(ctx, request{method: http.MethodPut})
}

// Head returns what there is to know of an object without reading it.
func (c *Client) Head(ctx context.Context, key string) (Object, error) {
	resp, err := c.do(ctx, request{method: http.MethodHead, key: key})
	if err != nil {
		return Object{}, err
	}
	defer drain(resp)
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil || resp.ContentLength < 0 {
		return Object{}, fmt.Errorf("S3: HEAD %s: an answer without size or time", key)
	}
	return Object{key, resp.ContentLength, modified}, nil
}

// Get reads an object from a byte on, to its end. Close the body.
func (c *Client) Get(ctx context.Context, key string, from int64) (body io.ReadCloser, err error) {
	r := request{method: http.MethodGet, key: key}
	if from > 0 {
		r.header = http.Header{"Range": {"bytes=" + strconv.FormatInt(from, 10) + "-"}}
	}
	resp, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if from > 0 && resp.StatusCode != http.StatusPartialContent {
		drain(resp)
		return nil, fmt.Errorf("S3: GET %s: the store knows no ranges", key)
	}
	return resp.Body, nil
}

// Put stores an object. Nobody sees a part of it.
func (c *Client) Put(ctx context.Context, key string, content []byte) error {
	return c.discard(ctx, request{method: http.MethodPut, key: key, body: content})
}

// Delete removes an object. One that is not there is removed already.
func (c *Client) Delete(ctx context.Context, key string) error {
	return c.discard(ctx, request{method: http.MethodDelete, key: key})
}

// List yields the objects whose keys begin with prefix, in the order of their
// keys.
func (c *Client) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		query := url.Values{"list-type": {"2"}, "prefix": {prefix}}
		for {
			var page struct {
				Contents              []Object
				IsTruncated           bool
				NextContinuationToken string
			}
			if err := c.read(ctx, request{method: http.MethodGet, query: query}, &page); err != nil {
				yield(Object{}, err)
				return
			}
			for _, object := range page.Contents {
				if !yield(object, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextContinuationToken == "" {
				return
			}
			query.Set("continuation-token", page.NextContinuationToken)
		}
	}
}

// read reads the answer to a request, which is XML.
func (c *Client) read(ctx context.Context, r request, into any) error {
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer drain(resp)
	if err := xml.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("S3: %s %s: read answer: %w", r.method, c.nameOf(r), err)
	}
	return nil
}
