package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth/internal/fault"
	"berth/internal/logs"
)

// logAPI is an API server with the pods of the Deployment shop and their logs.
// The fake clientset knows one line of log for all pods.
type logAPI struct {
	mu   sync.Mutex
	pods []core.Pod
	// logs by pod, and by pod with "/previous".
	logs map[string]string
	// more is sent after the log of a pod that is followed.
	more map[string]chan string
	away map[string]bool
}

func (a *logAPI) add(name, log string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logs[name] = log
	a.pods = append(a.pods, core.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: controlledBy("ReplicaSet", "shop-1", "rs")},
		Status: core.PodStatus{ContainerStatuses: []core.ContainerStatus{{
			Name: "web", ContainerID: name, State: core.ContainerState{Running: &core.ContainerStateRunning{}}}}},
	})
}

func (a *logAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var answer any
	switch kind := path.Base(r.URL.Path); kind {
	case "log":
		a.log(w, r)
		return
	case "pods":
		answer = core.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: a.pods}
	case "deployments":
		answer = apps.DeploymentList{TypeMeta: metav1.TypeMeta{Kind: "DeploymentList", APIVersion: "apps/v1"},
			Items: []apps.Deployment{{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "d"}}}}
	case "replicasets":
		answer = apps.ReplicaSetList{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSetList", APIVersion: "apps/v1"},
			Items: []apps.ReplicaSet{{ObjectMeta: metav1.ObjectMeta{Name: "shop-1", UID: "rs", OwnerReferences: controlledBy("Deployment", "shop", "d")}}}}
	default:
		answer = map[string]any{"kind": "List", "apiVersion": "v1", "items": []any{}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *logAPI) log(w http.ResponseWriter, r *http.Request) {
	pod := path.Base(path.Dir(r.URL.Path))
	if a.away[pod] {
		http.Error(w, "the node does not answer", http.StatusBadGateway)
		return
	}
	key := pod
	if r.URL.Query().Get("previous") == "true" {
		key += "/previous"
	}
	fmt.Fprint(w, a.logs[key])
	if r.URL.Query().Get("follow") != "true" {
		return
	}
	w.(http.Flusher).Flush()
	lines := a.more[pod]
	a.mu.Unlock()
	defer a.mu.Lock()
	for {
		select {
		case <-r.Context().Done():
			return
		case line, open := <-lines:
			if !open {
				return
			}
			fmt.Fprint(w, line)
			w.(http.Flusher).Flush()
		}
	}
}

// logged returns releases whose one environment has the pods of the API.
func logged(t *testing.T) (*logAPI, *Client) {
	t.Helper()
	_, c := newWorld(t)
	mustDeploy(t, c, "good:1")
	api := &logAPI{logs: map[string]string{}, more: map[string]chan string{}, away: map[string]bool{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.kube = client
	return api, c
}

func TestLogsAreMergedInTheOrderOfTime(t *testing.T) {
	api, c := logged(t)
	api.add("shop-a", "2026-01-01T00:00:01Z one\n2026-01-01T00:00:04.5Z four\n")
	api.add("shop-b", "2026-01-01T00:00:02Z two\n2026-01-01T00:00:05Z {\"level\":\"DEBUG\",\"msg\":\"five\"}\n")
	api.add("shop-away", "")
	api.away["shop-away"] = true
	api.pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = &core.ContainerStateTerminated{}
	api.logs["shop-a/previous"] = "2026-01-01T00:00:00Z zero\n"
	tests := []struct {
		name string
		o    LogOptions
		want []string
	}{
		{"all", LogOptions{}, []string{"shop-a zero", "shop-a one", "shop-b two", "shop-a four", "shop-b five"}},
		{"grep", query(logs.Query{Grep: regexp.MustCompile("^(one|t.o|DEBUG five)$")}), []string{"shop-a one", "shop-b two", "shop-b five"}},
		{"level", query(logs.Query{Level: "info"}), []string{"shop-a zero", "shop-a one", "shop-b two", "shop-a four"}},
		{"since", query(logs.Query{From: at(t, "2026-01-01T00:00:04.5Z")}), []string{"shop-a four", "shop-b five"}},
		{"until", query(logs.Query{Until: at(t, "2026-01-01T00:00:01Z")}), []string{"shop-a zero", "shop-a one"}},
		{"later", query(logs.Query{From: time.Now()}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			err := c.Logs(context.Background(), "production", test.o, func(l logs.Line) error {
				got = append(got, l.Pod+" "+l.Message)
				return nil
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if err == nil || !strings.Contains(err.Error(), "read the log of pod shop-away") {
				t.Errorf("of the pod that cannot be read: %v", err)
			}
		})
	}
}

func TestLogsEndWhenTheReaderHasEnough(t *testing.T) {
	api, c := logged(t)
	api.add("shop-a", "2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n")
	enough := errors.New("enough")
	if err := c.Logs(context.Background(), "production", LogOptions{}, func(logs.Line) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// TestWhatThePastIsToldThatIsHeld has a container that was restarted, one that is
// silent, and one that cannot be read.
func TestWhatThePastIsToldThatIsHeld(t *testing.T) {
	api, c := logged(t)
	api.add("shop-a", "2026-01-01T00:00:03Z three\n")
	api.add("shop-b", "2026-01-01T00:00:05Z five\n2026-01-01T00:00:06Z six\n")
	api.add("shop-away", "2026-01-01T00:00:01Z one\n")
	api.add("shop-silent", "")
	api.away["shop-away"] = true
	api.pods[0].Spec.NodeName = "node-7"
	api.pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = &core.ContainerStateTerminated{}
	api.logs["shop-a/previous"] = "2026-01-01T00:00:02Z two\n"
	past := func(held logs.Held) iter.Seq[logs.Line] {
		want := logs.Held{
			{Pod: "shop-a", Name: "web"}: at(t, "2026-01-01T00:00:02Z"),
			{Pod: "shop-b", Name: "web"}: at(t, "2026-01-01T00:00:05Z"),
		}
		if diff := cmp.Diff(want, held); diff != "" {
			t.Error(diff)
		}
		return slices.Values([]logs.Line{
			{Time: at(t, "2026-01-01T00:00:01Z"), Pod: "shop-gone", Message: "one"},
			{Time: at(t, "2026-01-01T00:00:04Z"), Pod: "shop-gone", Message: "four"},
		})
	}
	var got []string
	err := c.Logs(context.Background(), "production", LogOptions{Past: past}, func(l logs.Line) error {
		got = append(got, l.Pod+" "+l.Node+" "+l.Message)
		return nil
	})
	want := []string{"shop-gone  one", "shop-a node-7 two", "shop-a node-7 three", "shop-gone  four", "shop-b  five", "shop-b  six"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err == nil || !strings.Contains(err.Error(), "shop-away") {
		t.Errorf("of the pod that cannot be read: %v", err)
	}
}

func TestLogOptionsThatCannotBeMeant(t *testing.T) {
	_, c := logged(t)
	now := time.Now()
	for _, q := range []logs.Query{{Level: "loud"}, {From: now, Until: now.Add(-1)}} {
		if err := c.Logs(context.Background(), "production", query(q), nil); !fault.IsUsage(err) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func query(q logs.Query) LogOptions { return LogOptions{Query: q} }

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// TestFollow goes on over a new pod, and over a connection that breaks and
// brings old lines again.
func TestFollow(t *testing.T) {
	api, c := logged(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	api.more["shop-a"] = make(chan string)
	api.add("shop-a", "2026-01-01T00:00:01Z one\n")
	var got []string
	err := c.Logs(ctx, "production", LogOptions{Follow: true}, func(l logs.Line) error {
		got = append(got, l.Pod+" "+l.Message)
		switch l.Message {
		case "one":
			go func() { api.more["shop-a"] <- "2026-01-01T00:00:02Z two\n" }()
		case "two":
			api.add("shop-b", "2026-01-01T00:00:03Z three\n")
		case "three":
			api.mu.Lock()
			api.logs["shop-a"] += "2026-01-01T00:00:02Z two\n2026-01-01T00:00:04Z four\n"
			broken := api.more["shop-a"]
			api.more["shop-a"] = nil
			api.mu.Unlock()
			close(broken)
		case "four":
			cancel()
		}
		return nil
	})
	if want := []string{"shop-a one", "shop-a two", "shop-b three", "shop-a four"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// FuzzScan looks for a log that makes reading go wrong: every line comes out,
// none with a line break but for what a program wrote in JSON.
func FuzzScan(f *testing.F) {
	f.Add("2026-01-01T00:00:01Z one\nno time\n\n2026-01-01T00:00:02Z\r\nlast")
	f.Fuzz(func(t *testing.T, log string) {
		lines := 0
		err := scan(strings.NewReader(log), source{pod: "p"}, time.Time{}.Add(-1), func(l logs.Line) error {
			lines++
			if l.Pod != "p" || l.Fields == nil && strings.Contains(l.Message, "\n") {
				t.Errorf("line %+v", l)
			}
			return nil
		})
		want := strings.Count(log, "\n")
		if log != "" && !strings.HasSuffix(log, "\n") {
			want++
		}
		if err != nil || lines > want {
			t.Errorf("%d lines of %d, %v", lines, want, err)
		}
	})
}

// TestFollowReadsWhatCameAndWent has a container that was restarted twice between two
// looks at the pods: the instance in the middle is there only as the one before.
func TestFollowReadsWhatCameAndWent(t *testing.T) {
	api, c := logged(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	api.more["shop-a"] = make(chan string)
	api.add("shop-a", "2026-01-01T00:00:01Z one\n")
	var got []string
	err := c.Logs(ctx, "production", LogOptions{Follow: true}, func(l logs.Line) error {
		got = append(got, l.Message)
		switch l.Message {
		case "one":
			api.mu.Lock()
			first := api.more["shop-a"]
			api.more["shop-a"] = nil
			api.logs["shop-a"], api.logs["shop-a/previous"] = "2026-01-01T00:00:03Z three\n", "2026-01-01T00:00:02Z two\n"
			status := &api.pods[0].Status.ContainerStatuses[0]
			status.ContainerID = "third"
			status.LastTerminationState.Terminated = &core.ContainerStateTerminated{ContainerID: "second"}
			api.mu.Unlock()
			close(first)
		case "three":
			time.AfterFunc(100*time.Millisecond, cancel) // should a line come twice
		}
		return nil
	})
	if want := []string{"one", "two", "three"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
