package platform

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube/own"
	"berth/internal/provider"
)

// The chart's schema knows every value that it is given, in every combination.
func TestTheScheduleFitsTheChart(t *testing.T) {
	plain := config.Backup{Schedule: "17 3 * * *", Keep: config.Keep{Last: 7}}
	sealed := plain
	sealed.Recipients = []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
	sqlite := plain
	sqlite.Format = "custom"
	here := provider.Bucket{Endpoint: "https://10.118.0.1:9000", Region: "us-east-1", Name: "berth", CA: []byte("PEM")}
	there := provider.Bucket{Endpoint: "fra1.digitaloceanspaces.com", Name: "shop"}
	databases := map[string]config.Database{"of SQLite": config.SQLite}
	for _, c := range []struct {
		what     string
		settings config.Backup
		bucket   provider.Bucket
		env      map[string]string
		port     int
		verify   any
	}{
		{"on this machine", plain, here, nil, 9000, nil},
		{"in a Space, with a webhook", plain, there, map[string]string{config.BackupWebhook: "https://hooks.example.com/x"}, 443, nil},
		{"of SQLite", sqlite, here, nil, 9000, nil},
		{"encrypted, with the key", sealed, there, map[string]string{config.BackupIdentity: "AGE-SECRET-KEY-1"}, 443, nil},
		{"encrypted, without the key", sealed, there, nil, 443, false},
	} {
		b := &Backups{environment: "production", config: &config.Config{
			Name: "shop", DotEnv: c.env, Environments: map[string]config.Environment{"production": {Backup: c.settings, Database: databases[c.what]}},
		}}
		p := b.part(c.bucket, "registry.example.com/backup:1", private{c.env[config.BackupWebhook], c.env[config.BackupIdentity]})
		fits(t, c.what, p)
		if got := p.values["networkPolicy"].(map[string]any)["bucketPort"]; got != c.port {
			t.Errorf("%s: port %v, want %d", c.what, got, c.port)
		}
		if got := p.values["verify"]; got != c.verify {
			t.Errorf("%s: verify %v, want %v", c.what, got, c.verify)
		}
	}
}

// A deploy by CI, which has no .env, leaves what somebody with one has set.
func TestSettingsThatOnlyTheClusterKnows(t *testing.T) {
	const webhook, identity = "https://hooks.example.com/x", "AGE-SECRET-KEY-1"
	told := []runtime.Object{
		&core.Secret{ObjectMeta: ours("shop-backup-webhook"), Data: map[string][]byte{"url": []byte(webhook)}},
		&core.Secret{ObjectMeta: ours("shop-backup-age"), Data: map[string][]byte{"identity": []byte(identity)}},
	}
	for _, test := range []struct {
		what   string
		env    map[string]string
		told   []runtime.Object
		want   private
		remain int
	}{
		{"nobody has any", nil, nil, private{}, 0},
		{"the cluster has", nil, told, private{webhook, identity}, 2},
		{".env goes before it", map[string]string{config.BackupWebhook: "https://other.example.com"}, told, private{"https://other.example.com", identity}, 2},
		{"an empty one takes it away", map[string]string{config.BackupWebhook: "", config.BackupIdentity: ""}, told, private{}, 0},
		{"there is none to take away", map[string]string{config.BackupWebhook: ""}, nil, private{}, 0},
	} {
		client := fake.NewClientset(test.told...)
		b := &Backups{client: client, environment: "production", config: &config.Config{Name: "shop", DotEnv: test.env}}
		got, err := b.private(t.Context())
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v", test.what, got, err)
		}
		left, err := client.CoreV1().Secrets("production").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) != test.remain {
			t.Errorf("%s: %d Secrets remain, %v", test.what, len(left.Items), err)
		}
	}
	foreign := ours("shop-backup-webhook")
	foreign.Labels = nil
	b := &Backups{client: fake.NewClientset(&core.Secret{ObjectMeta: foreign}), environment: "production", config: &config.Config{Name: "shop"}}
	if _, err := b.private(t.Context()); err == nil || !strings.Contains(err.Error(), "that berth did not make") {
		t.Errorf("somebody else's Secret: %v", err)
	}
}

// ours names an object of berth's in production.
func ours(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "production", Name: name, Labels: map[string]string{own.ManagedBy: own.Manager}}
}

func TestWhatTheJobSaid(t *testing.T) {
	var shown []string
	read := func(text string) *speech {
		s := &speech{}
		if err := s.read(strings.NewReader(text), func(detail string) { shown = append(shown, detail) }); err != nil {
			t.Fatal(err)
		}
		return s
	}
	// What it did is JSON, a line each; its result is JSON, too, over many.
	s := read(`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"dumping"}
{"time":"2026-01-02T03:04:06Z","level":"INFO","msg":"backup run ended","backup":"20260102_030405_cafe"}
{
  "id": "20260102_030405_cafe"
}
`)
	if s.last["backup"] != "20260102_030405_cafe" || strings.Join(shown, ", ") != "dumping, backup run ended" {
		t.Errorf("got %v, shown %v", s.last, shown)
	}
	failure := read(`{"msg":"backup run failed","error":"x"}
backup: the bucket refuses the key (AccessDenied)
  check the bucket's access key and secret key
`).explain(nil)
	if failure == nil || failure.Error() != "the bucket refuses the key (AccessDenied)" || fault.Hint(failure) != "check the bucket's access key and secret key" {
		t.Errorf("got %v, hint %q", failure, fault.Hint(failure))
	}
}
