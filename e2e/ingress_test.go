//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How many there are of each while an application is rolled.
const (
	sockets     = 200 // WebSockets of another application
	multiplexed = 50  // connections of HTTP/2
)

// An application is rolled again and again. Its clients lose nothing,
// whatever their client does with connections, the WebSockets of another one stay
// open, and the ingress does not grow.
func testIngress(t *testing.T) {
	c := running(t)
	other := t.TempDir()
	for _, name := range []string{"berth.yaml", "Dockerfile", "main.go"} {
		write(t, filepath.Join(other, name), readFile(t, filepath.Join("testdata", "trouble", name)))
	}
	mustBerth(t, "-C", other, "deploy", "staging")
	rolled := t.TempDir()
	for _, name := range []string{"berth.yaml", "Dockerfile", "main.go"} {
		write(t, filepath.Join(rolled, name), readFile(t, filepath.Join("testdata", "hello", name)))
	}
	write(t, filepath.Join(rolled, ".env"), "GREETING=ahoy\n")
	mustBerth(t, "-C", rolled, "deploy", "staging")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	open := openSockets(t, ctx, "trouble.localhost", sockets)
	clients := []func() (int, []string){
		postHTTP2(t, ctx, "hello.localhost", multiplexed),
		postBy(t, "python3", "post.py", "hello.localhost"),
		postBy(t, "node", "post.js", "hello.localhost"),
	}
	time.Sleep(3 * time.Second)
	restarts, before := ingressOf(t, c), nginxMemory(t)
	for range *deploys {
		mustBerth(t, "-C", rolled, "restart", "staging")
	}
	after := nginxMemory(t)
	if got := ingressOf(t, c); got != restarts {
		t.Errorf("the ingress was restarted: %s before, %s after", restarts, got)
	}
	if alive := open(); alive != sockets {
		t.Errorf("%d of %d WebSockets are open", alive, sockets)
	}
	for _, end := range clients {
		sent, lost := end()
		t.Logf("%d requests, %d lost", sent, len(lost))
		if len(lost) > 0 || sent == 0 {
			t.Errorf("lost of %d requests:\n%s", sent, strings.Join(lost[:min(10, len(lost))], "\n"))
		}
	}
	t.Logf("%d restarts of the application; NGINX takes %d MB before, %d MB after", *deploys, before>>20, after>>20)
	if after > before+before/4+16<<20 {
		t.Errorf("NGINX grew from %d to %d MB", before>>20, after>>20)
	}
}

// openSockets opens WebSockets that say something every second. What it returns
// tells how many still get their answers.
func openSockets(t *testing.T, ctx context.Context, host string, count int) func() int {
	t.Helper()
	var alive atomic.Int64
	config := &tls.Config{RootCAs: transport(t, false).TLSClientConfig.RootCAs, ServerName: host}
	for i := range count {
		connection, err := tls.Dial("tcp", httpsAddress, config)
		if err != nil {
			t.Fatalf("WebSocket %d: %v", i, err)
		}
		context.AfterFunc(ctx, func() { connection.Close() })
		fmt.Fprintf(connection, "GET /socket HTTP/1.1\r\nHost: %s:8443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host)
		reader := bufio.NewReader(connection)
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("WebSocket %d: %v, %v", i, response, err)
		}
		alive.Add(1)
		go func() {
			defer alive.Add(-1)
			for word := []byte("word"); ctx.Err() == nil; time.Sleep(time.Second) {
				connection.SetDeadline(time.Now().Add(15 * time.Second))
				if _, err := connection.Write(word); err != nil {
					return
				}
				if _, err := io.ReadFull(reader, word); err != nil {
					return
				}
			}
		}()
	}
	return func() int { return int(alive.Load()) }
}

// postHTTP2 has each connection send one POST after the other.
func postHTTP2(t *testing.T, ctx context.Context, host string, connections int) (end func() (int, []string)) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	var mu sync.Mutex
	sent, lost := 0, []string(nil)
	for range connections {
		one := newSite(t, host)
		clients.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
				err := try(one, http.MethodPost, "/", object{"a": 1})
				mu.Lock()
				sent++
				if err != nil {
					lost = append(lost, fmt.Sprintf("%s HTTP/2: %v", time.Now().Format(time.TimeOnly), err))
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []string) {
		stop()
		clients.Wait()
		return sent, lost
	}
}

// postBy runs a client of testdata/clients.
func postBy(t *testing.T, interpreter, script, host string) (end func() (int, []string)) {
	t.Helper()
	command := exec.Command(interpreter, filepath.Join("testdata", "clients", script), host, "8443", authority)
	var said bytes.Buffer
	command.Stderr = &said
	var told bytes.Buffer
	command.Stdout = &told
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() }) //nolint:errcheck // it has ended mostly
	return func() (int, []string) {
		input.Close()
		if err := command.Wait(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, said.String())
		}
		var result struct {
			Sent int
			Lost []string
		}
		if err := json.Unmarshal(told.Bytes(), &result); err != nil {
			t.Fatalf("%s says %q: %v", script, told.String(), err)
		}
		return result.Sent, result.Lost
	}
}

// ingressOf names the ingress' pod, and how often its container was restarted.
func ingressOf(t *testing.T, c *cluster) string {
	t.Helper()
	var all []string
	for _, pod := range c.pods(t, "ingress", "") {
		for _, status := range pod.Status.ContainerStatuses {
			all = append(all, fmt.Sprintf("%s %d", pod.Name, status.RestartCount))
		}
	}
	return strings.Join(all, ", ")
}

// nginxMemory is what all processes of NGINX hold, what they share counted once.
func nginxMemory(t *testing.T) (bytes int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if content, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(content)) != "nginx" {
			continue
		}
		rollup, err := os.ReadFile(filepath.Join(filepath.Dir(name), "smaps_rollup"))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(rollup)) {
			var kilobytes int
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); err == nil {
				bytes += kilobytes << 10
			}
		}
	}
	if bytes == 0 {
		t.Fatal("no NGINX is running")
	}
	return bytes
}
