// Package s3test runs a real S3 server for tests and benchmarks: the gateway of
// local clusters, on a folder of its own and a free port of the loopback
// interface. Nothing of it is left afterwards.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The keys that the server knows: a pair that may do everything, and one that may do
// what a bucket's policy says.
const (
	AccessKey = "test"
	SecretKey = "test-secret-key"

	UserAccessKey = "user"
	UserSecretKey = "user-secret-key"
)

// A Server is a running S3 server.
type Server struct {
	// Address is host and port, without TLS.
	Address string
	// Folder holds a folder for each bucket.
	Folder string

	process *exec.Cmd
	exited  chan error
	client  *minio.Client
	buckets atomic.Int64
}

// Start compiles the server, unless it is in Go's cache, and starts it. The caller
// must call Stop.
func Start() (*Server, error) {
	folder, err := os.MkdirTemp("", "s3-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the S3 server: %w", err)
	}
	s := &Server{Folder: filepath.Join(folder, "buckets"), exited: make(chan error, 1)}
	if err := s.start(folder); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(folder string) error {
	module, err := kubeModule()
	if err != nil {
		return err
	}
	binary := filepath.Join(folder, "s3-gateway")
	build := exec.Command("go", "build", "-o", binary, "./cmd/s3-gateway")
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the S3 server: %w\n%s", err, output)
	}
	if err := os.Mkdir(s.Folder, 0o700); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	s.Address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	s.client, err = minio.New(s.Address, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		return err
	}

	var log bytes.Buffer
	process := exec.Command(binary, "--root", s.Folder, "--listen", s.Address)
	process.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+AccessKey, "AWS_SECRET_ACCESS_KEY="+SecretKey,
		"USER_ACCESS_KEY_ID="+UserAccessKey, "USER_SECRET_ACCESS_KEY="+UserSecretKey)
	process.Stdout, process.Stderr = &log, &log
	// Should the test be killed, the kernel stops the server.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start the S3 server: %w", err)
	}
	s.process = process
	go func() { s.exited <- process.Wait() }()
	for deadline := time.Now().Add(30 * time.Second); ; {
		connection, err := net.Dial("tcp", s.Address)
		if err == nil {
			return connection.Close()
		}
		select {
		case exit := <-s.exited:
			s.process = nil
			return fmt.Errorf("the S3 server ended: %w\n%s", exit, log.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the S3 server does not answer: %w", err)
		}
	}
}

// kubeModule finds the module that has the server: go test runs in a folder of
// the repository, and tells nothing else of it where paths are trimmed.
func kubeModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		module := filepath.Join(dir, "kube")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("compile the S3 server: kube/ is in no folder above this test's")
		}
	}
}

// PID is the number of the server's process.
func (s *Server) PID() int { return s.process.Process.Pid }

// CreateBucket makes a new bucket and returns its name.
func (s *Server) CreateBucket(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test-%d", s.buckets.Add(1))
	if err := s.client.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err != nil {
		return "", fmt.Errorf("make bucket %s: %w", name, err)
	}
	return name, nil
}

// Bucket returns the name of a new bucket.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name, err := s.CreateBucket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	var err error
	if s.process != nil {
		if err = s.process.Process.Signal(syscall.SIGTERM); err == nil {
			<-s.exited
		}
	}
	return errors.Join(err, os.RemoveAll(filepath.Dir(s.Folder)))
}
