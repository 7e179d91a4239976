package fake

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// signature is a request's signature of version 4, in its Authorization header.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
type signature struct {
	accessKey string
	// scope is date/region/service/aws4_request.
	scope   string
	headers []string
	value   string
}

func parseSignature(r *http.Request) (*signature, error) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return nil, errors.New("the request is not signed by a header of version 4")
	}
	var s signature
	for _, field := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			s.accessKey, s.scope, _ = strings.Cut(value, "/")
		case "SignedHeaders":
			s.headers = strings.Split(value, ";")
		case "Signature":
			s.value = value
		}
	}
	if strings.Count(s.scope, "/") != 3 || !slices.Contains(s.headers, "host") {
		return nil, errors.New("the signature is malformed")
	}
	return &s, nil
}

// verify reports whether the holder of the secret signed the request.
func (s *signature) verify(r *http.Request, secret string) bool {
	var headers strings.Builder
	for _, name := range s.headers {
		var value string
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		default:
			values := slices.Clone(r.Header.Values(name))
			for i := range values {
				values[i] = strings.Join(strings.Fields(values[i]), " ")
			}
			value = strings.Join(values, ",")
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	canonical := strings.Join([]string{
		r.Method, escapeAWS(r.URL.Path, true), canonicalQuery(r.URL.Query()), headers.String(),
		strings.Join(s.headers, ";"), r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), s.scope, hex.EncodeToString(hash[:])}, "\n")

	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(s.scope, "/") {
		key = sum(key, part)
	}
	return hmac.Equal([]byte(hex.EncodeToString(sum(key, text))), []byte(s.value))
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, escapeAWS(name, false)+"="+escapeAWS(value, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escapeAWS escapes all but the unreserved characters of RFC 3986.
func escapeAWS(text string, keepSlash bool) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || keepSlash && c == '/' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// unchunk turns a body of chunks, each signed with a key that the server behind
// does not know, into a plain one. The checksum that comes after the last chunk
// has to go before the body then, so this is written to a file first. The caller
// must close the result once the request is done.
func unchunk(r *http.Request) (io.Closer, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.NopCloser(nil), nil
	}
	file, err := os.CreateTemp("", "spaces-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	hash := sha256.New()
	size, trailer, err := copyChunks(io.MultiWriter(file, hash), r.Body)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	for name, value := range trailer {
		if name != "x-amz-trailer-signature" {
			r.Header.Set(name, value)
		}
	}
	r.Header.Del("X-Amz-Trailer")
	r.Header.Del("X-Amz-Decoded-Content-Length")
	encodings := slices.DeleteFunc(strings.Split(r.Header.Get("Content-Encoding"), ","), func(e string) bool {
		return strings.TrimSpace(e) == "aws-chunked" || e == ""
	})
	if len(encodings) == 0 {
		r.Header.Del("Content-Encoding")
	} else {
		r.Header.Set("Content-Encoding", strings.Join(encodings, ","))
	}
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(hash.Sum(nil)))
	r.Body, r.ContentLength = io.NopCloser(file), size
	return file, nil
}

// readPayload reads the whole of a small body.
func readPayload(r *http.Request) ([]byte, error) {
	payload, err := unchunk(r)
	if err != nil {
		return nil, err
	}
	defer payload.Close()
	return io.ReadAll(io.LimitReader(r.Body, 1<<20))
}

// copyChunks decodes chunks: "SIZE;chunk-signature=…\r\nDATA\r\n" up to one of size
// 0, then "name:value\r\n" for each trailer.
func copyChunks(w io.Writer, body io.Reader) (size int64, trailer map[string]string, err error) {
	r := bufio.NewReader(body)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return size, nil, fmt.Errorf("read a chunk's header: %w", err)
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(digits, 16, 64)
		if err != nil || n < 0 {
			return size, nil, fmt.Errorf("a chunk has no size")
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(w, r, n); err != nil {
			return size, nil, fmt.Errorf("read a chunk: %w", err)
		}
		size += n
		if _, err := r.Discard(len("\r\n")); err != nil {
			return size, nil, fmt.Errorf("read a chunk's end: %w", err)
		}
	}
	trailer = map[string]string{}
	for {
		line, err := r.ReadString('\n')
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			trailer[strings.ToLower(name)] = value
		}
		if errors.Is(err, io.EOF) {
			return size, trailer, nil
		}
		if err != nil {
			return size, nil, fmt.Errorf("read what follows the chunks: %w", err)
		}
	}
}
