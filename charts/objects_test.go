package charts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// objects is what a release consists of, as the API server would read it.
type objects []runtime.Object

// decode reads manifests into Kubernetes' own types and refuses whatever these
// do not know, or find twice.
func decode(t testing.TB, manifests []byte) objects {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all objects
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(manifests)))
	buffer := make([]byte, len(manifests)+1)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(bytes.TrimPrefix(buffer[:n], []byte("---")))) == 0 {
			continue
		}
		object, _, err := decoder.Decode(buffer[:n], nil, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, buffer[:n])
		}
		all = append(all, object)
	}
}

// get returns the object of type T with a name.
func get[T runtime.Object](t testing.TB, all objects, name string) T {
	t.Helper()
	for _, object := range all {
		if found, ok := object.(T); ok && object.(metav1.Object).GetName() == name {
			return found
		}
	}
	var none T
	t.Fatalf("there is no %T %s", none, name)
	return none
}

// has reports whether there is any object of type T.
func has[T runtime.Object](all objects) bool {
	for _, object := range all {
		if _, ok := object.(T); ok {
			return true
		}
	}
	return false
}

// release renders a case and reads it.
func release(t testing.TB, name string) objects {
	t.Helper()
	for _, c := range cases {
		if c.name == name {
			return decode(t, render(t, "realworld", c.release, c.namespace, readValues(t, name)))
		}
	}
	t.Fatalf("there is no case %s", name)
	return nil
}

// templates gives the pod templates of a release by their objects' names.
func templates(all objects) map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, object := range all {
		switch o := object.(type) {
		case *appsv1.Deployment:
			found[o.Name] = o.Spec.Template
		case *appsv1.StatefulSet:
			found[o.Name] = o.Spec.Template
		case *batchv1.CronJob:
			found[o.Name] = o.Spec.JobTemplate.Spec.Template
		case *batchv1.Job:
			found[o.Name] = o.Spec.Template
		}
	}
	return found
}

// wantStandard has Kubernetes' own judge of Pod Security find nothing against a pod.
func wantStandard(t *testing.T, level podsecurity.Level, name string, pod corev1.PodTemplateSpec) {
	t.Helper()
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	standard := podsecurity.LevelVersion{Level: level, Version: podsecurity.LatestVersion()}
	for _, result := range judge.EvaluatePod(standard, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("%s is above the standard %s: %s: %s", name, level, result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

// wantOnlyLooks has rules allow to look, at these resources and at nothing else.
func wantOnlyLooks(t *testing.T, rules []rbacv1.PolicyRule, resources ...string) {
	t.Helper()
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			if !slices.Contains([]string{"get", "list", "watch"}, verb) {
				t.Errorf("it may %s %v", verb, rule.Resources)
			}
		}
		for _, resource := range rule.Resources {
			if !slices.Contains(resources, resource) {
				t.Errorf("it may look at %s", resource)
			}
		}
	}
}

// A pod is "restricted" when the user is given, and "baseline" when it is the image's
// own.
func TestPodSecurity(t *testing.T) {
	for _, c := range cases {
		level := podsecurity.LevelRestricted
		values := readValues(t, c.name)
		if values["runAsUser"] == nil {
			level = podsecurity.LevelBaseline
		}
		for name, pod := range templates(release(t, c.name)) {
			wantStandard(t, level, c.name+", "+name, pod)
			// What "restricted" leaves open.
			if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
				t.Errorf("%s, %s: the pod gets a token of the API server", c.name, name)
			}
			for _, container := range pod.Spec.Containers {
				asOwnerHasIt := values["readOnlyRootFilesystem"] == nil && pod.Labels["app.kubernetes.io/name"] == c.release
				if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; !asOwnerHasIt && (readOnly == nil || !*readOnly) {
					t.Errorf("%s, %s: the container's root file system can be written", c.name, name)
				}
				if container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s, %s: resources are not bounded: %v", c.name, name, container.Resources)
				}
				if pod.Labels["app.kubernetes.io/component"] == "worker" || pod.Labels["app.kubernetes.io/component"] == "send" || pod.Spec.RestartPolicy != "" {
					if container.ReadinessProbe != nil || container.LivenessProbe != nil || container.StartupProbe != nil || len(container.Ports) != 0 {
						t.Errorf("%s, %s: what answers no requests is asked for its health", c.name, name)
					}
				} else if container.ReadinessProbe == nil || container.LivenessProbe == nil || container.StartupProbe == nil {
					t.Errorf("%s, %s: a probe is missing", c.name, name)
				}
			}
		}
	}
}

// Secrets are named, never made or copied.
func TestNoSecretInManifests(t *testing.T) {
	for _, c := range cases {
		if has[*corev1.Secret](release(t, c.name)) {
			t.Errorf("%s: a Secret is rendered", c.name)
		}
	}
}

// What selects pods selects them: Services, budgets, policies, constraints.
func TestSelectorsMatchPods(t *testing.T) {
	for _, c := range cases {
		all := release(t, c.name)
		pods := templates(all)
		selected := func(selector *metav1.LabelSelector) (count int) {
			t.Helper()
			s, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Fatal(err)
			}
			for _, pod := range pods {
				if s.Matches(labels.Set(pod.Labels)) {
					count++
				}
			}
			return count
		}
		matches := func(what string, selector *metav1.LabelSelector) {
			t.Helper()
			if count := selected(selector); count != 1 {
				t.Errorf("%s: %s selects %d of the release's kinds of pods, want one", c.name, what, count)
			}
		}
		// All pods of the application, and neither its database nor services.
		application := 0
		for _, pod := range pods {
			if pod.Labels["app.kubernetes.io/name"] == c.release {
				application++
			}
		}
		for _, object := range all {
			what := fmt.Sprintf("%T %s", object, object.(metav1.Object).GetName())
			switch o := object.(type) {
			case *corev1.Service:
				matches(what, &metav1.LabelSelector{MatchLabels: o.Spec.Selector})
			case *policyv1.PodDisruptionBudget:
				matches(what, o.Spec.Selector)
			case *networkingv1.NetworkPolicy:
				if o.Name == c.release {
					if got := selected(&o.Spec.PodSelector); got != application {
						t.Errorf("%s: %s selects %d kinds of pods, want the application's %d", c.name, what, got, application)
					}
					continue
				}
				matches(what, &o.Spec.PodSelector)
			case *appsv1.Deployment:
				matches(what, o.Spec.Selector)
			case *appsv1.StatefulSet:
				matches(what, o.Spec.Selector)
			}
		}
		for _, pod := range pods {
			for _, constraint := range pod.Spec.TopologySpreadConstraints {
				matches("a topology spread constraint", constraint.LabelSelector)
			}
			if affinity := pod.Spec.Affinity; affinity != nil {
				for _, term := range affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
					if got := selected(term.LabelSelector); got != application {
						t.Errorf("%s: a pod affinity selects %d kinds of pods, want the application's %d, which share a volume", c.name, got, application)
					}
				}
			}
		}
	}
}

// The database is open to the application's pods and to backups, and the
// application may go out to it.
func TestNetworkPolicies(t *testing.T) {
	all := release(t, "production")
	web, database := templates(all)["realworld"].Labels, templates(all)["realworld-postgresql"].Labels
	admits := func(peers []networkingv1.NetworkPolicyPeer, pod map[string]string) bool {
		for _, peer := range peers {
			if selector, err := metav1.LabelSelectorAsSelector(peer.PodSelector); err == nil && peer.NamespaceSelector == nil && selector.Matches(labels.Set(pod)) {
				return true
			}
		}
		return false
	}
	in := get[*networkingv1.NetworkPolicy](t, all, "realworld-postgresql").Spec
	if len(in.Ingress) != 1 || len(in.Egress) != 0 || len(in.PolicyTypes) != 2 {
		t.Fatalf("the database's policy is %+v", in)
	}
	for _, test := range []struct {
		pod  map[string]string
		want bool
	}{
		{web, true},
		{map[string]string{"app.kubernetes.io/component": "backup"}, true},
		{map[string]string{"app.kubernetes.io/name": "realworld", "app.kubernetes.io/instance": "realworld", "app.kubernetes.io/component": "worker"}, true},
		{map[string]string{"app.kubernetes.io/name": "other", "app.kubernetes.io/instance": "other", "app.kubernetes.io/component": "web"}, false},
		{database, false},
		{nil, false},
	} {
		if got := admits(in.Ingress[0].From, test.pod); got != test.want {
			t.Errorf("a pod with labels %v reaches the database: %v, want %v", test.pod, got, test.want)
		}
	}
	out := false
	for _, rule := range get[*networkingv1.NetworkPolicy](t, all, "realworld").Spec.Egress {
		out = out || len(rule.To) > 0 && admits(rule.To, database) && rule.Ports[0].Port.IntValue() == 5432
	}
	if !out {
		t.Error("the application's policy keeps it from its database")
	}
}

// What an API server refuses to change stays the same whatever else does.
func TestImmutableFieldsStay(t *testing.T) {
	values := readValues(t, "production")
	before := decode(t, render(t, "realworld", "realworld", "production", values))
	for key, value := range map[string]any{
		"image": map[string]any{"reference": "localhost/realworld:2"}, "configChecksum": "other", "port": 9000, "replicas": 5,
		"podLabels": map[string]any{"team": "a"}, "env": map[string]any{"A": "b"},
	} {
		values[key] = value
	}
	database := values["postgresql"].(map[string]any)
	database["image"] = map[string]any{"reference": "localhost/postgres:18"}
	database["podLabels"] = map[string]any{"team": "a"}
	database["settings"] = map[string]any{"max_connections": "200"}
	c, err := Load("realworld")
	if err != nil {
		t.Fatal(err)
	}
	c.Metadata.Version = "1.1.0"
	c.Dependencies()[0].Metadata.Version = "1.1.0"
	manifests, err := renderChart(c, "realworld", "production", values)
	if err != nil {
		t.Fatal(err)
	}
	after := decode(t, manifests)

	fixed := func(all objects) []any {
		deployment := get[*appsv1.Deployment](t, all, "realworld")
		set := get[*appsv1.StatefulSet](t, all, "realworld-postgresql")
		return []any{deployment.Spec.Selector, set.Spec.Selector, set.Spec.ServiceName, set.Spec.PodManagementPolicy, set.Spec.VolumeClaimTemplates}
	}
	if diff := cmp.Diff(fixed(before), fixed(after)); diff != "" {
		t.Errorf("immutable fields change (-before +after):\n%s", diff)
	}
	if reflect.DeepEqual(templates(before), templates(after)) {
		t.Error("nothing else changed: the test proves nothing")
	}
}

// A new version of a chart alone restarts no database.
func TestChartVersionRestartsNothing(t *testing.T) {
	values := readValues(t, "production")
	c, err := Load("realworld")
	if err != nil {
		t.Fatal(err)
	}
	c.Metadata.Version = "1.1.0"
	c.Dependencies()[0].Metadata.Version = "1.1.0"
	manifests, err := renderChart(c, "realworld", "production", values)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(templates(release(t, "production")), templates(decode(t, manifests))); diff != "" {
		t.Errorf("pods change with the chart's version (-before +after):\n%s", diff)
	}
}

// SQLite has its volume on one node: the pods of a rollout share that node.
func TestSQLite(t *testing.T) {
	all := release(t, "staging")
	claim := get[*corev1.PersistentVolumeClaim](t, all, "realworld-data")
	if claim.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("the data goes with the release")
	}
	pod := templates(all)["realworld"].Spec
	if pod.Affinity == nil || len(pod.TopologySpreadConstraints) != 0 {
		t.Error("the pods are not held on one node")
	}
	if has[*policyv1.PodDisruptionBudget](all) {
		t.Error("a budget for one pod keeps its node from being drained")
	}
	if got := environment(pod)["DATABASE_URL"]; got != "sqlite:////data/realworld.db" {
		t.Errorf("DATABASE_URL is %q", got)
	}
	if *pod.SecurityContext.FSGroup != *pod.SecurityContext.RunAsUser {
		t.Error("the process cannot write its volume")
	}
}

// The password comes from the Secret, into a URL that Kubernetes puts together:
// what an entry refers to has to stand before it.
func TestPostgresPassword(t *testing.T) {
	pod := templates(release(t, "production"))["realworld"].Spec
	env := pod.Containers[0].Env
	if env[0].Name != "POSTGRES_PASSWORD" || env[0].ValueFrom.SecretKeyRef.Name != "realworld-postgresql" {
		t.Fatalf("the first variable is %+v, want POSTGRES_PASSWORD from its Secret", env[0])
	}
	if got := environment(pod)["DATABASE_URL"]; !strings.Contains(got, "$(POSTGRES_PASSWORD)") {
		t.Errorf("DATABASE_URL is %q", got)
	}
}

// environment gives a pod's plain variables.
func environment(pod corev1.PodSpec) map[string]string {
	env := map[string]string{}
	for _, variable := range pod.Containers[0].Env {
		env[variable.Name] = variable.Value
	}
	return env
}
