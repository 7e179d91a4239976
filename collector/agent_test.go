package main

import (
	"bytes"
	"encoding/json"
	"errors"
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
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"berth/collector/sink"
)

// scratch is a folder for all tests.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "collector-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		defer stopGateway()
		return m.Run()
	}())
}

// binary compiles the collector, as it is shipped.
var binary = sync.OnceValues(func() (string, error) {
	// Go keeps the results of tests as long as the files that they looked at are
	// the same, and does not know what they compile: so they look at it all.
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "collector")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the collector: %w\n%s", err, output)
	}
	return path, nil
})

// node is what an agent finds on its node: folders for logs and for its state,
// and its configuration.
type node struct {
	t             testing.TB
	logs, state   string
	config        string
	status, meter string
	environment   []string
	output        output
	process       *exec.Cmd
}

// newNode configures an agent as the chart does, on addresses and folders of the
// test's own. It has the sinks that are given, and none of the chart's.
func newNode(t testing.TB, sinks map[string]map[string]any, change ...func(config map[string]any)) *node {
	t.Helper()
	folder := t.TempDir()
	n := &node{
		t: t, logs: filepath.Join(folder, "pods"), state: filepath.Join(folder, "state"),
		config: filepath.Join(folder, "config.yaml"), status: freeAddress(t), meter: freeAddress(t),
	}
	for _, folder := range []string{n.logs, n.state} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := chartConfig(t)
	at(config, "receivers", "container_log")["folder"] = n.logs
	storage := at(config, "extensions", "file_storage")
	storage["directory"] = n.state
	at(storage, "compaction")["directory"] = n.state
	at(config, "extensions", "health_check")["endpoint"] = freeAddress(t)
	at(config, "extensions", "sink_status")["endpoint"] = n.status
	host, port, err := net.SplitHostPort(n.meter)
	if err != nil {
		t.Fatal(err)
	}
	reader := at(config, "service", "telemetry", "metrics")["readers"].([]any)[0].(map[string]any)
	prometheus := at(reader, "pull", "exporter", "prometheus")
	prometheus["host"], prometheus["port"] = host, json.Number(port)
	// There is no API server.
	delete(at(config, "receivers", "container_log"), "service_account")

	exporters, names := at(config, "exporters"), []string{}
	for name, settings := range sinks {
		exporter := exporters[name].(map[string]any)
		merge(exporter, settings)
		at(exporter, "sending_queue", "batch")["flush_timeout"] = "300ms"
		at(exporter, "retry_on_failure")["max_interval"] = "1s"
		names = append(names, name)
	}
	for name := range exporters {
		if _, wanted := sinks[name]; !wanted {
			delete(exporters, name)
		}
	}
	at(config, "service", "pipelines", "logs")["exporters"] = names
	for _, change := range change {
		change(config)
	}
	writeConfig(t, n.config, config)
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("the agent's log:\n%s", n.output.String())
		}
	})
	return n
}

func writeConfig(t testing.TB, path string, config map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// chartConfig is the configuration in the chart's golden file.
func chartConfig(t testing.TB) map[string]any {
	t.Helper()
	golden, err := os.ReadFile(filepath.Join("..", "charts", "testdata", "collector.golden.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(golden), "\n---\n") {
		var object struct {
			Kind string
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind != "ConfigMap" {
			continue
		}
		config := map[string]any{}
		if err := yaml.Unmarshal([]byte(object.Data["config.yaml"]), &config); err != nil {
			t.Fatal(err)
		}
		return config
	}
	t.Fatal("the chart has no configuration")
	return nil
}

// at goes down into maps.
func at(config map[string]any, path ...string) map[string]any {
	for _, name := range path {
		config = config[name].(map[string]any)
	}
	return config
}

func merge(to, from map[string]any) {
	for name, value := range from {
		if nested, ok := value.(map[string]any); ok {
			if existing, ok := to[name].(map[string]any); ok {
				merge(existing, nested)
				continue
			}
		}
		to[name] = value
	}
}

// start runs the agent and waits until it serves.
func (n *node) start() {
	n.t.Helper()
	n.launch()
	n.eventually(20*time.Second, "the agent serves", func() bool {
		_, err := http.Get("http://" + n.status + "/status")
		return err == nil
	})
}

// launch runs the agent.
func (n *node) launch() {
	n.t.Helper()
	n.process = n.command("--config=" + n.config)
	n.process.Stdout, n.process.Stderr = &n.output, &n.output
	// Should the test be killed, the kernel stops the agent.
	n.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.process.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// command is the agent's program, in the environment that the chart gives it.
func (n *node) command(args ...string) *exec.Cmd {
	n.t.Helper()
	path, err := binary()
	if err != nil {
		n.t.Fatal(err)
	}
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), "NODE_NAME=node-1",
		"OTLP_LOGS_ENDPOINT=https://otlp.example.com", "OTLP_LOGS_API_KEY=key",
		"FRAMES_LOGS_ENDPOINT=https://frames.example.com", "FRAMES_LOGS_SOURCE_ID=source-1", "FRAMES_LOGS_API_KEY=key",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required")
	command.Env = append(command.Env, n.environment...)
	return command
}

// kill ends the agent as the kernel does when memory is short.
func (n *node) kill() { n.end(syscall.SIGKILL) }

// stop ends the agent as the kubelet does.
func (n *node) stop() { n.end(syscall.SIGTERM) }

func (n *node) end(signal os.Signal) {
	if n.process == nil {
		return
	}
	if err := n.process.Process.Signal(signal); err != nil {
		n.t.Errorf("end the agent: %v", err)
	}
	var exit *exec.ExitError
	if err := n.process.Wait(); err != nil && !errors.As(err, &exit) {
		n.t.Errorf("end the agent: %v", err)
	}
	n.process = nil
}

// sink asks the agent for the state of a sink.
func (n *node) sink(name string) (found sink.SinkStatus) {
	n.t.Helper()
	// The status answers a moment before the last sink has come up.
	n.eventually(5*time.Second, "the agent has the sink "+name, func() bool {
		for _, s := range n.askStatus().Sinks {
			if s.Name == name {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

func (n *node) askStatus() (status sink.Status) {
	n.t.Helper()
	response, err := http.Get("http://" + n.status + "/status")
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		n.t.Fatal(err)
	}
	if status.Node != "node-1" {
		n.t.Errorf("the status is of node %q", status.Node)
	}
	return status
}

// metric returns a number that the agent counts, over all its labels.
func (n *node) metric(name, label string) float64 {
	n.t.Helper()
	response, err := http.Get("http://" + n.meter + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name+"{") || !strings.Contains(line, label) {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(strings.TrimSpace(line), ' '):], &value); err != nil {
			n.t.Fatal(err)
		}
		sum += value
	}
	return sum
}

// eventually waits for what takes a while.
func (n *node) eventually(patience time.Duration, what string, there func() bool) {
	n.t.Helper()
	if !within(patience, there) {
		n.t.Fatalf("after %v it is not so that %s", patience, what)
	}
}

// within waits for what takes a while, and reports whether it has come about.
func within(patience time.Duration, there func() bool) bool {
	for end := time.Now().Add(patience); !there(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
