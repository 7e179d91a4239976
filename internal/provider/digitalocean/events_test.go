package digitalocean

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What Terraform writes while it applies, in pieces as a pipe may cut them.
func TestTerraformsEventsBecomeSteps(t *testing.T) {
	said := &journal{}
	e := &events{reporter: said}
	stream := strings.Join([]string{
		`{"@level":"info","@message":"Terraform 1.11.4","type":"version"}`,
		`a plugin prints what it likes`,
		`{"type":"apply_start","hook":{"resource":{"addr":"digitalocean_kubernetes_cluster.main"},"action":"create"}}`,
		`{"type":"apply_start","hook":{"resource":{"addr":"digitalocean_record.host[\"example.com\"]"},"action":"delete"}}`,
		`{"type":"apply_progress","hook":{"resource":{"addr":"digitalocean_kubernetes_cluster.main"},"action":"create","elapsed_seconds":130}}`,
		`{"type":"apply_complete","hook":{"resource":{"addr":"digitalocean_record.host[\"example.com\"]"},"action":"delete"}}`,
		`{"type":"apply_errored","hook":{"resource":{"addr":"digitalocean_kubernetes_cluster.main"},"action":"create"}}`,
		`{"type":"diagnostic","diagnostic":{"severity":"warning","summary":"not this"}}`,
		`{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Error creating cluster","detail":"POST https://api.digitalocean.com/v2/kubernetes/clusters: 403 You are not authorized","address":"digitalocean_kubernetes_cluster.main"}}`,
	}, "\n") + "\n"
	for len(stream) > 0 {
		n := min(37, len(stream))
		if _, err := e.Write([]byte(stream[:n])); err != nil {
			t.Fatal(err)
		}
		stream = stream[n:]
	}
	if want := `Make the Kubernetes cluster
Remove the DNS record example.com
Make the Kubernetes cluster: since 2m10s
Make the Kubernetes cluster failed: see below`; said.String() != want {
		t.Errorf("it says\n%s", said)
	}
	err := explainRun("apply the plan", errors.New("exit status 1"), e)
	wantError(t, err, "the Kubernetes cluster: Error creating cluster: POST", "add it to the token")
	wantError(t, err, "is missing the scope kubernetes:create", "")
}

func TestTerraformsFramesAreTakenAway(t *testing.T) {
	err := errors.New("exit status 1\n╷\n│ Warning: old\n│\n│ It is old.\n╵\n╷\n│ Error: Backend failed\n│\n│   dial tcp: refused\n╵\n")
	if got := explainRun("initialize Terraform", err, nil).Error(); got != "initialize Terraform: Backend failed dial tcp: refused" {
		t.Errorf("got %q", got)
	}
	if err := explainRun("plan", context.Canceled, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt became %v", err)
	}
}
