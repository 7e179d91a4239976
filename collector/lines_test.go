package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// What becomes of lines, from the file to the sink.
func TestLines(t *testing.T) {
	t.Parallel()
	a := newAggregator(t).open()
	n := newNode(t, map[string]map[string]any{"otlp_http": a.asOTLP()})
	n.start()
	c := n.container("production", "realworld-7d9c6bf5d-x2k4q", "realworld")
	long := strings.Repeat("x", 40<<10) + "  \t "
	java := "Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: yes\n\t... 1 more"
	python := "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'k'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nValueError: v"
	for _, text := range []string{
		`{"time":"2026-08-20T10:00:00.5Z","level":"WARN","msg":"request","request_id":"GL7SD27Y5M6OWNY2","status":503,"latency_ms":1.25,"ok":false,"none":null,"user":{"id":7},"tags":["a","b"]}`,
		long, java, python, "plain",
		`2026-08-20 10:00:00.000 UTC [17] ERROR:  relation "x" does not exist`,
	} {
		c.write("stdout", text+"\n")
	}
	n.eventually(10*time.Second, "all lines are there", func() bool { return a.lines() == 6 })

	byBody := map[string]received{}
	for _, r := range a.records {
		byBody[r.Body().AsString()] = r
		if got := fmt.Sprint(r.resource); !strings.Contains(got, "k8s.container.name:realworld k8s.container.restart_count:0 k8s.namespace.name:production k8s.node.name:node-1 k8s.pod.name:realworld-7d9c6bf5d-x2k4q k8s.pod.uid:"+uid) {
			t.Errorf("the resource is %s", got)
		}
		if age := time.Since(r.Timestamp().AsTime()); age < 0 || age > time.Minute {
			t.Errorf("the time is %v, which is not when the line was written", r.Timestamp().AsTime())
		}
	}
	request := byBody["request"]
	attributes, err := json.Marshal(request.Attributes().AsRaw())
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"latency_ms":1.25,"log.iostream":"stdout","none":null,"ok":false,"request_id":"GL7SD27Y5M6OWNY2","status":503,"tags":["a","b"],"time":"2026-08-20T10:00:00.5Z","user":{"id":7}}`; string(attributes) != want {
		t.Errorf("the attributes are\n%s, want\n%s", attributes, want)
	}
	if request.SeverityNumber() != plog.SeverityNumberWarn || request.SeverityText() != "WARN" {
		t.Errorf("the severity is %v %q", request.SeverityNumber(), request.SeverityText())
	}
	for body, want := range map[string]plog.SeverityNumber{
		long: 0, "plain": 0, java: plog.SeverityNumberError, python: plog.SeverityNumberError,
		`2026-08-20 10:00:00.000 UTC [17] ERROR:  relation "x" does not exist`: plog.SeverityNumberError,
	} {
		r, there := byBody[body]
		if !there {
			t.Errorf("not there: %.60q", body)
		} else if r.SeverityNumber() != want {
			t.Errorf("the severity of %.60q is %v, want %v", body, r.SeverityNumber(), want)
		}
	}
}

// Only pods of the environments are read.
func TestOtherNamespacesAreNotRead(t *testing.T) {
	t.Parallel()
	a := newAggregator(t).open()
	n := newNode(t, map[string]map[string]any{"frames": a.asFrames()})
	for _, namespace := range []string{"kube-system", "production-2", "logging"} {
		n.container(namespace, "other-0", "other").write("stdout", "not to be read\n")
	}
	// Its own log would have no end.
	n.container("production", "collector-abcde", "collector").write("stdout", "not to be read\n")
	n.container("production", "realworld-0", "realworld").write("stdout", "{\"msg\":\"to be read\"}\n")
	n.start()
	n.eventually(10*time.Second, "the line is there", func() bool { return a.has("to be read") })
	time.Sleep(1500 * time.Millisecond)
	if a.lines() != 1 {
		t.Errorf("these were read: %v", a.messages)
	}
}

// A program that is careless with what it knows writes it all down: no sink gets
// to know it, nor any queue.
func TestSecretsReachNoSink(t *testing.T) {
	t.Parallel()
	const (
		password = "correct-horse-battery"
		token    = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.8z4v5LzjNl0fqK3xVQ9u0x7sXo3y3m0C2QJpX1aYwQk"
		address  = "jake@jake.jake"
	)
	frames, otlp := newAggregator(t).open(), newAggregator(t).open()
	settings, folder := bucket(t)
	n := newNode(t, map[string]map[string]any{"frames": frames.asFrames(), "otlp_http": otlp.asOTLP(), "awss3": settings})
	n.environment = []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}
	c := n.container("production", "realworld-0", "realworld")

	// It writes down what it gets, in every way that its programmers thought of.
	careless := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Error(err)
		}
		line := func(attributes map[string]any) {
			attributes["msg"] = fmt.Sprintf("request %v %s", r.Header, text)
			encoded, err := json.Marshal(attributes)
			if err != nil {
				t.Error(err)
			}
			c.write("stdout", string(encoded)+"\n")
		}
		line(map[string]any{"headers": r.Header, "body": body, "query": r.URL.RawQuery})
		line(map[string]any{"body": string(text), "url": r.URL.String()})
		line(map[string]any{"authorization": r.Header.Get("Authorization"), "user": body["user"]})
		c.write("stderr", fmt.Sprintf("%s %s %v\n%s\n", r.Method, r.URL, r.Header, text))
		c.write("stderr", fmt.Sprintf("%#v\n", r.Header))
		c.write("stderr", fmt.Sprintf("login failed: password=%s for %s, token: %s\n", password, address, token))
		c.write("stderr", fmt.Sprintf("cannot reach postgres://app:%s@db:5432/app\n", password))
		c.write("stdout", "{\"msg\":\"the last one\"}\n")
	}))
	defer careless.Close()
	request, err := http.NewRequest(http.MethodPost, careless.URL+"/api/users/login?token="+token+"&email=jake%40jake.jake",
		strings.NewReader(`{"user":{"email":"`+address+`","password":"`+password+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Token "+token)
	request.Header.Set("Cookie", "session="+password+"; theme=dark")
	request.Header.Set("X-Api-Key", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()

	n.start()
	n.eventually(15*time.Second, "the lines are at all sinks", func() bool {
		return frames.has("the last one") && otlp.has("the last one") && len(archived(t, folder)) > 0
	})
	time.Sleep(1500 * time.Millisecond)
	n.stop()
	if count := len(otlp.records); count != 9 {
		t.Errorf("%d lines came, want 9", count)
	}
	places := map[string]string{"frames": frames.raw.String(), "otlp_http": otlp.raw.String(), "its own log": n.output.String()}
	for name, frames := range archived(t, folder) {
		for _, f := range frames {
			places[name] += f.text
		}
	}
	// The receiver's own file holds the beginnings of log files, to know them again.
	files, err := filepath.Glob(filepath.Join(n.state, "exporter_*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the queues are %v: %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places[file] = string(data)
	}
	for place, text := range places {
		for _, secret := range []string{password, token, token[:20], address, "jake%40jake.jake"} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s has %s: …%q…", place, secret, text[max(0, at-80):min(len(text), at+60)])
			}
		}
	}
	// Redacting is no reason to lose the rest.
	if !strings.Contains(frames.raw.String(), "/api/users/login") || !strings.Contains(frames.raw.String(), "postgres://[redacted]@db:5432/app") {
		t.Error("more is gone than secrets")
	}
}

// The Deployment of a pod comes from the API server.
func TestDeploymentOfPods(t *testing.T) {
	t.Parallel()
	a := newAggregator(t).open()
	known, environment := withAPIServer(t)
	n := newNode(t, map[string]map[string]any{"otlp_http": a.asOTLP()}, known)
	n.environment = environment
	c := n.container("production", "realworld-7d9c6bf5d-x2k4q", "realworld")
	n.start()
	c.write("stdout", "{\"msg\":\"request\"}\n")
	n.eventually(10*time.Second, "the line is there", func() bool { return a.has("request") })
	if got := a.records[0].resource["k8s.deployment.name"]; got != "realworld" {
		t.Errorf("the Deployment is %v of %v", got, a.records[0].resource)
	}
}
