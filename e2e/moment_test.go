//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var moments = flag.Int("moments", 1, "how often Moment destroys the database")

// promised is how much of what was acknowledged may be lost with the database.
const promised = 5 * time.Second

// What was acknowledged is there again: before a DELETE without a WHERE, and when the
// database's pod and its volume are gone.
func testMoment(t *testing.T) {
	c := running(t)
	writer := newSite(t, production).as(t, unique("chronicler"))
	streamReaches(t, time.Now())

	written := beginNotes(writer, unique("before"))
	time.Sleep(3 * time.Second)
	written.end(t)
	time.Sleep(time.Second)
	before := time.Now()
	time.Sleep(time.Second)
	mustBerth(t, "psql", "production", "--write", "-c", "DELETE FROM articles")
	restore := mustBerth(t, "backup", "restore", "--yes", "--no-safety-backup", "--at", before.UTC().Format(time.RFC3339Nano))
	restore.wants(t, 0, "Nothing could be written for")
	t.Logf("a DELETE without WHERE was undone in %s", restore.took.Round(100*time.Millisecond))
	written.judge(t, 0)

	if *moments > 1 {
		mustBerth(t, "scale", "--nodes", "2")
		defer mustBerth(t, "scale", "--nodes", "1")
	}
	for round := range *moments {
		withNode := *moments > 1 && round%4 == 1
		if withNode {
			c.moveDatabase(t, "node-2")
		}
		streamReaches(t, time.Now())
		written := beginNotes(writer, unique("lost"))
		if round > 0 && round == *moments-1 {
			bucketIsAway(t, time.Minute)
			streamReaches(t, time.Now())
		}
		time.Sleep(promised + time.Duration(rand.IntN(5000))*time.Millisecond)
		what := "the pod and the volume"
		bringBack := func() {}
		if withNode {
			what = "the pod, the volume and the node"
			bringBack = c.destroyNode(t, "node-2")
		}
		c.destroyDatabase(t)
		written.end(t)
		c.awaitEmptyDatabase(t)
		restore := mustBerth(t, "backup", "restore", "--yes", "--no-safety-backup", "--at", "latest")
		youngest := written.judge(t, promised)
		bringBack()
		t.Logf("round %d, without %s: of %d acknowledged writes (%.0f a second), the youngest that is there was %s old when the last one was acknowledged; restored in %s",
			round+1, what, len(written.acknowledged), written.rate(), youngest.Round(time.Millisecond), restore.took.Round(100*time.Millisecond))
	}
}

// bucketIsAway has the bucket answer nobody for a time.
func bucketIsAway(t *testing.T, during time.Duration) {
	t.Helper()
	gateway, err := partPID("s3-gateway")
	if err != nil {
		t.Fatal(err)
	}
	signal(t, gateway, syscall.SIGSTOP)
	defer signal(t, gateway, syscall.SIGCONT)
	t.Logf("the bucket is away for %s", during)
	time.Sleep(during)
}

// streamReaches waits until berth status says that the log up to a moment is in the
// bucket.
func streamReaches(t *testing.T, at time.Time) {
	t.Helper()
	waitFor(t, "the log to reach the bucket", time.Minute, func() error {
		var seen struct {
			Backups []struct {
				Environment string
				Stream      *struct {
					Reached *time.Time
					Problem string
				}
			}
		}
		// Its status may be another's, such as a pod's that is replaced.
		o := berth(t, "status", "--json")
		if err := json.Unmarshal([]byte(o.printed), &seen); err != nil {
			return err
		}
		for _, b := range seen.Backups {
			if b.Environment == "production" && b.Stream != nil && b.Stream.Reached != nil && b.Stream.Reached.After(at) {
				return nil
			}
		}
		return fmt.Errorf("it has not yet: %s", o.printed)
	})
}

// notes are writes, and when each was acknowledged.
type notes struct {
	prefix       string
	stop         chan struct{}
	done         sync.WaitGroup
	mu           sync.Mutex
	acknowledged map[string]time.Time // by title
}

// beginNotes writes articles from several clients until end, and from more where Moment
// takes its time.
func beginNotes(as *site, prefix string) *notes {
	n := &notes{prefix: prefix, stop: make(chan struct{}), acknowledged: map[string]time.Time{}}
	clients := 4
	if *moments > 1 {
		clients = 16
	}
	for client := range clients {
		n.done.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-n.stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				title := fmt.Sprintf("%s-%d-%d", prefix, client, i)
				if try(as, "POST", "/api/articles", object{"article": object{"title": title, "description": "noted", "body": "noted"}}) == nil {
					n.mu.Lock()
					n.acknowledged[title] = time.Now()
					n.mu.Unlock()
				}
			}
		})
	}
	return n
}

// rate is how many writes a second were acknowledged.
func (n *notes) rate() float64 {
	at := slices.SortedFunc(maps.Values(n.acknowledged), time.Time.Compare)
	return float64(len(at)) / at[len(at)-1].Sub(at[0]).Seconds()
}

func (n *notes) end(t *testing.T) {
	t.Helper()
	close(n.stop)
	n.done.Wait()
	if len(n.acknowledged) < 20 {
		t.Fatalf("only %d writes were acknowledged", len(n.acknowledged))
	}
}

// judge compares what is there with what was acknowledged, but for what is younger
// than may be lost. It returns the age of the youngest that is there.
func (n *notes) judge(t *testing.T, mayLose time.Duration) (youngest time.Duration) {
	t.Helper()
	status, out, errs := piped(t, []byte("SELECT title FROM articles WHERE title LIKE '"+n.prefix+"-%';\n"), "psql", "production", "--", "--tuples-only", "--no-align")
	if status != 0 {
		t.Fatalf("psql: status %d: %s", status, errs)
	}
	there := map[string]int{}
	for title := range strings.Lines(string(out)) {
		there[strings.TrimSpace(title)]++
	}
	var last time.Time
	for _, at := range n.acknowledged {
		if at.After(last) {
			last = at
		}
	}
	lost, doubled := 0, 0
	youngest = last.Sub(time.Time{})
	for title, at := range n.acknowledged {
		switch age := last.Sub(at); {
		case there[title] > 1:
			doubled++
		case there[title] == 1:
			youngest = min(youngest, age)
		case age > mayLose || mayLose == 0:
			lost++
		}
	}
	if lost > 0 || doubled > 0 {
		t.Errorf("of %d acknowledged writes %d are lost that were older than %s, and %d are doubled", len(n.acknowledged), lost, mayLose, doubled)
	}
	return youngest
}

const databasePod, databaseClaim = "realworld-postgresql-0", "data-realworld-postgresql-0"

// destroyDatabase removes the database's pod, at once, and its volume.
func (c *cluster) destroyDatabase(t *testing.T) {
	t.Helper()
	ctx, now := t.Context(), int64(0)
	claims, pods := c.CoreV1().PersistentVolumeClaims("production"), c.CoreV1().Pods("production")
	before, err := claims.Get(ctx, databaseClaim, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Delete(ctx, databaseClaim, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// A pod that was made again before its claim has gone waits for it in vain.
	waitFor(t, "another volume", time.Minute, func() error {
		claim, err := claims.Get(ctx, databaseClaim, metav1.GetOptions{})
		if err == nil && claim.UID != before.UID {
			return nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err := pods.Delete(ctx, databasePod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		time.Sleep(time.Second)
		return errors.New("the old one is still there")
	})
}

// moveDatabase has the database's pod run on a node.
func (c *cluster) moveDatabase(t *testing.T, to string) {
	t.Helper()
	nodes, err := c.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		if node.Name != to {
			c.cordon(t, node.Name, true)
			defer c.cordon(t, node.Name, false)
		}
	}
	pods := c.CoreV1().Pods("production")
	if err := pods.Delete(t.Context(), databasePod, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitDatabase(t, to)
}

// destroyNode ends all that runs on a node at once and takes the node away, as a cloud
// does with a machine that is lost. It returns what brings the node back.
func (c *cluster) destroyNode(t *testing.T, name string) (bringBack func()) {
	t.Helper()
	containerd, err := partPID("containerd-" + name)
	if err != nil {
		t.Fatal(err)
	}
	kubelet, err := partPID("kubelet-" + name)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := c.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
	if err != nil {
		t.Fatal(err)
	}
	// They must not start again what is ended.
	signal(t, kubelet, syscall.SIGSTOP)
	signal(t, containerd, syscall.SIGSTOP)
	t.Cleanup(func() { // wherever the test ends: what is stopped cannot be ended in order
		for _, pid := range []int{kubelet, containerd} {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Errorf("go on with process %d: %v", pid, err)
			}
		}
	})
	for _, pod := range pods.Items {
		for _, pid := range podProcesses(t, pod) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
	}
	if err := c.CoreV1().Nodes().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return func() {
		signal(t, containerd, syscall.SIGCONT)
		kill(t, kubelet) // another registers the node again
		waitFor(t, name+" to be back", 2*time.Minute, func() error {
			node, err := c.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, condition := range node.Status.Conditions {
				if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue {
					return nil
				}
			}
			return errors.New("it is not ready")
		})
	}
}

// awaitEmptyDatabase waits until the empty database in its place serves.
func (c *cluster) awaitEmptyDatabase(t *testing.T) {
	t.Helper()
	waitFor(t, "the empty database", 2*time.Minute, func() error {
		pod, err := c.CoreV1().Pods("production").Get(t.Context(), databasePod, metav1.GetOptions{})
		if err == nil && !ready(pod) {
			err = errors.New("it is not ready")
		}
		return err
	})
}
