package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth/collector/sink"
)

// An operator sees why lines do not arrive, in the sink's own words; and when the
// key is right, they do.
func TestWrongKeyShows(t *testing.T) {
	t.Parallel()
	frames, otlp := newAggregator(t).open(), newAggregator(t).open()
	wrong := func(status int, text string) func(*http.Request, []byte) (int, string) {
		return func(r *http.Request, _ []byte) (int, string) {
			if r.Header.Get("Authorization") == "Bearer key-of-the-source" {
				return http.StatusOK, ""
			}
			return status, text
		}
	}
	frames.answers(wrong(http.StatusUnauthorized, "bad key"))
	otlp.answers(wrong(http.StatusForbidden, `{"error":"this key may not ingest"}`))
	settings, folder := bucket(t)
	asFrames, asOTLP := frames.asFrames(), otlp.asOTLP()
	asFrames["api_key"], asOTLP["api_key"] = "${env:KEY}", "${env:KEY}"
	n := newNode(t, map[string]map[string]any{"frames": asFrames, "otlp_http": asOTLP, "awss3": settings})
	c := n.container("production", "realworld-0", "realworld")
	c.write("stdout", "{\"msg\":\"first\"}\n")
	n.environment = []string{"KEY=guessed", "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=guessed"}
	n.start()
	for name, want := range map[string]string{
		"frames":    "401 Unauthorized: bad key",
		"otlp_http": `403 Forbidden: {"error":"this key may not ingest"}`,
		"awss3":     "403 Forbidden: SignatureDoesNotMatch: ",
	} {
		n.eventually(10*time.Second, name+" is failing", func() bool { return n.sink(name).State == "failing" })
		if got := n.sink(name); !strings.HasPrefix(got.Answer, want) || got.Sent != 0 || got.Since == nil {
			t.Errorf("%s is %+v, want the answer %s", name, got, want)
		}
	}
	if log := n.output.String(); !strings.Contains(log, "401 Unauthorized: bad key") || strings.Contains(log, "guessed") {
		t.Error("the agent's log does not have the answer, or has the key")
	}

	n.stop()
	n.environment = []string{"KEY=key-of-the-source", "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}
	n.start()
	n.eventually(10*time.Second, "the line is at all sinks", func() bool {
		return frames.has("first") && otlp.has("first") && len(archived(t, folder)) == 1
	})
	for _, name := range []string{"frames", "otlp_http", "awss3"} {
		n.eventually(5*time.Second, name+" is ok", func() bool { return n.sink(name).State == "ok" })
		if got := n.sink(name); got.Answer != "" || got.Sent != 1 || got.LastSent == nil {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

// A sink that cannot be reached says so, and one that has nothing to do waits.
func TestUnreachableSinkShows(t *testing.T) {
	t.Parallel()
	a := newAggregator(t)
	n := newNode(t, map[string]map[string]any{"otlp_http": a.asOTLP()})
	n.start()
	if got := n.sink("otlp_http").State; got != "waiting" {
		t.Errorf("the sink is %s", got)
	}
	n.container("production", "realworld-0", "realworld").write("stdout", "{\"msg\":\"line\"}\n")
	n.eventually(10*time.Second, "the sink is failing", func() bool { return n.sink("otlp_http").State == "failing" })
	if got := n.sink("otlp_http").Answer; !strings.Contains(got, "connection refused") {
		t.Errorf("the answer is %s", got)
	}
	a.open()
	n.eventually(10*time.Second, "the line is there", func() bool { return a.has("line") })
}

// What a full queue drops is counted, at the sink whose queue it is and nowhere
// else, and what it holds arrives.
func TestFullQueueIsCounted(t *testing.T) {
	t.Parallel()
	away, there := newAggregator(t), newAggregator(t).open()
	small := away.asFrames()
	small["sending_queue"] = map[string]any{"queue_size": 200_000, "batch": map[string]any{"min_size": 50_000}}
	n := newNode(t, map[string]map[string]any{"frames": small, "otlp_http": there.asOTLP()})
	c := n.container("production", "realworld-0", "realworld")
	n.start()
	const lines = 5000
	for i := range lines {
		c.write("stdout", fmt.Sprintf("{\"msg\":\"line %06d %s\"}\n", i, strings.Repeat("x", 200)))
	}
	n.eventually(20*time.Second, "the other sink has all lines", func() bool { return there.lines() == lines })
	n.eventually(10*time.Second, "drops are counted", func() bool { return n.sink("frames").Dropped > 0 })
	if got := n.sink("otlp_http").Dropped; got != 0 {
		t.Errorf("the other sink dropped %d lines", got)
	}
	dropped := n.sink("frames").Dropped
	if metric := n.metric("otelcol_exporter_enqueue_failed_log_records", `exporter="frames"`); int64(metric) != dropped {
		t.Errorf("the metric says that %v were dropped, the status %d", metric, dropped)
	}
	away.open()
	n.eventually(20*time.Second, "what was in the queue is there", func() bool { return away.lines() == lines-int(dropped) })
}

// One line that an aggregator does not want takes no other with it.
func TestRefusedLineIsAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"frames", "otlp_http"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAggregator(t).open()
			a.answers(func(_ *http.Request, body []byte) (int, string) {
				if strings.Contains(string(body), "line 000041") {
					return http.StatusBadRequest, "I do not like 41"
				}
				return http.StatusOK, ""
			})
			n := newNode(t, map[string]map[string]any{name: a.asFrames()})
			c := n.container("production", "realworld-0", "realworld")
			for i := range 100 {
				c.write("stdout", fmt.Sprintf("{\"msg\":\"line %06d\"}\n", i))
			}
			n.start()
			n.eventually(10*time.Second, "the others are there", func() bool { return a.lines() == 99 })
			var got sink.SinkStatus // which counts when it has its answer
			n.eventually(5*time.Second, "they are counted", func() bool { got = n.sink(name); return got.Sent == 99 })
			if got.Rejected != 1 || got.RejectedAnswer != "400 Bad Request: I do not like 41" || got.State != "ok" {
				t.Errorf("the sink is %+v", got)
			}
		})
	}
}

// An aggregator that takes a request but for some of its lines says how many, and
// does not want them again.
func TestPartialSuccessIsCounted(t *testing.T) {
	t.Parallel()
	a := newAggregator(t).open()
	a.partial = 3
	n := newNode(t, map[string]map[string]any{"otlp_http": a.asOTLP()})
	c := n.container("production", "realworld-0", "realworld")
	for i := range 10 {
		c.write("stdout", fmt.Sprintf("{\"msg\":\"line %06d\"}\n", i))
	}
	n.start()
	n.eventually(10*time.Second, "the lines are there", func() bool { return a.lines() == 10 })
	n.eventually(5*time.Second, "the rest is counted", func() bool { return n.sink("otlp_http").Sent == 7 })
	if got := n.sink("otlp_http"); got.Rejected != 3 || got.RejectedAnswer != "too old" || got.State != "ok" {
		t.Errorf("the sink is %+v", got)
	}
	if !strings.Contains(n.output.String(), "too old") {
		t.Error("the agent's log does not say so")
	}
}

// A sink that takes nothing is dead from the first refusal on, however often it is
// tried.
func TestDeadSinkLooksDead(t *testing.T) {
	t.Parallel()
	a := newAggregator(t).open()
	a.answers(func(*http.Request, []byte) (int, string) { return http.StatusServiceUnavailable, "closed" })
	n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
	n.container("production", "realworld-0", "realworld").write("stdout", "{\"msg\":\"line\"}\n")
	n.start()
	n.eventually(10*time.Second, "the sink is failing", func() bool { return n.sink("frames").State == "failing" })
	first := n.sink("frames")
	time.Sleep(3 * time.Second) // It is tried again every second.
	if then := n.sink("frames"); then.State != "failing" || then.LastSent != nil || then.Sent != 0 || first.Since == nil || then.Since == nil || !then.Since.Equal(*first.Since) {
		t.Errorf("the sink is %+v, and was %+v", then, first)
	}
}

// Requests of frames have at most 1 MiB, however much there is to send, and a
// line that is too long for one is cut and marked.
func TestFramesRequestsAreBounded(t *testing.T) {
	t.Parallel()
	a := newAggregator(t)
	n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
	c := n.container("production", "realworld-0", "realworld")
	const lines = 40
	for i := range lines {
		c.write("stdout", fmt.Sprintf("line %06d %s\n", i, strings.Repeat("\u00e4\"", 50_000)))
	}
	c.write("stdout", strings.Repeat("\u00e4\\", 340_000)+"\n")
	n.start()
	n.eventually(10*time.Second, "all is read", func() bool {
		return n.metric("otelcol_receiver_accepted_log_records", "container_log") == lines+1
	})
	a.open()
	n.eventually(20*time.Second, "all lines are there", func() bool { return a.lines() == lines+1 })
	if a.largest > 1<<20 {
		t.Errorf("a request had %d bytes", a.largest)
	}
	if a.largest < 700<<10 {
		t.Errorf("no request had more than %d bytes: they are not filled", a.largest)
	}
	cut := 0
	for _, frame := range a.frames {
		if strings.Contains(frame, `"truncated":true`) {
			cut++
		}
	}
	if cut != 1 {
		t.Errorf("%d lines are marked as cut, want 1", cut)
	}
}

// A sink that is overloaded says how long to leave it alone.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	a := newAggregator(t)
	var asked []time.Time
	a.answers(func(*http.Request, []byte) (int, string) {
		asked = append(asked, time.Now())
		if len(asked) == 1 {
			return http.StatusTooManyRequests, "slowly"
		}
		return http.StatusOK, ""
	})
	a.retryAfter = "3"
	a.open()
	n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
	n.container("production", "realworld-0", "realworld").write("stdout", "{\"msg\":\"line\"}\n")
	n.start()
	n.eventually(15*time.Second, "the line is there", func() bool { return a.has("line") })
	if waited := asked[1].Sub(asked[0]); waited < 3*time.Second {
		t.Errorf("the sink was asked again after %v", waited)
	}
}

// The chart's configuration, with every sink, is one that the collector takes.
func TestChartConfiguration(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]map[string]any{})
	config := chartConfig(t)
	storage := at(config, "extensions", "file_storage")
	storage["directory"], at(storage, "compaction")["directory"] = n.state, n.state
	writeConfig(t, n.config, config)
	if output, err := n.command("validate", "--config="+n.config).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}
