package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"berth/internal/fakedo/fake"
	"berth/internal/provider"
)

// never is a time at which no test runs any more.
var never = time.Now().Add(24 * time.Hour)

// setState brings the shop's cluster into a state, which it leaves for the next
// one at a time.
func (w *world) setState(t *testing.T, state godo.KubernetesClusterStatusState, until time.Time) {
	t.Helper()
	if err := w.do.Change(func(a *fake.Account) {
		for _, c := range a.Clusters {
			if c.Name != "shop" {
				continue
			}
			c.Status = &godo.KubernetesClusterStatus{State: state, Message: "no room"}
			c.Changed = until
			if c.Deleted = nil; state == deleting {
				c.Deleted = &until
				for _, project := range a.Projects { // none lists what is on its way out
					project.Resources = slices.DeleteFunc(project.Resources, func(r godo.ProjectResource) bool { return r.URN == c.URN() })
				}
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// notReady are the states of a cluster whose credentials cannot be read, which
// Terraform's plugin therefore can neither import nor refresh.
var notReady = []struct {
	state godo.KubernetesClusterStatusState
	says  string // to a command that needs the cluster
	hint  string
}{
	{godo.KubernetesClusterStatusProvisioning, "cluster shop is still being made", "berth init"},
	{godo.KubernetesClusterStatusError, `could not make cluster shop, which is in state "error" (no room)`, "berth destroy removes it"},
	{deleting, "cluster shop is being removed", "berth destroy"},
}

func TestACommandThatNeedsAClusterThatIsNotReadySaysSo(t *testing.T) {
	for _, c := range notReady {
		t.Run(string(c.state), func(t *testing.T) {
			w := start(t)
			w.makeCluster(t, mark)
			w.setState(t, c.state, never)
			_, err := w.Cluster(t.Context())
			wantError(t, err, c.says, c.hint)
			if !errors.Is(err, provider.ErrNotUp) {
				t.Error("it is no ErrNotUp")
			}
			wantError(t, w.Scale(t.Context(), provider.Scale{Nodes: 3}, w.said), c.says, c.hint)
			if _, err := w.Bucket(t.Context()); err != nil {
				t.Errorf("the bucket needs no cluster: %v", err)
			}
		})
	}
}

// Whatever state a cluster is in, known to Terraform or not, it can be removed.
func TestDestroyOfAClusterThatIsNotReady(t *testing.T) {
	for _, c := range notReady {
		for _, known := range []bool{false, true} {
			name := string(c.state)
			if known {
				name += " known to Terraform"
			}
			t.Run(name, func(t *testing.T) {
				w := start(t)
				initialized(t, w)
				w.expireCredentials(t)
				if !known {
					w.loseState(t)
				}
				w.makeOrphans(t, w.shop(t).ID)
				w.setState(t, c.state, never)
				ended := make(chan error, 1)
				go func() { _, err := w.Destroy(t.Context(), w.said); ended <- err }()
				if c.state == deleting {
					await(t, func() bool { return strings.Contains(w.said.String(), "DigitalOcean is removing it") || len(ended) > 0 })
					w.setState(t, deleting, time.Now())
				}
				if err := <-ended; err != nil {
					t.Fatalf("%v\n%s", err, w.said)
				}
				w.wantGone(t)
			})
		}
	}
}

// Init waits for a cluster that is on its way, and so does its plan, which a
// person is shown first.
func TestInitWaitsForTheCluster(t *testing.T) {
	for _, c := range []struct {
		state       godo.KubernetesClusterStatusState
		known, plan bool
	}{
		{godo.KubernetesClusterStatusProvisioning, false, true},
		{godo.KubernetesClusterStatusProvisioning, true, false},
		{deleting, true, true},
		{deleting, false, false},
	} {
		t.Run(fmt.Sprintf("%s known %v plan %v", c.state, c.known, c.plan), func(t *testing.T) {
			w := start(t)
			initialized(t, w)
			w.expireCredentials(t)
			if !c.known {
				w.loseState(t)
			}
			w.whileWaiting(t, c.state, func() error {
				if !c.plan {
					return w.Init(t.Context(), w.said)
				}
				_, err := w.Plan(t.Context(), w.said)
				return err
			})
			if c.plan {
				w.mustInit(t)
			}
			w.wantNoChange(t)
		})
	}
}

// whileWaiting does work that must wait, with words, until the cluster has left
// a state.
func (w *world) whileWaiting(t *testing.T, state godo.KubernetesClusterStatusState, work func() error) {
	t.Helper()
	w.setState(t, state, never)
	w.said.clear()
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	await(t, func() bool { return strings.Contains(w.said.String(), "; waiting for ") || len(ended) > 0 })
	w.setState(t, state, time.Now())
	if err := <-ended; err != nil || !strings.Contains(w.said.String(), "; waiting for ") {
		t.Fatalf("%v\n%s", err, w.said)
	}
}

func TestInitOfAClusterThatIsBrokenSaysWhatToDo(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.setState(t, godo.KubernetesClusterStatusError, never)
	_, err := w.Plan(t.Context(), w.said)
	wantError(t, err, `"error" (no room)`, "berth destroy removes it, and berth init makes a new one")
	wantError(t, w.Init(t.Context(), w.said), `"error" (no room)`, "berth destroy removes it, and berth init makes a new one")
}

// Some states refuse a removal for a while.
func TestARemovalThatIsRefusedIsTriedAgain(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.setState(t, godo.KubernetesClusterStatusError, never)
	w.do.Inject(fake.Fault{Method: http.MethodDelete, Path: "/v2/kubernetes/clusters/*", Status: http.StatusUnprocessableEntity, Times: 2})
	if _, err := w.Destroy(t.Context(), w.said); err != nil {
		t.Fatal(err)
	}
	w.wantGone(t)
}

// Clusters on their way out do not stand in anybody's way: neither others of the
// account, nor an old one of the same name.
func TestClustersOfOthersThatAreBeingRemoved(t *testing.T) {
	w := start(t)
	initialized(t, w)
	w.makeOthers(t)
	id := w.shop(t).ID
	if err := w.do.Change(func(a *fake.Account) {
		shop, others := a.Clusters[0], a.Clusters[1]
		old := *shop
		old.ID, old.VPCUUID, old.Deleted = "00000000-0000-4000-8000-000000000000", "", &never
		old.Status = &godo.KubernetesClusterStatus{State: deleting}
		unmarked := old
		unmarked.ID, unmarked.Tags = "00000000-0000-4000-8000-000000000001", nil
		others.Status, others.Deleted = &godo.KubernetesClusterStatus{State: deleting}, &never
		a.Clusters = []*fake.Cluster{&old, &unmarked, others, shop}
	}); err != nil {
		t.Fatal(err)
	}
	cluster, err := w.findCluster(t.Context())
	if err != nil || cluster.ID != id {
		t.Fatalf("found %+v, %v", cluster, err)
	}
	w.mustInit(t)
	if _, err := w.Destroy(t.Context(), w.said); err != nil {
		t.Fatalf("%v\n%s", err, w.said)
	}
}

func TestAnInterruptIsSaidAtOnce(t *testing.T) {
	w := start(t)
	ctx, interrupt := context.WithCancel(t.Context())
	w.do.Inject(fake.Fault{Method: http.MethodPost, Path: "/v2/vpcs", After: 1, Hang: true})
	ended := make(chan error, 1)
	go func() { ended <- w.Init(ctx, w.said) }()
	await(t, func() bool { return strings.Contains(w.said.String(), "Make the network") })
	interrupt()
	// Terraform waits for the answer.
	await(t, func() bool { return strings.Contains(w.said.String(), "note: interrupted: ") })
	select {
	case err := <-ended:
		t.Fatalf("it had ended already, with %v", err)
	default:
	}
	w.do.Release()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	w.mustInit(t)
	w.wantOne(t, "s-2vcpu-4gb", 2)
}

func TestAnInterruptEndsAWaitAtOnce(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.setState(t, godo.KubernetesClusterStatusProvisioning, never)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.awaitSettled(ctx, w.said) }()
	await(t, func() bool { return strings.Contains(w.said.String(), "DigitalOcean is making it") })
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// await waits until something has happened.
func await(t *testing.T, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

var expiry = regexp.MustCompile(`"expires_at": "[^"]*"`)

// expireCredentials has Terraform's plugin read the cluster's credentials again:
// those in the state last for five minutes.
func (w *world) expireCredentials(t *testing.T) {
	t.Helper()
	path := filepath.Join(w.folder(), "terraform", stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // nothing is known
	}
	if err != nil {
		t.Fatal(err)
	}
	text = expiry.ReplaceAll(text, []byte(`"expires_at": "2020-01-01T00:00:00Z"`))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// loseState takes away what this machine knows of the cluster.
func (w *world) loseState(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(w.folder()); err != nil {
		t.Fatal(err)
	}
}
