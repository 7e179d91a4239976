package bucket

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"berth/internal/fault"
)

var (
	// ErrNotFound is in the chain when there is no such object.
	ErrNotFound = errors.New("there is no such object")
	// ErrNoBucket is in the chain when the bucket does not exist.
	ErrNoBucket = errors.New("there is no such bucket")
	// ErrKeys is in the chain when the bucket does not accept the keys.
	ErrKeys = errors.New("the bucket refuses the key")
	// ErrDenied is in the chain when it accepts them, but not for this.
	ErrDenied = errors.New("the bucket's key may not do this")
	// ErrFull is in the chain when the bucket takes no more.
	ErrFull = errors.New("the bucket is full")
	// ErrClock is in the chain when this machine's clock is wrong.
	ErrClock = errors.New("this machine's clock and the bucket's differ by more than a quarter of an hour")
	// ErrUnsupported is in the chain when the store does not offer what was asked.
	ErrUnsupported = errors.New("the bucket's store does not offer this")
	// ErrUnreachable is in the chain when there was no answer.
	ErrUnreachable = errors.New("the bucket cannot be reached")
	// ErrNotS3 is in the chain when what answers at the endpoint does not speak S3.
	ErrNotS3 = errors.New("what answers at the bucket's endpoint is not S3")
	// ErrArchived is in the chain when an object must be fetched out of an archive first.
	ErrArchived = errors.New("the object was moved to an archive, perhaps by a lifecycle rule")
	// ErrChanged is in the chain when an object was replaced while it was read.
	ErrChanged = errors.New("the object was replaced while it was read")
)

// kinds are the codes of S3's errors, and of its stores' own, by what they mean.
var kinds = []struct {
	err   error
	codes []string
}{
	{ErrNotFound, []string{"NoSuchKey"}},
	{ErrNoBucket, []string{"NoSuchBucket"}},
	{ErrKeys, []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "ExpiredTokenException",
		"TokenRefreshRequired", "InvalidClientTokenId", "InvalidSecurity", "Unauthorized", "UnauthorizedAccess", "NotSignedUp"}},
	{ErrDenied, []string{"AccessDenied", "AllAccessDisabled", "AccountProblem", "MethodNotAllowed", "Forbidden", "UserSuspended"}},
	{ErrArchived, []string{"InvalidObjectState"}},
	{ErrFull, []string{"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "StorageQuotaExceeded"}},
	{ErrClock, []string{"RequestTimeTooSkewed"}},
	{ErrUnsupported, []string{"NotImplemented", "XNotImplemented"}},
}

// transient are codes that pass, whatever the status says. What a checksum does not fit
// to, or is not all there, was spoilt on its way.
var transient = []string{"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable",
	"OperationAborted", "ConditionalRequestConflict", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}

// kindOf returns what an answer means, or nil.
func kindOf(answer minio.ErrorResponse) error {
	for _, kind := range kinds {
		if slices.Contains(kind.codes, answer.Code) {
			return kind.err
		}
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		return ErrKeys
	case http.StatusInsufficientStorage:
		return ErrFull
	case http.StatusNotImplemented:
		return ErrUnsupported
	}
	return nil
}

// permanent reports whether the bucket has refused, rather than failed.
func permanent(err error) bool {
	if errors.Is(err, ErrChanged) {
		return true
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return notTrusted(err)
	}
	switch {
	case slices.Contains(transient, answer.Code):
		return false
	case kindOf(answer) != nil:
		return true
	case slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}, answer.StatusCode):
		return false
	}
	return answer.StatusCode >= 300 && answer.StatusCode < 500
}

// notTrusted reports whether TLS is what cannot be agreed on.
func notTrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// explain says what an error means, and what to do about it.
func (b *Bucket) explain(err error) error {
	var answer minio.ErrorResponse
	var network net.Error
	hints := b.options.Hints
	switch {
	case errors.As(err, &answer):
		kind := kindOf(answer)
		if strings.Contains(answer.Message, "<") {
			answer.Message = answer.Code // A page of HTML, of what stands between, is no line.
			err = answer
		}
		if kind != nil {
			err = fmt.Errorf("%w (%s): %w", kind, answer.Code, err)
		}
		switch {
		case answer.Region != "" && answer.StatusCode < 500 && kind == nil && answer.Region != b.options.Region:
			return hinted(fmt.Errorf("bucket %s is in another region: %w", b.options.Name, err), "set the bucket's region to "+answer.Region+", and an endpoint of it")
		case kind == ErrKeys:
			return hinted(err, hints.Keys)
		case kind == ErrDenied:
			return hinted(err, hints.Denied)
		case kind == ErrNoBucket:
			return hinted(err, hints.Name)
		case kind == ErrFull:
			return hinted(err, "make room in bucket "+b.options.Name+", or raise its quota")
		case kind == ErrClock:
			return hinted(err, "set this machine's clock")
		case kind == ErrArchived:
			return hinted(err, "restore it from the archive at the store, and except backups from the lifecycle rule")
		case answer.StatusCode == http.StatusRequestEntityTooLarge:
			return hinted(err, "let what stands before the bucket take bodies of 600 MB: of NGINX it is client_max_body_size")
		case answer.StatusCode/100 == 3:
			return hinted(fmt.Errorf("bucket %s is at another endpoint: %w", b.options.Name, err), hints.Endpoint)
		}
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return hinted(fmt.Errorf("%w: %w", ErrUnreachable, err), hints.Endpoint)
	case errors.Is(err, ErrNotS3):
		return hinted(err, hints.Endpoint)
	case unread(err):
		return hinted(fmt.Errorf("%w: %w", ErrNotS3, err), hints.Endpoint)
	}
	return err
}

// unread reports whether an answer of success was not what S3 answers.
func unread(err error) bool {
	var syntax *xml.SyntaxError
	var other xml.UnmarshalError
	return errors.As(err, &syntax) || errors.As(err, &other) || errors.Is(err, io.EOF)
}

func hinted(err error, hint string) error {
	if hint == "" {
		return err
	}
	return fault.WithHint(err, "%s", hint)
}

// codeOf is the code of the bucket's answer, or "".
func codeOf(err error) string {
	var answer minio.ErrorResponse
	_ = errors.As(err, &answer) // without one it stays empty
	return answer.Code
}
