package preview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/kube/own"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/release"
)

// world is a cluster in which deploys only call their stages.
type world struct {
	*Client
	did []string
	// broken are errors of what is done, by its name.
	broken map[string]error
	at     time.Time
}

func newWorld() *world {
	w := &world{broken: map[string]error{}, at: time.Date(2026, 11, 27, 10, 0, 30, 0, time.UTC)}
	c := &config.Config{
		Name:         "shop",
		Previews:     config.Previews{From: "production", Data: config.CopiedData, Host: "*.preview.shop.example", Expire: config.Duration(72 * time.Hour), Limit: 2},
		Environments: map[string]config.Environment{"production": {}},
	}
	w.Client = &Client{cluster: &provider.Cluster{}, config: c, kube: fake.NewClientset(), now: func() time.Time { return w.at }}
	w.free = func(context.Context, *Preview) error { return w.broken["free"] }
	w.fill = func(_ context.Context, namespace string, entry *backup.Entry, _ progress.Step) error {
		w.did = append(w.did, "restore "+entry.ID+" to "+namespace)
		return w.broken["fill"]
	}
	w.deploy = func(ctx context.Context, wanted Wanted, p *Preview, stages release.Stages, _ progress.Reporter) (release.Revision, error) {
		if stages.Ready != nil {
			if err := stages.Ready(ctx); err != nil {
				return release.Revision{}, fmt.Errorf("the servers do not serve: %w", err)
			}
		}
		w.did = append(w.did, "deploy "+wanted.Image+" to "+p.Environment)
		return release.Revision{Number: 1}, w.broken["deploy"]
	}
	return w
}

func (w *world) make(t *testing.T, branch string, seed func(context.Context, *Preview) error) (*Preview, error) {
	t.Helper()
	p, _, err := w.Make(t.Context(), Wanted{
		Branch: branch, Commit: strings.Repeat("a", 40), Image: "shop:1", Expirer: "watch:1", Seed: seed,
		Backup: func(context.Context) (*backup.Entry, error) {
			return &backup.Entry{Manifest: backup.Manifest{ID: "b1"}, Verified: &backup.Verification{ID: "b1", OK: true}}, w.broken["backup"]
		},
	}, progress.Discard)
	w.at = w.at.Add(time.Minute)
	return p, err
}

func (w *world) namespace(t *testing.T, name string) *core.Namespace {
	t.Helper()
	n, err := w.kube.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return n
}

func TestAPreviewIsFilledBeforeItIsDeployed(t *testing.T) {
	w := newWorld()
	p, err := w.make(t, "feature/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Data != "b1" || !strings.HasPrefix(p.Host, "feature-login-0") || !strings.HasSuffix(p.Host, ".preview.shop.example") {
		t.Errorf("it is %+v", p)
	}
	if want := []string{"restore b1 to " + p.Environment, "deploy shop:1 to " + p.Environment}; !slices.Equal(w.did, want) {
		t.Errorf("it did %q", w.did)
	}
	n := w.namespace(t, p.Environment)
	if n.Labels[own.ManagedBy] != own.Manager || n.Labels[ofLabel] != "shop" || n.Labels[commitLabel] != strings.Repeat("a", 40) ||
		n.Annotations[branchAnnotation] != "feature/login" || n.Annotations[own.ExpiresAnnotation] != "2026-11-30T10:00:30Z" {
		t.Errorf("the namespace says %v, %v", n.Labels, n.Annotations)
	}
	// The next call keeps the data and begins the time again.
	w.did = nil
	p, err = w.make(t, "feature/login", nil)
	if err != nil || len(w.did) != 1 || p.Data != "b1" || !p.Expires.Equal(time.Date(2026, 11, 30, 10, 1, 30, 0, time.UTC)) {
		t.Errorf("it did %q and is %+v, %v", w.did, p, err)
	}
	job, err := w.kube.BatchV1().CronJobs(p.Environment).Get(t.Context(), expiry, metav1.GetOptions{})
	if err != nil || job.Spec.Schedule != "2 10 30 11 *" {
		t.Errorf("it expires at %v, %v", job, err)
	}
	found, err := w.Find(t.Context(), "feature/login")
	if err != nil || found == nil || found.Environment != p.Environment {
		t.Errorf("it is found as %+v, %v", found, err)
	}
	if err := w.Remove(t.Context(), found, progress.Discard); err != nil || w.namespace(t, p.Environment) != nil {
		t.Errorf("it is left: %v", err)
	}
}

// Data that was masked otherwise stays as it is, which is said.
func TestAnotherMaskIsSaid(t *testing.T) {
	w := newWorld()
	var said notes
	for i, masks := range []map[string]string{{"users.email": "email"}, {"users.email": "email"}, {"users.email": "email", "users.name": ""}} {
		w.config.Previews.Mask = masks
		_, _, err := w.Make(t.Context(), Wanted{Branch: "login", Backup: func(context.Context) (*backup.Entry, error) {
			return &backup.Entry{Manifest: backup.Manifest{ID: "b1"}, Verified: &backup.Verification{ID: "b1", OK: true}}, nil
		}}, &said)
		if err != nil || (len(said) > 0) != (i == 2) {
			t.Errorf("call %d: %v, it says %q", i, err, said)
		}
	}
}

// notes keeps what is noted.
type notes []string

func (n *notes) Step(string) progress.Step { return progress.Discard.Step("") }
func (n *notes) Note(text string)          { *n = append(*n, text) }

// A copy that was not masked to the end is nobody's to see.
func TestWhatIsHalfDoneIsRemoved(t *testing.T) {
	for _, what := range []string{"fill", "backup"} {
		w := newWorld()
		w.broken[what] = fault.WithHint(errors.New("orders.note holds what users.email held"), "mask it")
		_, err := w.make(t, "login", nil)
		if err == nil || strings.Contains(err.Error(), "do not serve") || !strings.Contains(err.Error(), "orders.note holds") || fault.Hint(err) != "mask it" {
			t.Errorf("%s: got %v, hint %q", what, err, fault.Hint(err))
		}
		if w.namespace(t, "shop-preview-login") != nil {
			t.Errorf("%s: the namespace is left", what)
		}
	}
	// An application that does not serve is there to be looked at.
	w := newWorld()
	w.broken["deploy"] = errors.New("it crashes")
	if _, err := w.make(t, "login", nil); err == nil || w.namespace(t, "shop-preview-login") == nil {
		t.Errorf("%v, or it is gone", err)
	}
}

// Killed before the data was there, the next call starts over; while somebody is at it,
// it does not.
func TestAKilledOneIsMadeAnew(t *testing.T) {
	w := newWorld()
	left := &core.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "shop-preview-login", UID: "left", CreationTimestamp: metav1.NewTime(w.at.Add(-time.Minute)),
		Labels: map[string]string{own.ManagedBy: own.Manager, ofLabel: "shop"}, Annotations: map[string]string{branchAnnotation: "login"},
	}}
	if _, err := w.kube.CoreV1().Namespaces().Create(t.Context(), left, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.broken["free"] = kube.ErrLocked
	if _, err := w.make(t, "login", nil); !errors.Is(err, kube.ErrLocked) || w.namespace(t, left.Name).UID != "left" {
		t.Errorf("what somebody else makes: %v", err)
	}
	w.broken["free"] = nil
	p, err := w.make(t, "login", nil)
	if err != nil || p.Data != "b1" || w.namespace(t, left.Name).UID == "left" {
		t.Errorf("it is %+v, %v", p, err)
	}
}

func TestSomebodyElsesNamespaceIsLeftAlone(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"not berth's":           {ofLabel: "shop"},
		"another application's": {own.ManagedBy: own.Manager, ofLabel: "other"},
		"of another branch":     {own.ManagedBy: own.Manager, ofLabel: "shop"},
	} {
		w := newWorld()
		n := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop-preview-login", Labels: labels, Annotations: map[string]string{branchAnnotation: "another"}}}
		if _, err := w.kube.CoreV1().Namespaces().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.make(t, "login", nil); err == nil || !strings.Contains(err.Error(), "is not the preview of login") || len(w.did) > 0 {
			t.Errorf("%s: got %v, did %q", name, err, w.did)
		}
	}
}

func TestTheLimit(t *testing.T) {
	w := newWorld()
	made := w.at
	for _, branch := range []string{"one", "two"} {
		p, err := w.make(t, branch, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := w.namespace(t, p.Environment)
		n.CreationTimestamp = metav1.NewTime(made)
		made = made.Add(time.Minute)
		if _, err := w.kube.CoreV1().Namespaces().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Admit(t.Context(), "two"); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	err := w.Admit(t.Context(), "three")
	if err == nil || !strings.Contains(err.Error(), "there are 2 previews already") || !strings.Contains(err.Error(), "that of one") || fault.Hint(err) != "berth preview remove one" {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
}

func TestASeedIsRunOnce(t *testing.T) {
	w := newWorld()
	w.config.Previews.Data = config.EmptyData
	seeds, broken := 0, errors.New("no such table")
	seed := func(context.Context, *Preview) error { seeds++; return broken }
	if _, err := w.make(t, "login", seed); !errors.Is(err, broken) || w.namespace(t, "shop-preview-login") == nil {
		t.Fatalf("got %v", err)
	}
	broken = nil
	for range 2 {
		if p, err := w.make(t, "login", seed); err != nil || p.Data != "empty" {
			t.Fatalf("it is %+v, %v", p, err)
		}
	}
	if seeds != 2 {
		t.Errorf("it was seeded %d times", seeds)
	}
	if p, err := w.make(t, "other", nil); err != nil || p.Data != "empty" {
		t.Errorf("without a seed it is %+v, %v", p, err)
	}
}

// What removes a preview may do nothing but that.
func TestWhatRemovesAPreview(t *testing.T) {
	w := newWorld()
	p, err := w.make(t, "login", nil)
	if err != nil {
		t.Fatal(err)
	}
	role, err := w.kube.RbacV1().Roles(p.Environment).Get(t.Context(), expiry, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{p.Environment}, Verbs: []string{"get", "delete"}}
	if len(role.Rules) != 1 || fmt.Sprint(role.Rules[0]) != fmt.Sprint(want) {
		t.Errorf("it may %v", role.Rules)
	}
	for expires, schedule := range map[string]string{"2026-11-30T10:00:00Z": "0 10 30 11 *", "2026-12-31T23:59:01Z": "0 0 1 1 *", "2026-03-01T01:00:30+01:00": "1 0 1 3 *"} {
		at, err := time.Parse(time.RFC3339, expires)
		if err != nil {
			t.Fatal(err)
		}
		if got := expiryJob("n", "i", "", at).Schedule; got != schedule {
			t.Errorf("what expires at %s is removed at %s; want %s", expires, got, schedule)
		}
	}
	bindings, err := w.kube.RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(bindings.Items) > 0 {
		t.Errorf("it has rights outside of the namespace: %v, %v", bindings, err)
	}
	quotas, err := w.kube.CoreV1().ResourceQuotas(p.Environment).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(quotas.Items) != 1 {
		t.Errorf("quotas %v, %v", quotas, err)
	}
}
