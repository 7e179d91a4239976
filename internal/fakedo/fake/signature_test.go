package fake

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzChunks cuts any content into chunks and puts it together again, and reads
// anything at all without a panic.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("content"), 3)
	f.Add([]byte(""), 1)
	f.Add([]byte("5;chunk-signature=0\r\nab"), 1000)
	f.Add([]byte("-1\r\n"), 2)
	f.Fuzz(func(t *testing.T, content []byte, size int) {
		if _, _, err := copyChunks(io.Discard, bytes.NewReader(content)); err == nil && !bytes.Contains(content, []byte("0")) {
			t.Error("chunks without an end are whole")
		}
		size = max(1, size%1000)
		var body bytes.Buffer
		for rest := content; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			chunk := rest[:min(size, len(rest))]
			fmt.Fprintf(&body, "%x;chunk-signature=00\r\n%s\r\n", len(chunk), chunk)
		}
		body.WriteString("0;chunk-signature=00\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n")
		var got bytes.Buffer
		n, trailer, err := copyChunks(&got, &body)
		if err != nil || n != int64(len(content)) || !bytes.Equal(got.Bytes(), content) || trailer["x-amz-checksum-crc32c"] != "AAAAAA==" {
			t.Errorf("%d bytes come back as %d, with %v, %v", len(content), n, trailer, err)
		}
	})
}

// The example of Amazon's documentation, "GET Object".
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func TestSignatureOfTheDocumentation(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r, err := http.NewRequest(http.MethodGet, "http://examplebucket.s3.amazonaws.com/test.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes=0-9")
	r.Header.Set("X-Amz-Date", "20130524T000000Z")
	r.Header.Set("X-Amz-Content-Sha256", empty)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "+
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
	s, err := parseSignature(r)
	if err != nil {
		t.Fatal(err)
	}
	if s.accessKey != "AKIAIOSFODNN7EXAMPLE" || !s.verify(r, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY") {
		t.Errorf("the signature of %s is not taken", s.accessKey)
	}
	r.Header.Set("Range", "bytes=0-99")
	if s.verify(r, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY") {
		t.Error("the signature is taken for another request")
	}
	for _, header := range []string{"", "Basic x", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=", strings.Repeat("=,", 100)} {
		r.Header.Set("Authorization", header)
		if _, err := parseSignature(r); err == nil {
			t.Errorf("%q is taken for a signature", header)
		}
	}
}
