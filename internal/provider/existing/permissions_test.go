package existing

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	rbac "k8s.io/api/rbac/v1"

	"berth/internal/config"
)

// The ClusterRole that the documentation has people make is the one that is
// asked about.
func TestTheDocumentedClusterRole(t *testing.T) {
	c := &config.Config{Existing: config.Existing{Issuer: "letsencrypt", Bucket: config.Bucket{Name: "b"}}}
	var want bytes.Buffer
	want.WriteString("```yaml\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: berth\nrules:\n")
	for _, rule := range Rules(c) {
		want.WriteString(line(rule))
	}
	want.WriteString("```\n")
	page, err := os.ReadFile("../../../docs/existing.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("docs/existing.md does not have\n%s", want.String())
	}
	without := len(Rules(c))
	c.DotEnv = map[string]string{config.AlertsURL: "ntfy://ntfy.sh/topic"}
	want.Reset()
	for _, rule := range Rules(c)[without:] {
		want.WriteString(line(rule))
	}
	if !strings.Contains(string(page), "```yaml\n"+want.String()+"```\n") {
		t.Errorf("docs/existing.md does not have, for alerts,\n%s", want.String())
	}
	without = len(Rules(c))
	c.Metrics = config.Metrics(15 * 24 * time.Hour)
	want.Reset()
	for _, rule := range Rules(c)[without:] {
		want.WriteString(line(rule))
	}
	if !strings.Contains(string(page), "```yaml\n"+want.String()+"```\n") {
		t.Errorf("docs/existing.md does not have, for metrics,\n%s", want.String())
	}
}

func line(r rbac.PolicyRule) string {
	return "  - {apiGroups: [\"" + r.APIGroups[0] + "\"], resources: [" + r.Resources[0] + "], verbs: [" + strings.Join(r.Verbs, ", ") + "]}\n"
}

// Only what is used is asked for.
func TestRightsFollowWhatIsUsed(t *testing.T) {
	for _, test := range []struct {
		what     string
		config   config.Config
		resource string
		want     bool
	}{
		{"log agent", config.Config{Existing: config.Existing{Bucket: config.Bucket{Name: "b"}}}, "pods/proxy", true},
		{"no log agent", config.Config{Logs: config.Logs{Sinks: []string{"none"}}}, "pods/proxy", false},
		{"an issuer", config.Config{Existing: config.Existing{Issuer: "i"}}, "clusterissuers", true},
		{"alerts", config.Config{DotEnv: map[string]string{config.AlertsURL: "ntfy://ntfy.sh/topic"}}, "nodes/stats", true},
		{"no alerts", config.Config{}, "nodes/stats", false},
		{"metrics", config.Config{Metrics: config.Metrics(24 * time.Hour)}, "nodes/metrics", true},
		{"no metrics", config.Config{Metrics: -1}, "nodes/metrics", false},
		{"no issuer", config.Config{}, "clusterissuers", false},
		{"release commands", config.Config{}, "jobs", true},
	} {
		found := false
		for _, rule := range Rules(&test.config) {
			found = found || rule.Resources[0] == test.resource
		}
		if found != test.want {
			t.Errorf("%s: %s is among the rules: %v, want %v", test.what, test.resource, found, test.want)
		}
	}
}
