package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A thousand lines come each second while the agent is killed five times, and the
// log is rotated and compressed under its hands. One sink takes lines, one is
// away and one refuses the key: in the end every line is at each, whole.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	frames, otlp := newAggregator(t), newAggregator(t).open()
	settings, folder := bucket(t)
	n := newNode(t, map[string]map[string]any{"frames": frames.asFrames(), "otlp_http": otlp.asOTLP(), "awss3": settings})
	n.environment = []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=wrong"}
	c := n.container("production", "realworld-7d9c6bf5d-x2k4q", "realworld")

	const seconds, perSecond = 12, 1000
	written := make(chan map[string]bool)
	go func() { written <- writeLines(c, seconds, perSecond) }()
	n.launch()
	for range 5 {
		time.Sleep(seconds*time.Second/7 + rand.N(500*time.Millisecond))
		n.kill()
		n.launch()
	}
	lines := <-written
	n.kill()
	n.environment = []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}
	n.launch()
	frames.open()

	inBucket := func() map[string]int {
		messages := map[string]int{}
		for _, frames := range archived(t, folder) {
			for _, f := range frames {
				messages[f.message]++
			}
		}
		return messages
	}
	if !within(40*time.Second, func() bool {
		return frames.lines() >= len(lines) && otlp.lines() >= len(lines) && len(inBucket()) >= len(lines)
	}) {
		t.Errorf("after 40 s not all of %d lines are at all sinks", len(lines))
	}
	n.stop()
	for name, got := range map[string]map[string]int{"frames": frames.messages, "otlp_http": otlp.messages, "awss3": inBucket()} {
		duplicates, lost := 0, 0
		for line, count := range got {
			if !lines[line] {
				t.Errorf("%s has a line that was not written: %.120q", name, line)
			}
			duplicates += count - 1
		}
		for line := range lines {
			if got[line] > 0 {
				continue
			}
			if lost++; lost <= 5 {
				t.Errorf("%s has not: %.120q", name, line)
			}
		}
		t.Logf("%s: %d lines, %d of them twice, %d lost", name, len(got), duplicates, lost)
	}
	name := regexp.MustCompile(`^logs/production/\d{4}/\d\d/\d\d/\d\d/node-1_logs_[0-9a-f-]{36}\.json\.gz$`)
	for _, object := range slices.Sorted(maps.Keys(archived(t, folder))) {
		if !name.MatchString(object) {
			t.Errorf("an object is named %s", object)
		}
	}
}

// writeLines writes numbered lines, of JSON and plain, at a rate, some of them
// very long, some of several lines, and rotates every few seconds. It returns the
// bodies that are to arrive.
func writeLines(c *container, seconds, perSecond int) map[string]bool {
	lines := map[string]bool{}
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	total, begin := seconds*perSecond, time.Now()
	for i := 0; i < total; {
		<-ticks.C
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); i < min(due, total); i++ {
			message := fmt.Sprintf("line %06d", i)
			switch {
			case i%500 == 250:
				message += strings.Repeat(" long", 8000) + "   "
				c.write("stdout", message+"\n")
			case i%500 == 400:
				message = "panic: " + message + "\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:8 +0x1d"
				c.write("stderr", message+"\n")
			case i%2 == 0:
				c.write("stdout", fmt.Sprintf(`{"time":"2026-08-20T10:00:00Z","level":"INFO","msg":%q,"status":200}`+"\n", message))
			default:
				c.write("stdout", message+"\n")
			}
			lines[message] = true
			if i%3500 == 3499 {
				c.rotate()
			}
		}
	}
	return lines
}

// The agent is away while the kubelet rotates and compresses: it reads what it
// missed from the compressed files.
func TestAwayDuringRotations(t *testing.T) {
	t.Parallel()
	a := newAggregator(t).open()
	n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
	c := n.container("staging", "realworld-7d9c6bf5d-x2k4q", "realworld")
	want := 0
	write := func(count int) {
		for range count {
			c.write("stdout", fmt.Sprintf("{\"msg\":\"line %06d\"}\n", want))
			want++
		}
	}
	write(50)
	n.start()
	n.eventually(10*time.Second, "the first lines are there", func() bool { return a.lines() == want })
	write(30)
	n.kill()
	write(30)
	for range 3 {
		c.rotate()
		write(40)
	}
	n.start()
	n.eventually(10*time.Second, "the lines of all files are there", func() bool { return a.lines() == want })
	c.rotate()
	write(10)
	n.eventually(10*time.Second, "the lines after that are there", func() bool { return a.lines() == want })
	n.stop()
	n.start()
	time.Sleep(time.Second)
	n.stop()
	for line, count := range a.messages {
		if count > 2 {
			t.Errorf("%s came %d times", line, count)
		}
	}
}

// The agent is stopped while it reads what was rotated and compressed in its
// absence: it goes on with the rest.
func TestStopWhileCompressedFilesAreRead(t *testing.T) {
	t.Parallel()
	const files, each = 4, 20_000
	a := newAggregator(t).open()
	n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
	n.environment = []string{"GOMAXPROCS=1"}
	c := n.container("staging", "realworld-7d9c6bf5d-x2k4q", "realworld")
	pad := strings.Repeat("a longer text, with=some of what: a secret has. ", 10)
	for file := range files {
		var b strings.Builder
		for i := range each {
			fmt.Fprintf(&b, "%s stdout F {\"msg\":\"line %06d\",\"pad\":\"%s\"}\n", time.Now().UTC().Format(time.RFC3339Nano), file*each+i, pad)
		}
		if _, err := c.file.WriteString(b.String()); err != nil {
			t.Fatal(err)
		}
		c.rotate()
	}
	c.rotate() // which compresses the last of them
	interrupted := 0
	for range 3 {
		n.start()
		read := 0.0
		for end := time.Now().Add(10 * time.Second); read == 0 && time.Now().Before(end); {
			read = n.metric("otelcol_receiver_accepted_log_records", "container_log")
		}
		n.stop()
		if read > 0 && read < files*each {
			interrupted++
		}
	}
	if interrupted == 0 {
		t.Error("the agent was never stopped while it read")
	}
	n.start()
	n.eventually(60*time.Second, "all lines are there", func() bool { return a.lines() == files*each })
}
