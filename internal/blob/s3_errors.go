package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/s3"
)

// explainS3 adds the sentinel that an error of the store stands for.
func explainS3(err error) error {
	sentinel := sentinelOfS3(err)
	if err == nil || sentinel == nil || errors.Is(err, sentinel) {
		return err
	}
	return fmt.Errorf("%w (%w)", sentinel, err)
}

func sentinelOfS3(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	var file *fs.PathError // of the credentials, for instance
	if errors.As(err, &file) {
		return nil
	}
	var said *s3.Error
	if !errors.As(err, &said) {
		var network net.Error // also of a deadline that passed
		if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrUnavailable
		}
		return nil
	}
	switch said.Code {
	case "NoSuchKey", "NotFound":
		return ErrNotFound
	case "NoSuchUpload", "InvalidPart", "InvalidPartOrder":
		return ErrNoUpload
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return fs.ErrPermission
	case "QuotaExceeded", "XMinioStorageFull", "XAdminBucketQuotaExceeded":
		return ErrFull
	case "NoSuchBucket":
		return errNoBucket
	}
	switch {
	case said.Status == http.StatusInsufficientStorage:
		return ErrFull
	case said.Status == http.StatusForbidden:
		return fs.ErrPermission
	case said.Status == http.StatusNotFound:
		return ErrNotFound
	case said.Status >= 500:
		return ErrUnavailable
	}
	return nil
}

// errNoBucket says that the bucket has to be made first.
var errNoBucket = errors.New("the bucket does not exist")
