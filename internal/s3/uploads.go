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

// An Upload is a multipart upload that is not complete.
type Upload struct {
	Key       string
	UploadID  string `xml:"UploadId"`
	Initiated time.Time
}

// CreateUpload begins a multipart upload of an object and returns its id.
func (c *Client) CreateUpload(ctx context.Context, key string) (id string, err error) {
	var answer struct {
		UploadID string `xml:"UploadId"`
	}
	err = c.read(ctx, request{method: http.MethodPost, key: key, query: url.Values{"uploads": {""}}}, &answer)
	if err == nil && answer.UploadID == "" {
		err = fmt.Errorf("S3: begin upload of %s: an answer without an id", key)
	}
	return answer.UploadID, err
}

// PutPart stores a part, from 1, and returns its tag.
func (c *Client) PutPart(ctx context.Context, key, id string, part int, content []byte) (etag string, err error) {
	resp, err := c.do(ctx, request{method: http.MethodPut, key: key, body: content, query: url.Values{"uploadId": {id}, "partNumber": {strconv.Itoa(part)}}})
	if err != nil {
		return "", err
	}
	defer drain(resp)
	if etag = resp.Header.Get("Etag"); etag == "" {
		return "", fmt.Errorf("S3: part %d of %s: an answer without a tag", part, key)
	}
	return etag, nil
}

type completedPart struct {
	PartNumber int
	ETag       string
}

// CompleteUpload makes an object of the parts with these tags, in order.
func (c *Client) CompleteUpload(ctx context.Context, key, id string, etags []string) error {
	var list struct {
		XMLName xml.Name        `xml:"CompleteMultipartUpload"`
		Parts   []completedPart `xml:"Part"`
	}
	for i, etag := range etags {
		list.Parts = append(list.Parts, completedPart{i + 1, etag})
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, request{method: http.MethodPost, key: key, body: body, query: url.Values{"uploadId": {id}}, answer: joinTimeout})
	if err != nil {
		return err
	}
	defer drain(resp)
	// The status came before the work was done: a failure can stand in the body.
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("S3: complete upload of %s: %w", key, err)
	}
	var answer struct {
		XMLName xml.Name
		Error
	}
	if err := xml.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("S3: complete upload of %s: %w", key, err)
	}
	if answer.XMLName.Local == "Error" {
		answer.Error.Status = http.StatusInternalServerError
		return fmt.Errorf("S3: complete upload of %s: %w", key, &answer.Error)
	}
	return nil
}

// AbortUpload discards a multipart upload and its parts.
func (c *Client) AbortUpload(ctx context.Context, key, id string) error {
	return c.discard(ctx, request{method: http.MethodDelete, key: key, query: url.Values{"uploadId": {id}}})
}

// Uploads yields the multipart uploads of objects whose keys begin with prefix
// that are not complete.
func (c *Client) Uploads(ctx context.Context, prefix string) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		query := url.Values{"uploads": {""}, "prefix": {prefix}}
		for {
			var page struct {
				Uploads            []Upload `xml:"Upload"`
				IsTruncated        bool
				NextKeyMarker      string
				NextUploadIDMarker string `xml:"NextUploadIdMarker"`
			}
			if err := c.read(ctx, request{method: http.MethodGet, query: query}, &page); err != nil {
				yield(Upload{}, err)
				return
			}
			for _, upload := range page.Uploads {
				if !yield(upload, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextKeyMarker == "" {
				return
			}
			query.Set("key-marker", page.NextKeyMarker)
			query.Set("upload-id-marker", page.NextUploadIDMarker)
		}
	}
}
