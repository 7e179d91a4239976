package release

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/progress"
)

// full is an application with everything that must not run in a copy.
func full() *config.Config {
	return &config.Config{
		Name: "shop", Port: 8000, Health: config.Health{Path: "/up"}, Secrets: []string{"TOKEN"},
		Processes: map[string]config.Process{"mail": {Replicas: 3}, "nightly": {Schedule: "0 3 * * *"}},
		DotEnv:    map[string]string{"TOKEN": "common", "PRODUCTION_TOKEN": "production's"},
		Environments: map[string]config.Environment{
			"staging": {Hosts: []string{"staging.shop.example"}},
			"production": {
				Hosts: []string{"shop.example"}, Replicas: 4, Database: config.Postgres, Env: map[string]string{"MODE": "live"},
				Processes: map[string]int{"mail": 5},
				Values: map[string]any{
					"postgresql":    map[string]any{"size": "20Gi"},
					"autoscaling":   map[string]any{"enabled": true},
					"networkPolicy": map[string]any{"egress": []any{"everywhere"}},
				},
			},
		},
	}
}

func TestACopyIsTheEnvironmentWithoutWhatWorksByItself(t *testing.T) {
	of := full()
	c := copied(of, "production", "aside")
	e := c.Environments["aside"]
	if len(c.Environments) != 1 || len(e.Hosts) > 0 || e.Replicas != 1 || len(c.Processes) > 0 || e.Backup.Enabled() {
		t.Errorf("the copy is %+v", e)
	}
	if c.EnvOf("aside")["MODE"] != "live" || c.HealthHost("aside") != "shop.example" || e.Database != config.Postgres {
		t.Errorf("it is not as production is: %+v", e)
	}
	if data, _, err := envData(c, "aside", nil, false); err != nil || string(data["TOKEN"]) != "production's" {
		t.Errorf("its secrets are %q, %v", data, err)
	}
	for path, want := range map[string]any{
		"postgresql.size": "20Gi", "autoscaling.enabled": false, "ingress.enabled": false, "networkPolicy.enabled": false,
		"postgresql.networkPolicy.enabled": false, "services.networkPolicy.enabled": false,
	} {
		var at any = e.Values
		for key := range strings.SplitSeq(path, ".") {
			at = at.(map[string]any)[key]
		}
		if at != want {
			t.Errorf("%s is %v, want %v", path, at, want)
		}
	}
	if production := of.Environments["production"]; len(production.Hosts) != 1 || production.Values["ingress"] != nil || len(of.Processes) != 2 || of.DotEnv["ASIDE_TOKEN"] != "" {
		t.Errorf("production is changed: %+v", production)
	}

	if e := copied(of, "staging", "aside").Environments["aside"]; e.Values["ingress"] == nil {
		t.Errorf("without values of its own the copy has %v", e.Values)
	}

	of.Port = 0 // it only works: none of its processes does in the copy
	for name, p := range copied(of, "production", "aside").Processes {
		if p.Scheduled() || p.Replicas != 0 {
			t.Errorf("process %s runs: %+v", name, p)
		}
	}
}

// deployed is the Deployment that serves in production.
func deployed() *apps.Deployment {
	secret := func(variable, name string) core.EnvVar {
		return core.EnvVar{Name: variable, ValueFrom: &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{
			LocalObjectReference: core.LocalObjectReference{Name: name}, Key: "password",
		}}}
	}
	labels := map[string]string{"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": "shop", "app.kubernetes.io/component": "web", "team": "a"}
	return &apps.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "production"},
		Spec: apps.DeploymentSpec{Template: core.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: core.PodSpec{
			ImagePullSecrets: []core.LocalObjectReference{{Name: "shop-pull"}},
			Containers: []core.Container{{
				Name: "web", Image: "registry/shop:1", Ports: []core.ContainerPort{{ContainerPort: 8000}},
				Env:       []core.EnvVar{secret("POSTGRES_PASSWORD", "shop-postgresql"), secret("TOKEN", "shop-env"), {Name: "MODE", Value: "live"}},
				Lifecycle: &core.Lifecycle{},
				ReadinessProbe: &core.Probe{ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{
					Path: "/up", Scheme: core.URISchemeHTTP, HTTPHeaders: []core.HTTPHeader{{Name: "Host", Value: "shop.example"}},
				}}},
			}},
		}}},
	}
}

func TestThePresentImageRunsOnACopyWithItsOwnSecrets(t *testing.T) {
	w, c := newWorld(t)
	c.config = full()
	ctx := t.Context()
	if _, err := w.clientset.AppsV1().Deployments("production").Create(ctx, deployed(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop-env", "shop-postgresql", "shop-pull"} {
		if err := (kube.Secret{Namespace: "production", Name: name, Data: map[string][]byte{"password": []byte(name)}}).Apply(ctx, c.kube); err != nil {
			t.Fatal(err)
		}
	}
	aside, err := c.Copy("production", "aside")
	if err != nil {
		t.Fatal(err)
	}
	side, err := aside.StartPresent(ctx)
	if want := (Side{Image: "registry/shop:1", Process: "present", Port: 8000, Host: "shop.example", Path: "/up"}); err != nil || side != want {
		t.Errorf("it runs as %+v, %v", side, err)
	}
	made, err := w.clientset.AppsV1().Deployments("aside").Get(ctx, "shop-present", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if labels := made.Spec.Template.Labels; labels["app.kubernetes.io/component"] != "present" || labels["team"] != "a" {
		t.Errorf("its pods are labelled %v", labels)
	}
	var refers []string
	for name := range secretsOf(made.Spec.Template.Spec) {
		refers = append(refers, name)
	}
	slices.Sort(refers)
	if got := strings.Join(refers, " "); got != "shop-env-present shop-postgresql shop-pull-present" {
		t.Errorf("it reads the Secrets %s", got)
	}
	list, err := w.clientset.CoreV1().Secrets("aside").List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("the copy is given %d Secrets, want two: not the password of production's database: %v", len(list.Items), err)
	}
	if made.Spec.Template.Spec.Containers[0].Lifecycle != nil {
		t.Error("it sleeps before it stops")
	}
}

// secretsOf are the Secrets that a pod refers to.
func secretsOf(spec core.PodSpec) map[string]bool {
	names := map[string]bool{}
	for _, pull := range spec.ImagePullSecrets {
		names[pull.Name] = true
	}
	for _, env := range spec.Containers[0].Env {
		if env.ValueFrom != nil {
			names[env.ValueFrom.SecretKeyRef.Name] = true
		}
	}
	return names
}

func TestNothingRunsBeforeACopyIsReady(t *testing.T) {
	w, c := newWorld(t)
	var order []string
	stop := errors.New("not like this")
	c.stages = Stages{
		Ready: func(context.Context) error {
			order = append(order, "ready "+strings.Join(w.applied, ", "))
			return nil
		},
		Released: func(context.Context) error { order = append(order, "released"); return stop },
	}
	_, err := c.Deploy(t.Context(), "production", "good:1", progress.Discard)
	if !errors.Is(err, stop) || len(order) != 2 || strings.Contains(order[0], "Deployment") || order[1] != "released" {
		t.Errorf("%v, in the order %q", err, order)
	}
	if slices.ContainsFunc(w.applied, func(object string) bool { return strings.HasPrefix(object, "Deployment") }) {
		t.Errorf("what was stopped is applied: %s", w.applied)
	}
}
