package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"

	"bytes"
	"mime"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"berth/collector/redact"
)

// Answer is what a sink said when it did not take lines.
type Answer struct {
	// Status is that of HTTP.
	Status int
	// Text is the sink's explanation in one line, without secrets.
	Text string
	// RetryAfter is for how long the sink asks to be left alone, or zero.
	RetryAfter time.Duration
	// content is whether it is about what was sent: to send the same again is of
	// no use. S3's answers never are, whatever their status: it takes any bytes.
	content bool
}

func (a *Answer) Error() string {
	text := strings.TrimSpace(strconv.Itoa(a.Status) + " " + http.StatusText(a.Status))
	if a.Text != "" {
		text += ": " + a.Text
	}
	return text
}

// refusesSender reports a wrong key, or one without the right.
func (a *Answer) refusesSender() bool {
	return a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden
}

// answerOf finds the sink's answer in what an exporter returned. It returns nil
// when the sink did not answer at all.
func answerOf(err error) *Answer {
	if a, ok := errors.AsType[*Answer](err); ok {
		return a
	}
	// S3's refusals come from its client.
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		a := &Answer{Status: response.HTTPStatusCode()}
		if said, ok := errors.AsType[smithy.APIError](err); ok {
			a.Text = oneLine(said.ErrorCode() + ": " + said.ErrorMessage())
		}
		return a
	}
	return nil
}

// describe says in one line why a sink did not take lines.
func describe(err error) string {
	if a := answerOf(err); a != nil {
		return a.Error()
	}
	return oneLine(err.Error())
}

// oneLine makes of a sink's words something that can be shown: bounded, without
// line breaks and other controls, and without secrets.
func oneLine(text string) string {
	const longest = 300
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' }), " ")
	text = redact.Text(strings.ToValidUTF8(text, ""))
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// answers is an HTTP client middleware that makes an error of every answer but
// success. The published exporters know only their protocol's answers, and lose
// what others say; as this error each comes through them unchanged.
type answers struct{}

var _ extensionmiddleware.HTTPClient = answers{}

func (answers) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, next http.RoundTripper) (http.RoundTripper, error) {
		return roundTripper{next}, nil
	}, nil
}

type roundTripper struct{ next http.RoundTripper }

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		if part, ok := request.Context().Value(rejectionKey{}).(*rejection); ok {
			err = part.note(response)
		}
		return response, err
	}
	const most = 4 << 10
	// What could be read of an explanation is better than none.
	said, readErr := io.ReadAll(io.LimitReader(response.Body, most))
	if err := errors.Join(readErr, response.Body.Close()); err != nil && len(said) == 0 {
		said = fmt.Appendf(nil, "its explanation could not be read: %v", err)
	}
	return nil, &Answer{
		Status:     response.StatusCode,
		Text:       oneLine(string(said)),
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
		content:    isAboutContent(response.StatusCode),
	}
}

func isAboutContent(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

// retryAfter reads the header of RFC 9110, section 10.2.3.
func retryAfter(header string, now time.Time) time.Duration {
	const longest = time.Hour
	if seconds, err := strconv.Atoi(header); err == nil {
		return min(max(0, time.Duration(seconds)*time.Second), longest)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(0, at.Sub(now)), longest)
	}
	return 0
}

// rejection is a partial success: the sink took the lines but for some, of which it
// does not say which, and does not want any of them again. The published exporter
// takes that for a success.
// https://opentelemetry.io/docs/specs/otlp/#partial-success-1
type rejection struct {
	lines int
	text  string
}

func (r *rejection) Error() string { return r.text }

// rejectionKey is that of a rejection in the context of a request.
type rejectionKey struct{}

// note reads a successful answer, and leaves it to be read again.
func (r *rejection) note(response *http.Response) error {
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("read the sink's answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	answer := plogotlp.NewExportResponse()
	switch kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind {
	case "application/x-protobuf":
		err = answer.UnmarshalProto(body)
	case "application/json":
		err = answer.UnmarshalJSON(body)
	}
	if err != nil {
		// It took the lines, whatever else it says.
		return nil
	}
	part := answer.PartialSuccess()
	r.lines, r.text = int(part.RejectedLogRecords()), oneLine(part.ErrorMessage())
	return nil
}
