package release

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/traffic"
)

// counting is an ingress that counts: each pod gets requests, and its image says how
// many of a hundred it answers 5xx.
type counting struct {
	w       *world
	failing map[string]int
	idle    string // the image whose pods get no requests

	mu      sync.Mutex
	counted map[string]traffic.Endpoint
	err     error
}

func (i *counting) read(ctx context.Context, environment string) (map[string]traffic.Endpoint, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return nil, i.err
	}
	pods, err := i.w.clientset.CoreV1().Pods(environment).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		if pod.Spec.Containers[0].Image == i.idle {
			continue
		}
		at := pod.Status.PodIP + ":8000"
		e := i.counted[at]
		e.Bounds, e.Buckets = []float64{0.25, 0.5}, []int{e.Classes[2] + e.Classes[5] + 100, 0, 0}
		failing := i.failing[pod.Spec.Containers[0].Image]
		e.Classes[2] += 100 - failing
		e.Classes[5] += failing
		i.counted[at] = e
	}
	all := map[string]traffic.Endpoint{}
	for at, e := range i.counted {
		all[at] = e
	}
	return all, nil
}

// judgedWorld is a world whose environment has its new revisions judged.
func judgedWorld(t *testing.T) (*world, *Client, *counting) {
	w, c := newWorld(t)
	c.cluster.Ingress = &provider.Ingress{}
	e := c.config.Environments["production"]
	e.Hosts = []string{"shop.localhost"}
	c.config.Environments["production"] = e
	c.config.Judge = config.Judge(time.Minute)
	i := &counting{w: w, failing: map[string]int{}, counted: map[string]traffic.Endpoint{}}
	c.traffic = i.read
	return w, c, i
}

func TestRevisionThatAnswersWorseGoesBack(t *testing.T) {
	_, c, i := judgedWorld(t)
	i.failing["good:2"] = 5
	mustDeploy(t, c, "good:1")
	for range 2 { // what it answers before the next deploy begins
		if _, err := i.read(t.Context(), "production"); err != nil {
			t.Fatal(err)
		}
	}
	failed := failingDeploy(t, c, "good:2")
	if !failed.Served || failed.To != 1 || failed.Back != 3 {
		t.Errorf("got %+v", failed)
	}
	want := "revision 2: MoreErrors: 40 of 800 requests (5.0 %) to it were answered 5xx, 0 of 600 to revision 1"
	if got := failed.Report(); !strings.HasPrefix(got, "revision 2 (good:2) of production answers worse than the one before\n\n"+want+"\n") {
		t.Errorf("report:\n%s", got)
	}
	wantHistory(t, c,
		"1 superseded good:1: deploy good:1 by mira@laptop",
		"2 failed good:2: deploy good:2 by mira@laptop: failed: "+want,
		"3 deployed good:1: back to 1 after 2 failed, by mira@laptop")
	// It is no good for going back to either.
	mustDeploy(t, c, "good:3")
}

func TestWhatIsSaidOfRevisionsThatStay(t *testing.T) {
	for _, test := range []struct {
		name string
		// given changes the world before the second deploy.
		given func(*world, *Client, *counting)
		note  string
	}{
		{"as good", func(*world, *Client, *counting) {}, "revision 2 is not clearly worse than revision 1: 6000 requests, 0 errors in 1m0s"},
		{"as bad", func(_ *world, _ *Client, i *counting) { i.failing["good:1"], i.failing["good:2"] = 20, 20 },
			"revision 2 is not clearly worse than revision 1: 6000 requests, 1200 errors in 1m0s"},
		{"nothing before", func(_ *world, _ *Client, i *counting) { i.idle = "good:1" },
			"revision 2 has nothing to be compared with, as revision 1 got no requests: 6000 requests, 0 errors in 1m0s"},
		{"nothing at all", func(_ *world, _ *Client, i *counting) { i.idle = "good:2" },
			"revision 2 got no requests within 1m0s and cannot be judged"},
		{"another's ingress", func(_ *world, c *Client, _ *counting) { c.cluster.Ingress = nil },
			"the answers of the new revision are not judged: the cluster's ingress controller is not berth's, and only berth's counts requests"},
		{"no counters", func(_ *world, _ *Client, i *counting) { i.err = errors.New("no pod is ready") },
			"the answers of the new revision are not judged: no pod is ready"},
		{"counters that go", func(w *world, _ *Client, i *counting) {
			w.onUpdate = func(_, _ engine.ResourceList) { i.err = errors.New("no pod is ready") }
		}, "revision 2 is not judged: the ingress' counters could not be read"},
		{"never", func(_ *world, c *Client, _ *counting) {
			e := c.config.Environments["production"]
			e.Judge = -1
			c.config.Environments["production"] = e
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, c, i := judgedWorld(t)
			mustDeploy(t, c, "good:1")
			test.given(w, c, i)
			said := &notes{Reporter: progress.Discard}
			made, err := c.Deploy(context.Background(), "production", "good:2", said)
			if err != nil || made.Number != 2 {
				t.Fatalf("got %+v, %v", made, err)
			}
			if test.note == "" && slices.ContainsFunc(said.texts, func(line string) bool { return strings.Contains(line, "judge") }) ||
				test.note != "" && !slices.Contains(said.texts, test.note) {
				t.Errorf("noted %q, want %q", said.texts, test.note)
			}
		})
	}
}

func TestInterruptedJudgingLeavesTheRevision(t *testing.T) {
	_, c, _ := judgedWorld(t)
	mustDeploy(t, c, "good:1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said := &notes{Reporter: judgingReporter{progress.Discard, cancel}}
	made, err := c.Deploy(ctx, "production", "good:2", said)
	if err != nil || made.Number != 2 || made.State != StateDeployed {
		t.Errorf("got %+v, %v", made, err)
	}
	if !slices.ContainsFunc(said.texts, func(line string) bool {
		return strings.HasPrefix(line, "revision 2 stays: its judging was interrupted after ")
	}) {
		t.Errorf("noted %q", said.texts)
	}
}

// judgingReporter calls a function once a revision is judged.
type judgingReporter struct {
	progress.Reporter
	then func()
}

func (r judgingReporter) Step(string) progress.Step { return judgingStep{r.then} }

type judgingStep struct{ then func() }

func (judgingStep) End(error) {}
func (s judgingStep) Detail(text string) {
	if strings.HasPrefix(text, "judging revision 2: ") {
		s.then()
	}
}
