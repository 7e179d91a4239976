package digitalocean

import (
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"berth/internal/fakedo/fake"
)

func (w *world) remedies(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, check := range w.Check(t.Context()) {
		if check.Problem != "" {
			found[check.Name] = check.Problem + " / " + check.Remedy
		}
	}
	return found
}

func TestDoctorFindsNothingInAGoodAccount(t *testing.T) {
	w := start(t)
	w.config.Image = "ghcr.io/me/shop:1" // so that no builder is needed
	if found := w.remedies(t); len(found) > 0 {
		t.Errorf("it finds %v", found)
	}
	if len(w.do.Requests()) == 0 {
		t.Error("it did not look")
	}
}

func TestDoctorNamesWhatIsNotOnOffer(t *testing.T) {
	w := start(t)
	w.config.Image = "ghcr.io/me/shop:1"
	d := &w.config.DigitalOcean
	d.Region, d.Size, d.Version = "mars1", "s-99vcpu-1gb", "1.2"
	w.makeClusterOfOthers(t)
	found := w.remedies(t)
	for name, want := range map[string]string{
		"region mars1": "fra1", "size s-99vcpu-1gb": "s-2vcpu-4gb", "Kubernetes 1.2": "digitalocean.version", "cluster's name shop": "another name",
	} {
		if !strings.Contains(found[name], want) {
			t.Errorf("%s: %q, want one with %q", name, found[name], want)
		}
	}
}

func TestDoctorNamesABadToken(t *testing.T) {
	w := start(t)
	w.do.Inject(fake.Fault{Path: "/v2/*/*", Status: http.StatusUnauthorized, Times: -1})
	if got := w.remedies(t)["token"]; !strings.Contains(got, "does not accept the token") {
		t.Errorf("it says %q", got)
	}
}

func TestDoctorNamesTheScopesThatLack(t *testing.T) {
	w := start(t)
	w.config.DigitalOcean.Domain = "example.com"
	for _, one := range []string{"vpc:create", "kubernetes:update", "domain:create"} {
		w.do.LackScope(secretToken, one)
	}
	before := w.account(t)
	if got := w.remedies(t)["scopes of the token"]; !strings.Contains(got, "is missing some of the scopes domain:create, vpc:create, kubernetes:update") {
		t.Errorf("it says %q", got)
	}
	if diff := cmp.Diff(before, w.account(t)); diff != "" {
		t.Errorf("it changed the account:\n%s", diff)
	}
}

func TestDoctorNamesABrokenCluster(t *testing.T) {
	w := start(t)
	w.makeCluster(t, mark)
	w.setState(t, godo.KubernetesClusterStatusError, never)
	if got := w.remedies(t)["cluster shop"]; !strings.Contains(got, `in state "error" (no room)`) || !strings.Contains(got, "berth destroy removes it") {
		t.Errorf("it says %q", got)
	}
}
