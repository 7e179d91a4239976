package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"berth/internal/bucket"
	"berth/internal/fault"
)

// SealedName returns the name of a file once it is sealed, that is compressed and
// possibly encrypted.
func (j *Job) SealedName(name string) string {
	if len(j.Recipients) > 0 {
		return name + ".zst.age"
	}
	return name + ".zst"
}

// SealBytes seals data that is small enough for memory.
func (j *Job) SealBytes(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := j.seal(&out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// seal compresses and, with recipients, encrypts what is written to it.
func (j *Job) seal(w io.Writer) (io.WriteCloser, error) {
	var closers closers
	if len(j.Recipients) > 0 {
		encrypted, err := age.Encrypt(w, j.Recipients...)
		if err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		closers = append(closers, encrypted)
		w = encrypted
	}
	// One core compresses faster than pg_dump writes, and does so with two thirds
	// of the work that sharing it between two takes: what one has matched is still
	// in its cache. At this level a window larger than that finds no more.
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(512<<10),
		zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return struct {
		io.Writer
		io.Closer
	}{compressed, append(closers, compressed)}, nil
}

// closers closes the last one first.
type closers []io.Closer

func (c closers) Close() error {
	for i := len(c) - 1; i >= 0; i-- {
		if err := c[i].Close(); err != nil {
			return err
		}
	}
	return nil
}

// sealed is the plain content of an object, checked as it is read: its end,
// io.EOF, comes only if the whole object had the manifest's size and checksum.
type sealed struct {
	io.Reader
	body *checked
	zstd *zstd.Decoder
}

func (s *sealed) Close() error {
	s.zstd.Close()
	return s.body.Close()
}

// Open opens an object of a backup: its plain content. Without a checksum in o only
// what zstd and age notice is noticed.
func (j *Job) Open(ctx context.Context, o Object) (io.ReadCloser, error) {
	body, err := j.Bucket.Open(ctx, o.Name)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	source := &checked{ReadCloser: body, want: o, hash: sha256.New()}
	var plain io.Reader = source
	if strings.HasSuffix(o.Name, ".age") {
		if plain, err = j.decrypt(source); err != nil {
			if source.network != nil {
				err = source.network
			}
			return nil, errors.Join(fmt.Errorf("decrypt %s: %w", o.Name, err), body.Close())
		}
	}
	decoder, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1)) // as with compressing
	if err != nil {
		return nil, errors.Join(fmt.Errorf("decompress %s: %w", o.Name, err), body.Close())
	}
	return &sealed{Reader: &judged{decoder, source}, body: source, zstd: decoder}, nil
}

func (j *Job) decrypt(source io.Reader) (io.Reader, error) {
	if len(j.Identities) == 0 {
		return nil, fault.WithHint(errors.New("it is encrypted and there is no key"), "name the file of the age identity: --identity FILE")
	}
	plain, err := age.Decrypt(source, j.Identities...)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, fault.WithHint(errors.New("the key does not match: the backup was encrypted for another one"), "the manifest names the recipients")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return plain, nil
}

// checked compares an object with its manifest as it is read.
type checked struct {
	io.ReadCloser
	want  Object
	hash  hash.Hash
	bytes int64
	// network is an error of the connection, which says nothing of the object.
	network error
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.hash.Write(p[:n])
	c.bytes += int64(n)
	if err != nil && err != io.EOF {
		c.network = err
	}
	return n, err
}

// judge reads what is left and tells whether it was all of it.
func (c *checked) judge() error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return fmt.Errorf("read %s: %w", c.want.Name, err)
	}
	if c.want.SHA256 == "" {
		return nil
	}
	if c.bytes != c.want.Bytes {
		return fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, c.want.Name, c.bytes, c.want.Bytes)
	}
	if sum := hex.EncodeToString(c.hash.Sum(nil)); sum != c.want.SHA256 {
		return fmt.Errorf("%w: the checksum of %s is %s, want %s", ErrDamaged, c.want.Name, sum, c.want.SHA256)
	}
	return nil
}

// judged reads the plain content and ends it with the object's judgement.
type judged struct {
	io.Reader
	source *checked
}

func (r *judged) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == nil {
		return n, nil
	}
	if judgement := r.source.judge(); judgement != nil {
		return n, judgement
	}
	if err != io.EOF && r.source.network == nil {
		err = fmt.Errorf("%w: %s: %w", ErrDamaged, r.source.want.Name, err)
	}
	return n, err
}
