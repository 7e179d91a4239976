package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// aggregator is an HTTP sink: it takes frames, and OTLP.
type aggregator struct {
	t       testing.TB
	address string
	server  *http.Server
	done    chan struct{}

	mu sync.Mutex
	// answer, if set, is asked before a request is taken: a status other than 200
	// refuses it.
	answer func(*http.Request, []byte) (status int, text string)
	// partial is how many lines of a request of OTLP it says that it refuses.
	partial int64
	// blind takes everything unread.
	blind bool
	// retryAfter is the header of refusals.
	retryAfter string
	// messages counts the lines that were taken, by their bodies.
	messages map[string]int
	// records are those of OTLP.
	records []received
	// frames are the lines of frames, as they came.
	frames []string
	// raw is all that was sent, and largest the size of the largest request of
	// frames.
	raw     bytes.Buffer
	largest int
}

// received is a record with its resource.
type received struct {
	plog.LogRecord
	resource map[string]any
}

func newAggregator(t testing.TB) *aggregator {
	a := &aggregator{t: t, address: freeAddress(t), messages: map[string]int{}}
	t.Cleanup(a.close)
	return a
}

// open begins to take connections, and close ends it: a sink that is away.
func (a *aggregator) open() *aggregator {
	a.t.Helper()
	listener, err := net.Listen("tcp", a.address)
	if err != nil {
		a.t.Fatal(err)
	}
	a.server, a.done = &http.Server{Handler: http.HandlerFunc(a.take)}, make(chan struct{})
	go func(server *http.Server, done chan struct{}) {
		defer close(done)
		if err := server.Serve(listener); err != http.ErrServerClosed {
			a.t.Error(err)
		}
	}(a.server, a.done)
	return a
}

func (a *aggregator) close() {
	if a.server == nil {
		return
	}
	if err := a.server.Close(); err != nil {
		a.t.Error(err)
	}
	<-a.done
	a.server = nil
}

func (a *aggregator) take(w http.ResponseWriter, r *http.Request) {
	if a.blind {
		_, _ = io.Copy(io.Discard, r.Body) // Who sent it may have been killed.
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // Who sent it was killed.
	}
	sent := len(body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body = unzip(a.t, body)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raw.Write(body)
	if a.answer != nil {
		if status, text := a.answer(r, body); status != http.StatusOK {
			if a.retryAfter != "" {
				w.Header().Set("Retry-After", a.retryAfter)
			}
			http.Error(w, text, status)
			return
		}
	}
	switch r.URL.Path {
	case "/v1/logs":
		a.takeOTLP(body)
		if a.partial > 0 {
			answer := plogotlp.NewExportResponse()
			answer.PartialSuccess().SetRejectedLogRecords(a.partial)
			answer.PartialSuccess().SetErrorMessage("too old")
			text, err := answer.MarshalProto()
			if err != nil {
				a.t.Error(err)
			}
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write(text) // Who sent it may have been killed.
		}
	case "/sources/source-1/frames":
		a.largest = max(a.largest, sent)
		a.takeFrames(r, body)
	default:
		a.t.Errorf("a request for %s", r.URL.Path)
	}
}

func (a *aggregator) takeOTLP(body []byte) {
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		a.t.Error(err)
		return
	}
	for _, r := range recordsOf(request.Logs()) {
		a.records = append(a.records, r)
		a.messages[r.Body().AsString()]++
	}
}

func (a *aggregator) takeFrames(r *http.Request, body []byte) {
	if got := r.Header.Get("Content-Type"); got != "application/x-ndjson" {
		a.t.Errorf("frames come as %s", got)
	}
	for _, frame := range framesOf(a.t, body) {
		a.messages[frame.message]++
		a.frames = append(a.frames, frame.text)
	}
}

func recordsOf(logs plog.Logs) []received {
	var all []received
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				all = append(all, received{record, resource.Resource().Attributes().AsRaw()})
			}
		}
	}
	return all
}

// has reports whether a line was taken, and lines how many different ones.
func (a *aggregator) has(message string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.messages[message] > 0
}

func (a *aggregator) lines() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.messages)
}

// answers sets what requests are told from now on.
func (a *aggregator) answers(answer func(*http.Request, []byte) (int, string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// asFrames and asOTLP are the settings of sinks at an aggregator.
func (a *aggregator) asFrames() map[string]any {
	return map[string]any{"endpoint": "http://" + a.address, "source_id": "source-1", "api_key": "key-of-the-source"}
}

func (a *aggregator) asOTLP() map[string]any {
	return map[string]any{"endpoint": "http://" + a.address, "source_id": "source-1", "api_key": "key-of-the-source"}
}

func unzip(t testing.TB, data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return text
}

// The S3 server of local clusters, on one folder for all tests.
var gateway struct {
	once    sync.Once
	err     error
	process *exec.Cmd
	address string
	// buckets counts those that were made.
	buckets atomic.Int64
}

const accessKey, secretKey = "test", "test-secret-key"

// bucket makes a bucket and returns the settings of a sink for it, and where
// its objects are.
func bucket(t testing.TB) (settings map[string]any, folder string) {
	t.Helper()
	gateway.once.Do(func() { gateway.err = startGateway(freeAddress(t)) })
	if gateway.err != nil {
		t.Fatal(gateway.err)
	}
	name := fmt.Sprintf("test-%d", gateway.buckets.Add(1))
	folder = filepath.Join(scratch, "buckets", name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"s3uploader": map[string]any{"endpoint": "http://" + gateway.address, "s3_bucket": name}}, folder
}

func startGateway(address string) error {
	gateway.address = address
	path := filepath.Join(scratch, "s3-gateway")
	build := exec.Command("go", "build", "-o", path, "./cmd/s3-gateway")
	build.Dir = filepath.Join("..", "kube")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the S3 server: %w\n%s", err, output)
	}
	buckets := filepath.Join(scratch, "buckets")
	if err := os.Mkdir(buckets, 0o700); err != nil {
		return err
	}
	process := exec.Command(path, "--root", buckets, "--listen", address)
	process.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start the S3 server: %w", err)
	}
	gateway.process = process
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("the S3 server does not answer: %w", err)
		}
	}
}

func stopGateway() {
	if gateway.process != nil {
		if err := gateway.process.Process.Kill(); err == nil {
			_ = gateway.process.Wait() // It was killed: that is what it says.
		}
	}
}

// archived reads the frames that are in a bucket, by the names of their objects.
func archived(t testing.TB, folder string) map[string][]frame {
	t.Helper()
	found := map[string][]frame{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		// The server's own folders begin with a dot.
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".json.gz") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		found[name] = framesOf(t, unzip(t, data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// frame is a line of JSON, and what of it is looked for.
type frame struct{ text, message string }

func framesOf(t testing.TB, data []byte) []frame {
	var all []frame
	for line := range bytes.Lines(data) {
		var f struct{ DT, Message string }
		if err := json.Unmarshal(line, &f); err != nil || f.DT == "" {
			t.Errorf("%v in %.200s", err, line)
		}
		all = append(all, frame{string(line), f.Message})
	}
	return all
}
