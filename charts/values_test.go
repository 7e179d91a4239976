package charts

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// Values that cannot be meant are refused before anything is sent.
func TestRefusedValues(t *testing.T) {
	for _, test := range []struct{ name, values, want string }{
		{"no image", `{}`, "image.reference is empty"},
		{"unknown value", `{image: {reference: a}, replica: 2}`, "replica"},
		{"unknown value of the database", `{image: {reference: a}, postgresql: {enabled: true, sise: 1Gi}}`, "sise"},
		{"number as variable", `{image: {reference: a}, env: {WORKERS: 4}}`, "WORKERS"},
		{"no variable's name", `{image: {reference: a}, env: {"A B": "c"}}`, "A B"},
		{"the password as variable", `{image: {reference: a}, env: {POSTGRES_PASSWORD: x}, postgresql: {enabled: true}}`, "env.POSTGRES_PASSWORD"},
		{"port out of range", `{image: {reference: a}, port: 70000}`, "port"},
		{"no user", `{image: {reference: a}, runAsUser: -1}`, "runAsUser"},
		{"no path", `{image: {reference: a}, health: {path: readyz}}`, "health"},
		{"nothing to run", `{image: {reference: a}, port: 0}`, "nothing would run"},
		{"a process without a command", `{image: {reference: a}, processes: {worker: {replicas: 1}}}`, "command"},
		{"a process that is no name", `{image: {reference: a}, processes: {"a b": {command: [a]}}}`, "a b"},
		{"a volume without a size", `{image: {reference: a}, volumes: {uploads: {path: /uploads}}}`, "size"},
		{"keys of no Secret", `{image: {reference: a}, secrets: {keys: [A]}}`, "no secrets.name"},
		{"a service of no kind", `{image: {reference: a}, services: {servers: {cache: {kind: redis}}}}`, "of the kind \"redis\""},
		{"a service without a password", `{image: {reference: a}, services: {servers: {cache: {kind: valkey}}}}`, "secret is empty"},
		{"no host", `{image: {reference: a}, ingress: {hosts: ["a;b"]}}`, "hosts"},
		{"two databases", `{image: {reference: a}, replicas: 1, sqlite: {enabled: true}, postgresql: {enabled: true}}`, "exclude each other"},
		{"replicas on SQLite", `{image: {reference: a}, sqlite: {enabled: true}}`, "needs replicas: 1"},
		{"autoscaling on SQLite", `{image: {reference: a}, replicas: 1, sqlite: {enabled: true}, autoscaling: {enabled: true}}`, "needs replicas: 1"},
		{"no time to stop", `{image: {reference: a}, preStopSeconds: 60}`, "must exceed preStopSeconds"},
		{"an autoscaler's bounds", `{image: {reference: a}, autoscaling: {enabled: true, minReplicas: 8}}`, "is less than"},
		{"a server that is no letter", `{image: {reference: a}, postgresql: {enabled: true, server: "2"}}`, "server"},
		{"a database user that is SQL", `{image: {reference: a}, postgresql: {enabled: true, user: "a; drop"}}`, "user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Load("realworld")
			if err != nil {
				t.Fatal(err)
			}
			_, err = renderChart(c, "realworld", "default", parse(t, test.values))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestReleaseNameTooLongForPostgres(t *testing.T) {
	c, err := Load("realworld")
	if err != nil {
		t.Fatal(err)
	}
	_, err = renderChart(c, strings.Repeat("a", 41), "default", parse(t, `{image: {reference: a}, postgresql: {enabled: true}}`))
	if err == nil || !strings.Contains(err.Error(), "at most 40 characters") {
		t.Errorf("the error is %v", err)
	}
}

// Servers of one version are told apart by a letter, in names that fit a label.
func TestServersOfPostgres(t *testing.T) {
	long := strings.Repeat("a", 40)
	for server, want := range map[string][2]string{
		"version: 17": {"-postgresql", "database"}, "version: 18": {"-postgres18", "database-18"},
		"version: 17, server: b": {"-postgres17b", "database-17b"}, "version: 18, server: c": {"-postgres18c", "database-18c"},
	} {
		all := decode(t, render(t, "realworld", long, "default", parse(t, `{image: {reference: a}, postgresql: {enabled: true, `+server+`}}`)))
		set := get[*appsv1.StatefulSet](t, all, long+want[0])
		component := "app.kubernetes.io/component"
		for what, labels := range map[string]map[string]string{
			"Service": get[*corev1.Service](t, all, long+"-postgresql").Spec.Selector, "pods": set.Spec.Template.Labels,
			"claim": set.Spec.VolumeClaimTemplates[0].Labels, "headless Service": get[*corev1.Service](t, all, set.Name+"-headless").Spec.Selector,
		} {
			if labels[component] != want[1] {
				t.Errorf("%s: the %s has %q, want %q", server, what, labels[component], want[1])
			}
		}
		// A pod's label has the StatefulSet's name, and a hash.
		if hash := "-5d4f8c7b9d"; len(set.Name+hash) > 63 {
			t.Errorf("%s: its name is too long: %s", server, set.Name)
		}
	}
}

// A single pod has no budget, and an autoscaler sets the replicas alone.
func TestReplicas(t *testing.T) {
	for _, test := range []struct {
		values         string
		replicas       int32
		budget, scaler bool
	}{
		{`{replicas: 0}`, 0, false, false},
		{`{replicas: 1}`, 1, false, false},
		{`{replicas: 2}`, 2, true, false},
		{`{replicas: 2, pdb: {enabled: false}}`, 2, false, false},
		{`{replicas: 1, autoscaling: {enabled: true}}`, -1, true, true},
		{`{replicas: 2, autoscaling: {enabled: true, minReplicas: 1}}`, -1, false, true},
	} {
		values := parse(t, test.values)
		values["image"] = map[string]any{"reference": "a"}
		all := decode(t, render(t, "realworld", "app", "default", values))
		replicas := int32(-1)
		if set := get[*appsv1.Deployment](t, all, "app").Spec.Replicas; set != nil {
			replicas = *set
		}
		if replicas != test.replicas {
			t.Errorf("%s: replicas %d, want %d", test.values, replicas, test.replicas)
		}
		if got := has[*policyv1.PodDisruptionBudget](all); got != test.budget {
			t.Errorf("%s: a budget: %v, want %v", test.values, got, test.budget)
		}
		if got := has[*autoscalingv2.HorizontalPodAutoscaler](all); got != test.scaler {
			t.Errorf("%s: an autoscaler: %v, want %v", test.values, got, test.scaler)
		}
	}
}

// A variable of berth.yaml takes the place of the chart's own, even when empty,
// and there is never a name twice.
func TestEnvironmentOverrides(t *testing.T) {
	values := parse(t, `{image: {reference: a}, env: {LISTEN: "", DATABASE_URL: "mysql://there", ANOTHER: "$(PORT)"}, postgresql: {enabled: true}}`)
	pod := templates(decode(t, render(t, "realworld", "app", "default", values)))["app"].Spec
	var names []string
	for _, variable := range pod.Containers[0].Env {
		names = append(names, variable.Name)
	}
	if want := []string{"POSTGRES_PASSWORD", "PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGUSER", "PORT", "ANOTHER", "DATABASE_URL", "LISTEN"}; !slices.Equal(names, want) {
		t.Errorf("the variables are %v, want %v", names, want)
	}
	if env := environment(pod); env["LISTEN"] != "" || env["DATABASE_URL"] != "mysql://there" || env["ANOTHER"] != "$$(PORT)" {
		t.Errorf("the environment is %v", env)
	}
}

// TLS at the Ingress: from a Secret that is there, from an issuer, or not at all.
func TestIngressTLS(t *testing.T) {
	for _, test := range []struct {
		ingress, secret, issuer string
	}{
		{`{hosts: [a.example]}`, "", ""},
		{`{hosts: [a.example], tlsSecret: mine}`, "mine", ""},
		{`{hosts: [a.example], issuer: letsencrypt}`, "app-tls", "letsencrypt"},
		{`{hosts: [a.example], issuer: letsencrypt, tlsSecret: mine}`, "mine", "letsencrypt"},
	} {
		values := parse(t, `{image: {reference: a}, ingress: `+test.ingress+`}`)
		ingress := get[*networkingv1.Ingress](t, decode(t, render(t, "realworld", "app", "default", values)), "app")
		secret := ""
		if len(ingress.Spec.TLS) > 0 {
			secret = ingress.Spec.TLS[0].SecretName
		}
		if secret != test.secret {
			t.Errorf("%s: the certificate is in %q, want %q", test.ingress, secret, test.secret)
		}
		if got := ingress.Annotations["cert-manager.io/cluster-issuer"]; got != test.issuer {
			t.Errorf("%s: the issuer is %q, want %q", test.ingress, got, test.issuer)
		}
	}
	for _, off := range []string{`{hosts: []}`, `{enabled: false, hosts: [a.example]}`} {
		values := parse(t, `{image: {reference: a}, ingress: `+off+`}`)
		if has[*networkingv1.Ingress](decode(t, render(t, "realworld", "app", "default", values))) {
			t.Errorf("%s: there is an Ingress", off)
		}
	}
}

// values.yaml and the schema name the same values, and the schema says of each
// what it means.
func TestSchemaDescribesValues(t *testing.T) {
	for _, name := range names(t) {
		c, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var top schema
		if err := json.Unmarshal(c.Schema, &top); err != nil {
			t.Fatal(err)
		}
		top.compare(t, name, c.Values)
	}
}

type schema struct {
	Description          string            `json:"description"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties any               `json:"additionalProperties"`
}

func (s schema) compare(t *testing.T, path string, values map[string]any) {
	t.Helper()
	closed := s.AdditionalProperties == false
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property, at := s.Properties[name], path+"."+name
		if property.Description == "" {
			t.Errorf("%s is not described", at)
		}
		value, there := values[name]
		// Helm's own values have no default.
		if !there && name != "global" && at != "postgres.enabled" {
			t.Errorf("%s has no default in values.yaml", at)
		}
		if nested, ok := value.(map[string]any); ok && len(property.Properties) > 0 {
			property.compare(t, at, nested)
		}
	}
	for name := range values {
		if _, known := s.Properties[name]; closed && !known {
			t.Errorf("%s.%s is not in the schema", path, name)
		}
	}
}

// undoubled is what Kubernetes makes of a value whose dollars are doubled.
func undoubled(value string) string { return strings.ReplaceAll(value, "$$", "$") }

// parse reads values from YAML, as berth.yaml's are.
func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// Whatever is in berth.yaml stays a value: it reaches the pod as it was, or is
// refused, and never becomes another part of a manifest. (That
// is why the templates quote each string: Helm's toYaml loses characters that
// YAML wants escaped, or all of them without a word.)
func FuzzValuesStayValues(f *testing.F) {
	for _, seed := range []string{"plain", "", "a: b", "\"", "'", "\\", "{{ .Release.Name }}", "\n---\nkind: Secret", "# no", "- x", "\t", "null", "1e3", "0440", "ä\u2028", "$(PORT)", "*alias", "&anchor", "!tag", "a\r\nb", "\x00", "\x7f\u0085"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // YAML holds no such text.
		}
		values := map[string]any{
			"image":          map[string]any{"reference": "a"},
			"env":            map[string]any{"TEXT": text},
			"configChecksum": text,
			"args":           []any{text},
			"podAnnotations": map[string]any{"example.com/text": text},
			"ingress":        map[string]any{"hosts": []any{"a.example"}, "annotations": map[string]any{"example.com/text": text}},
		}
		c, err := Load("realworld")
		if err != nil {
			t.Fatal(err)
		}
		manifests, err := renderChart(c, "app", "default", values)
		if err != nil {
			return
		}
		all := decode(t, manifests)
		if len(all) != 7 {
			t.Fatalf("there are %d objects:\n%s", len(all), manifests)
		}
		pod := templates(all)["app"]
		for where, got := range map[string]string{
			"env":            undoubled(environment(pod.Spec)["TEXT"]),
			"configChecksum": pod.Annotations["checksum/config"],
			"args":           undoubled(pod.Spec.Containers[0].Args[0]),
			"podAnnotations": pod.Annotations["example.com/text"],
			"ingress":        get[*networkingv1.Ingress](t, all, "app").Annotations["example.com/text"],
		} {
			if got != text {
				t.Errorf("%s: %q became %q", where, text, got)
			}
		}
	})
}
