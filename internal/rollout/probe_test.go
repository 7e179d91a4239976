package rollout

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth/internal/kube"
)

// unanswered is a Deployment with one pod whose start-up probe fails with a
// message. It has run for some time, and been restarted so often.
func unanswered(message string, began time.Time, restarts int32) *Snapshot {
	s := scene()
	pod := s.pod("shop-r2-a")
	pod.CreationTimestamp = metav1.NewTime(began)
	pod.Status.Conditions = nil
	pod.Spec.Containers = []core.Container{{
		Name:  "web",
		Ports: []core.ContainerPort{{Name: "http", ContainerPort: 8000}},
		StartupProbe: &core.Probe{PeriodSeconds: 1, FailureThreshold: 120, ProbeHandler: core.ProbeHandler{
			HTTPGet: &core.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("http"), Scheme: "HTTP"}}},
	}}
	no := false
	status := core.ContainerStatus{Name: "web", Started: &no, RestartCount: restarts,
		State: core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: metav1.NewTime(began)}}}
	if restarts > 0 {
		status.LastTerminationState.Terminated = &core.ContainerStateTerminated{Reason: "Completed",
			StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(121 * time.Second))}
		status.State.Running.StartedAt = metav1.NewTime(began.Add(122 * time.Second))
	}
	pod.Status.ContainerStatuses = []core.ContainerStatus{status}
	s.events = []core.Event{{Reason: "Unhealthy", Type: "Warning", Message: "Startup probe failed: " + message, LastTimestamp: metav1.NewTime(began),
		InvolvedObject: core.ObjectReference{Kind: "Pod", Name: pod.Name, UID: pod.UID, FieldPath: "spec.containers{web}"}}}
	return s
}

const refusedConnection = `Get "http://10.118.1.5:8000/readyz": dial tcp 10.118.1.5:8000: connect: connection refused`

// What will not change ends a rollout soon, what may change when the last chance
// to start is over, and in both cases it is the probe that is spoken of: to the
// kubelet's own words it was a crash with exit code 0.
func TestAProbeThatFails(t *testing.T) {
	tests := []struct {
		name, message string
		restarts      int32
		// from is when the rollout ends.
		from time.Duration
		want string
	}{
		{"asks for a login", "HTTP probe failed with statuscode: 401", 0, 15 * time.Second, "GET /readyz on port 8000 answers 401"},
		{"refuses the name", "HTTP probe failed with statuscode: 400", 0, 15 * time.Second, "GET /readyz on port 8000 answers 400"},
		{"is not ready yet", "HTTP probe failed with statuscode: 503", 0, 131 * time.Second, "answers 503, for the 2m0s that it may take to start"},
		{"has no such path yet", "HTTP probe failed with statuscode: 404", 0, 131 * time.Second, "answers 404"},
		{"listens nowhere", refusedConnection, 0, 131 * time.Second, "is refused: the program runs, but nothing listens there"},
		{"was stopped for it", refusedConnection, 1, 0, "is refused: the program runs"},
		{"does not answer", `Get "http://10.118.1.5:8000/readyz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, 0, 131 * time.Second, "does not answer in time"},
		{"redirects to TLS", `Get "https://10.118.1.5/readyz": dial tcp 10.118.1.5:443: connect: connection refused`, 0, 15 * time.Second, "redirects to https"},
		{"redirects in a circle", `Get "/readyz": stopped after 10 redirects`, 0, 15 * time.Second, "redirects in a circle"},
		{"speaks TLS", `Get "http://10.118.1.5:8000/readyz": net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01"`, 0, 15 * time.Second, "it may be TLS"},
		{"hangs up", `Get "http://10.118.1.5:8000/readyz": EOF`, 0, 131 * time.Second, "has its connection closed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			g := grace{started: began, first: map[string]time.Time{}}
			s := unanswered(test.message, began, test.restarts)
			ws := []Workload{{"Deployment", "shop"}}
			for at := time.Duration(0); at < 3*time.Minute; at += time.Second {
				reasons := g.lost(s, ws, began.Add(at))
				if len(reasons) == 0 {
					continue
				}
				if at != test.from {
					t.Errorf("the rollout ended after %s, want %s", at, test.from)
				}
				if r := reasons[0]; !strings.Contains(r.Message, test.want) || !strings.Contains(r.Hint, "berth.yaml") && !strings.Contains(r.Hint, "log") {
					t.Errorf("got %q, hint %q; want %q", r.Message, r.Hint, test.want)
				}
				return
			}
			t.Error("the rollout did not end")
		})
	}
}

func TestAProgramThatSaysWhereItListens(t *testing.T) {
	tests := []struct{ line, want string }{
		{"listening on 127.0.0.1:8080", "127.0.0.1:8080"},
		{" * Running on http://127.0.0.1:5000", "127.0.0.1:5000"},
		{"[2026-01-01 00:00:00 +0000] [7] [INFO] Listening at: http://127.0.0.1:8000 (7)", "127.0.0.1:8000"},
		{"INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", "127.0.0.1:8000"},
		{"Starting development server at http://127.0.0.1:8000/", "127.0.0.1:8000"},
		{"Server listening on http://localhost:8000", "localhost:8000"},
		{"Listening on [::1]:8000", "[::1]:8000"},
		{"listening on :3000", "port 3000"},
		{"Server is listening on port 3000", "port 3000"},
		{"Example app listening on port 8000!", ""},
		{"listening on 0.0.0.0:8000", ""},
		{"connected to db:5432", ""},
		{"server started in 1200 ms", ""},
	}
	for _, test := range tests {
		got := listensElsewhere([]string{"starting", test.line}, "8000")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.line, got, test.want)
		}
	}
}

// A program that says itself that it listens elsewhere is not waited for.
func TestMisplacedProgramsAreNotWaitedFor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("knob mode=ok\nlistening on 127.0.0.1:8080\n"))
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-listenTime)
	r := &Rollout{Client: kube.API{Interface: client}, Namespace: "production", Workloads: []Workload{{"Deployment", "shop"}},
		grace: grace{started: began}, asked: map[string]time.Time{}}
	got := (&Error{r.misplaced(t.Context(), unanswered(refusedConnection, began, 0))}).Error()
	if want := "the program says that it listens on 127.0.0.1:8080"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
