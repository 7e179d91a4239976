package release

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

func TestEnvData(t *testing.T) {
	before := &core.Secret{Data: map[string][]byte{"TOKEN": []byte("from the cluster"), "OTHER": []byte("dropped")}}
	tests := []struct {
		name   string
		dotEnv map[string]string
		before *core.Secret
		makeUp bool
		want   string
		hint   string
	}{
		{name: "from .env", dotEnv: map[string]string{"TOKEN": "common"}, before: before, want: "common"},
		{name: "the environment's own goes first", dotEnv: map[string]string{"TOKEN": "common", "PRODUCTION_TOKEN": "own"}, want: "own"},
		{name: "another environment's is not taken", dotEnv: map[string]string{"TOKEN": "common", "STAGING_TOKEN": "other"}, want: "common"},
		{name: "kept in the cluster", before: before, want: "from the cluster"},
		{name: "empty is empty", dotEnv: map[string]string{"TOKEN": ""}, before: before, makeUp: true, want: ""},
		{name: "the environment's own may be empty", dotEnv: map[string]string{"TOKEN": "common", "PRODUCTION_TOKEN": ""}, want: ""},
		{name: "the common one may be empty", dotEnv: map[string]string{"TOKEN": "", "PRODUCTION_TOKEN": "own"}, want: "own"},
		{name: "of several lines", dotEnv: map[string]string{"TOKEN": "a\nb\n"}, want: "a\nb\n"},
		{name: "an empty one in the cluster is none", before: &core.Secret{Data: map[string][]byte{"TOKEN": {}}}, makeUp: true, want: "64 characters"},
		{name: "kept rather than made up", before: before, makeUp: true, want: "from the cluster"},
		{name: "made up on a local cluster", makeUp: true, want: "64 characters"},
		{name: "missing elsewhere", hint: `add it to .env: echo "TOKEN=$(openssl rand -hex 32)" >> .env`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &config.Config{Secrets: []string{"TOKEN"}, DotEnv: test.dotEnv}
			data, made, err := envData(c, "production", test.before, test.makeUp)
			if got := fault.Hint(err); got != test.hint {
				t.Fatalf("hint %q of %v, want %q", got, err, test.hint)
			}
			if err != nil {
				return
			}
			got := string(data["TOKEN"])
			if test.want == "64 characters" && len(got) == 64 && slices.Equal(made, []string{"TOKEN"}) {
				return
			}
			if len(made) > 0 {
				t.Errorf("made up: %v", made)
			}
			if got != test.want || len(data) != 1 {
				t.Errorf("got %q of %d entries, want %q of 1", got, len(data), test.want)
			}
		})
	}
}

func TestChecksumTellsOfChangesOnly(t *testing.T) {
	data := func(a, b string) map[string][]byte { return map[string][]byte{"A": []byte(a), "B": []byte(b)} }
	first := checksum("salt", data("1", "2"))
	for name, other := range map[string]string{
		"another value": checksum("salt", data("1", "3")),
		"values that only look alike when joined": checksum("salt", data("1 1 B 1", "2")),
		"another salt": checksum("pepper", data("1", "2")),
	} {
		if other == first {
			t.Errorf("%s: the checksum stayed", name)
		}
	}
	if again := checksum("salt", data("1", "2")); again != first {
		t.Errorf("the same data: %s, then %s", first, again)
	}
}

func TestSecretsOfAnEnvironment(t *testing.T) {
	ctx := context.Background()
	ca := newAuthority(t)
	e := config.Environment{Hosts: []string{"shop.localhost"}, Database: config.Postgres}
	c := &Client{
		cluster: &provider.Cluster{Authority: ca},
		config:  &config.Config{Name: "shop", Provider: "local", Secrets: []string{"TOKEN"}, DotEnv: map[string]string{"TOKEN": "first value"}},
		kube:    fake.NewClientset(),
	}
	read := func(name string) *core.Secret {
		t.Helper()
		s, err := c.kube.CoreV1().Secrets("production").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, _, err := c.secrets(ctx, "production", "good:1", e, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if first.env != "shop-env" || first.postgresql != "shop-postgresql" || first.tls != "shop-tls" {
		t.Errorf("names %+v", first)
	}
	password, certificate := string(read("shop-postgresql").Data["password"]), string(read("shop-tls").Data["tls.crt"])
	if len(password) != 64 {
		t.Errorf("the password has %d characters, want 64", len(password))
	}

	c.config.DotEnv["TOKEN"] = "second value"
	second, restore, err := c.secrets(ctx, "production", "good:1", e, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if second.checksum == first.checksum {
		t.Error("the checksum stayed although a secret changed")
	}
	if got := string(read("shop-postgresql").Data["password"]); got != password {
		t.Error("the database's password was changed")
	}
	if got := string(read("shop-tls").Data["tls.crt"]); got != certificate {
		t.Error("a good certificate was replaced")
	}
	if err := restore(ctx); err != nil {
		t.Fatal(err)
	}
	if got := string(read("shop-env").Data["TOKEN"]); got != "first value" {
		t.Errorf("after going back the secret is %q", got)
	}
	third, _, err := c.secrets(ctx, "production", "good:1", e, progress.Discard)
	if err != nil || third.checksum != second.checksum {
		t.Errorf("the same values again: checksum %q, %v, want %q", third.checksum, err, second.checksum)
	}
}

// notes is a Reporter that keeps what it is told to keep.
type notes struct {
	progress.Reporter
	texts []string
}

func (n *notes) Note(text string) { n.texts = append(n.texts, text) }

func TestWhatIsMadeUpIsSaidOnceAndWithoutItsValue(t *testing.T) {
	ctx := context.Background()
	c := &Client{
		config:  &config.Config{Name: "shop", Provider: "local", Secrets: []string{"EMPTY", "TOKEN"}, DotEnv: map[string]string{"EMPTY": ""}},
		kube:    fake.NewClientset(),
		cluster: &provider.Cluster{MakesUpSecrets: true},
	}
	for _, want := range [][]string{
		{"staging: made up a value for the secret TOKEN, because .env has no TOKEN; the cluster keeps it"}, nil,
	} {
		n := notes{Reporter: progress.Discard}
		if _, _, err := c.secrets(ctx, "staging", "good:1", config.Environment{}, &n); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(n.texts, want) {
			t.Errorf("got notes %q, want %q", n.texts, want)
		}
	}
}

func TestForeignSecretIsLeftAlone(t *testing.T) {
	c := &Client{
		config: &config.Config{Name: "shop", Provider: "local", Secrets: []string{"TOKEN"}},
		kube: fake.NewClientset(&core.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "shop-env"},
			Data: map[string][]byte{"TOKEN": []byte("somebody's")}}),
		cluster: &provider.Cluster{},
	}
	_, _, err := c.secrets(context.Background(), "production", "good:1", config.Environment{}, progress.Discard)
	if err == nil || !strings.Contains(err.Error(), "berth did not make") {
		t.Errorf("got %v", err)
	}
}

func TestStaleCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	hosts := []string{"b.localhost", "a.localhost"}
	chain, _, err := ca.Certificate(hosts)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		chain []byte
		hosts []string
		ca    string
		after time.Duration
		want  string
	}{
		{name: "good", chain: chain, hosts: hosts, ca: ca.File()},
		{name: "hosts in another order", chain: chain, hosts: []string{"a.localhost", "b.localhost"}, ca: ca.File()},
		{name: "31 days before its end", chain: chain, hosts: hosts, ca: ca.File(), after: (90 - 31) * 24 * time.Hour},
		{name: "29 days before its end", chain: chain, hosts: hosts, ca: ca.File(), after: (90 - 29) * 24 * time.Hour, want: "it ends on"},
		{name: "one host more", chain: chain, hosts: append(hosts, "c.localhost"), ca: ca.File(), want: "it is for"},
		{name: "one host less", chain: chain, hosts: hosts[:1], ca: ca.File(), want: "it is for"},
		{name: "another authority", chain: chain, hosts: hosts, ca: other.File(), want: "certificate signed by unknown authority"},
		{name: "no certificate", chain: []byte("nonsense"), hosts: hosts, ca: ca.File(), want: "it is no PEM certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			why, err := staleCertificate(test.chain, test.hosts, test.ca, time.Now().Add(test.after))
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" && why != "" || !strings.Contains(why, test.want) {
				t.Errorf("got %q, want %q", why, test.want)
			}
		})
	}
}

// authority is a certificate authority for tests. Its certificates are good for
// 90 days.
type authority struct {
	t           *testing.T
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: t.Name()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, file: filepath.Join(t.TempDir(), "ca.crt")}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) File() string { return a.file }

func (a *authority) Certificate(hosts []string) ([]byte, []byte, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), nil
}
