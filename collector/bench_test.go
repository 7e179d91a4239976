package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkAgent measures the agent as the chart configures it, with its queue on
// disk, on access log lines of the application:
//
//	go test -run '^$' -bench Agent -benchtime 1x .
//
// "steady" is a stream of 10,000 lines a second, "backlog" as many lines at once
// as the agent can read with one processor (GOMAXPROCS=1). CPU is the agent's
// own, of the kernel's work for it too; memory is its largest resident size,
// with the pages of its program and of the queue's file, and of it what is not of
// files.
func BenchmarkAgent(b *testing.B) {
	for _, to := range []string{"awss3", "otlp_http", "frames"} {
		b.Run("backlog/"+to, func(b *testing.B) {
			for b.Loop() {
				backlog(b, to, false)
			}
		})
	}
	b.Run("backlog/awss3+kubernetes", func(b *testing.B) {
		for b.Loop() {
			backlog(b, "awss3", true)
		}
	})
	for _, to := range []string{"awss3", "otlp_http", "frames"} {
		b.Run("steady/"+to, func(b *testing.B) {
			for b.Loop() {
				steady(b, to)
			}
		})
	}
}

// benchNode is an agent with one sink, the limits of the chart and batches as in
// the chart.
func benchNode(b *testing.B, to string, kubernetes bool) *node {
	b.Helper()
	var changes []func(map[string]any)
	environment := []string{"GOMAXPROCS=1", "GOMEMLIMIT=56MiB", "GOGC=200", "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}
	if kubernetes {
		known, more := withAPIServer(b)
		changes, environment = append(changes, known), append(environment, more...)
	}
	var settings map[string]any
	switch to {
	case "awss3":
		settings, _ = bucket(b)
	case "otlp_http":
		settings = newBlackHole(b).asOTLP()
	case "frames":
		settings = newBlackHole(b).asFrames()
	}
	n := newNode(b, map[string]map[string]any{to: settings}, append(changes, func(config map[string]any) {
		at(config, "exporters", to, "sending_queue")["batch"] = at(chartConfig(b), "exporters", to, "sending_queue")["batch"]
	})...)
	n.environment = environment
	return n
}

// newBlackHole takes requests and does not look at them, to leave the processors
// to the agent.
func newBlackHole(b *testing.B) *aggregator {
	a := newAggregator(b)
	a.blind = true
	return a.open()
}

// accessLines returns lines as the application logs requests, each with the time
// and an id of its own.
func accessLines(count int) string {
	var text bytes.Buffer
	for i := range count {
		now := time.Now().UTC().Format(time.RFC3339Nano)
		fmt.Fprintf(&text, `%s stdout F {"time":"%s","level":"INFO","msg":"request","request_id":"%s","method":"GET","path":"/api/articles/some-article-%d","route":"/api/articles/{slug}","status":200,"latency_ms":%.3f,"bytes":%d,"user_id":"%d"}`+"\n",
			now, now, rand.Text(), i%100_000, float64(i%20_000)/1000, i%5000, i%10_000)
	}
	return text.String()
}

// backlog measures from when the agent has nothing to do until it has both read
// and sent what is written then: a sink lags behind, so that to begin in the midst
// would leave out reading what waits for it.
func backlog(b *testing.B, to string, kubernetes bool) {
	const before, lines = 50_000, 300_000
	n := benchNode(b, to, kubernetes)
	c := n.container("production", "realworld-7d9c6bf5d-x2k4q", "realworld")
	first, then := accessLines(before), accessLines(lines)
	if _, err := c.file.WriteString(first); err != nil {
		b.Fatal(err)
	}
	n.start()
	// What is in the last batch waits for more.
	const batch = 10_000
	arrived := func(all int) func() bool {
		return func() bool {
			return n.sink(to).Sent >= int64(all-batch) && n.metric("otelcol_receiver_accepted_log_records", "container_log") >= float64(all)
		}
	}
	n.eventually(time.Minute, "the first lines have arrived", arrived(before))
	sent, begin, cpu := n.sink(to).Sent, time.Now(), n.cpu()
	if _, err := c.file.WriteString(then); err != nil {
		b.Fatal(err)
	}
	n.eventually(time.Minute, "nearly all has arrived", arrived(before+lines))
	sent = n.sink(to).Sent - sent
	seconds, used := time.Since(begin).Seconds(), n.cpu()-cpu
	b.ReportMetric(float64(sent)/seconds, "lines/s")
	b.ReportMetric(float64(sent)/used.Seconds(), "lines/cpu-s")
	n.reportMemory(b)
	n.kill()
}

func steady(b *testing.B, to string) {
	const perSecond, seconds = 10_000, 20
	n := benchNode(b, to, false)
	c := n.container("production", "realworld-7d9c6bf5d-x2k4q", "realworld")
	n.start()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	begin, written, cpu := time.Now(), 0, n.cpu()
	for written < perSecond*seconds {
		<-ticks.C
		due := min(int(time.Since(begin).Seconds()*perSecond), perSecond*seconds)
		if _, err := c.file.WriteString(accessLines(due - written)); err != nil {
			b.Fatal(err)
		}
		written = due
	}
	elapsed, used := time.Since(begin), n.cpu()-cpu
	if accepted := n.metric("otelcol_receiver_accepted_log_records", "container_log"); accepted < perSecond*(seconds-2) {
		b.Errorf("the agent has read only %v of %d lines: it does not keep up", accepted, written)
	}
	b.ReportMetric(float64(written)/elapsed.Seconds(), "lines/s")
	b.ReportMetric(used.Seconds()/elapsed.Seconds(), "cores")
	n.reportMemory(b)
	n.kill()
}

// cpu is the time on processors that the agent has used.
func (n *node) cpu() time.Duration {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.process.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	// The fields after the name, which may have blanks; in hundredths of a second.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err == nil {
			ticks += time.Duration(n)
		}
	}
	return ticks * 10 * time.Millisecond
}

func (n *node) reportMemory(b *testing.B) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes float64
		name, rest, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
			continue
		}
		switch name {
		case "VmHWM":
			b.ReportMetric(kilobytes/1024, "MB-most")
		case "RssAnon":
			b.ReportMetric(kilobytes/1024, "MB-anonymous")
		}
	}
}
