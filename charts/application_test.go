package charts

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// Without a port nothing answers requests, so nothing leads them there.
func TestAnApplicationThatOnlyWorks(t *testing.T) {
	all := release(t, "mailer")
	if has[*corev1.Service](all) || has[*networkingv1.Ingress](all) || has[*policyv1.PodDisruptionBudget](all) || has[*autoscalingv2.HorizontalPodAutoscaler](all) {
		t.Error("there is a way in to an application that answers no requests")
	}
	worker := get[*appsv1.Deployment](t, all, "mailer-send")
	if *worker.Spec.Replicas != 3 || worker.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
		t.Errorf("the worker is %+v", worker.Spec)
	}
	if _, told := environment(worker.Spec.Template.Spec)["PORT"]; told {
		t.Error("a worker is told a port")
	}
}

// What berth.yaml says of a variable or a command arrives as it stands, as far
// as Kubernetes is concerned: every dollar is doubled, except in references.
func TestDollars(t *testing.T) {
	pods := templates(release(t, "shop"))
	env := environment(pods["shop"].Spec)
	if got := undoubled(env["PRICE"]); got != "5$ $$ $(HOME) ${HOME}" || strings.Count(env["PRICE"], "$") != 2*strings.Count(got, "$") {
		t.Errorf("PRICE is %q", env["PRICE"])
	}
	if got := env["CELERY_BROKER_URL"]; got != "$(REDIS_URL)/1" {
		t.Errorf("the reference is %q", got)
	}
	if got := pods["shop-worker"].Spec.Containers[0].Command[2]; got != "exec celery --pidfile=/tmp/$$$$.pid" {
		t.Errorf("the command is %q", got)
	}
}

// Each variable is there once, no matter who else sets it, and after what it refers
// to.
func TestVariablesOfProcesses(t *testing.T) {
	pods := templates(release(t, "shop"))
	for name, want := range map[string]map[string]string{
		"shop":         {"LOG_LEVEL": "info", "QUEUE": "-", "PORT": "80"},
		"shop-worker":  {"LOG_LEVEL": "", "QUEUE": "mail", "PORT": "-"},
		"shop-nightly": {"LOG_LEVEL": "info", "QUEUE": "-", "PORT": "-"},
		"shop-release": {"LOG_LEVEL": "info", "QUEUE": "-", "PORT": "-"},
	} {
		var names []string
		for _, variable := range pods[name].Spec.Containers[0].Env {
			if slices.Contains(names, variable.Name) {
				t.Errorf("%s: %s is there twice", name, variable.Name)
			}
			names = append(names, variable.Name)
		}
		if slices.Index(names, "CELERY_BROKER_URL") < slices.Index(names, "REDIS_URL") || slices.Index(names, "REDIS_URL") < slices.Index(names, "CACHE_PASSWORD") {
			t.Errorf("%s: a variable stands before what it refers to: %v", name, names)
		}
		env := environment(pods[name].Spec)
		for variable, value := range want {
			got, there := env[variable]
			if !there {
				got = "-"
			}
			if got != value {
				t.Errorf("%s: %s is %q, want %q", name, variable, got, value)
			}
		}
	}
}

// A DATABASE_URL in a Secret of the application's goes before the chart's.
func TestDatabaseURLOfASecret(t *testing.T) {
	values := parse(t, `{image: {reference: a}, secrets: {name: app-env, keys: [DATABASE_URL]}, postgresql: {enabled: true}}`)
	pod := templates(decode(t, render(t, "realworld", "app", "default", values)))["app"].Spec
	for _, variable := range pod.Containers[0].Env {
		if variable.Name == "DATABASE_URL" && (variable.ValueFrom == nil || variable.ValueFrom.SecretKeyRef.Name != "app-env") {
			t.Errorf("DATABASE_URL is %+v", variable)
		}
	}
}

// The address of the database is there in parts, too, unless the application has a
// server of its own.
func TestPartsOfTheDatabase(t *testing.T) {
	for settings, want := range map[string]string{
		"postgresql: {enabled: true}":                                                       "app-postgresql 5432 app app $(POSTGRES_PASSWORD)",
		"postgresql: {enabled: true}, env: {PGUSER: reader}":                                "app-postgresql 5432 reader app $(POSTGRES_PASSWORD)",
		"postgresql: {enabled: true}, env: {PGHOST: db.example.com}":                        "db.example.com    ",
		"postgresql: {enabled: true}, secrets: {name: app-env, keys: [PGHOST, PGPASSWORD]}": "    ",
		"sqlite: {enabled: true}, replicas: 1":                                              "    ",
	} {
		pod := templates(decode(t, render(t, "realworld", "app", "default", parse(t, "{image: {reference: a}, "+settings+"}"))))["app"].Spec
		env := environment(pod)
		got := strings.Join([]string{env["PGHOST"], env["PGPORT"], env["PGUSER"], env["PGDATABASE"], env["PGPASSWORD"]}, " ")
		if got != want {
			t.Errorf("%s: %q, want %q", settings, got, want)
		}
	}
}

// Cron jobs run one at a time, in their zone, within a deadline; the release
// command once.
func TestJobs(t *testing.T) {
	all := release(t, "shop")
	cron := get[*batchv1.CronJob](t, all, "shop-nightly").Spec
	job := cron.JobTemplate.Spec
	if cron.ConcurrencyPolicy != batchv1.ForbidConcurrent || *cron.TimeZone != "Europe/Berlin" || cron.StartingDeadlineSeconds == nil || *job.ActiveDeadlineSeconds != 3600 || *job.BackoffLimit != 0 {
		t.Errorf("the cron job is %+v", cron)
	}
	once := get[*batchv1.Job](t, all, "shop-release").Spec
	if *once.BackoffLimit != 0 || *once.Template.Spec.ActiveDeadlineSeconds != 300 || *once.ActiveDeadlineSeconds != 420 || once.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("the release command is %+v", once)
	}
}

// Every port below 1024 may be listened on, by whatever user.
func TestLowPorts(t *testing.T) {
	for _, c := range cases {
		for name, pod := range templates(release(t, c.name)) {
			if pod.Labels["app.kubernetes.io/name"] != c.release {
				continue
			}
			want := corev1.Sysctl{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}
			if !slices.Contains(pod.Spec.SecurityContext.Sysctls, want) {
				t.Errorf("%s, %s: the sysctls are %v", c.name, name, pod.Spec.SecurityContext.Sysctls)
			}
		}
	}
}

// A status that Kubernetes does not count as healthy leaves the port to look at.
func TestHealthByPort(t *testing.T) {
	values := parse(t, `{image: {reference: a}, health: {http: false}}`)
	container := templates(decode(t, render(t, "realworld", "app", "default", values)))["app"].Spec.Containers[0]
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.ReadinessProbe} {
		if probe.HTTPGet != nil || probe.TCPSocket == nil {
			t.Errorf("the probe is %+v", probe)
		}
	}
}

// Volumes outlive the release, and every component finds them.
func TestVolumes(t *testing.T) {
	all := release(t, "shop")
	claim := get[*corev1.PersistentVolumeClaim](t, all, "shop-uploads")
	if claim.Annotations["helm.sh/resource-policy"] != "keep" || claim.Spec.AccessModes[0] != corev1.ReadWriteOnce {
		t.Errorf("the claim is %+v", claim)
	}
	for _, name := range []string{"shop", "shop-worker", "shop-nightly", "shop-release"} {
		pod := templates(all)[name].Spec
		if len(pod.Containers[0].VolumeMounts) != 1 || pod.Containers[0].VolumeMounts[0].MountPath != "/app/uploads" || pod.Affinity == nil {
			t.Errorf("%s: the mounts are %v", name, pod.Containers[0].VolumeMounts)
		}
	}
}

// A service's address is there as a URL and in parts, by its own name and by the one
// that clients of its kind read.
func TestPartsOfAService(t *testing.T) {
	env := environment(templates(release(t, "shop"))["shop-worker"].Spec)
	for name, want := range map[string]string{
		"CACHE_HOST": "shop-cache", "CACHE_PORT": "6379", "REDIS_HOST": "shop-cache", "REDIS_PORT": "6379", "REDIS_PASSWORD": "$(CACHE_PASSWORD)",
		"JOB_QUEUE_HOST": "shop-job-queue", "JOB_QUEUE_PORT": "6379",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
}

// Only the application's pods reach a service, and they are let out to it.
func TestServices(t *testing.T) {
	all := release(t, "shop")
	for _, name := range []string{"shop-cache", "shop-job-queue"} {
		policy := get[*networkingv1.NetworkPolicy](t, all, name)
		server := templates(all)[name]
		if !selects(t, &policy.Spec.PodSelector, server.Labels) || len(policy.Spec.Egress) != 0 {
			t.Errorf("%s: the policy is %+v", name, policy.Spec)
		}
		for pod, want := range map[string]bool{"shop": true, "shop-worker": true, "shop-nightly": true, "shop-release": true, "shop-postgresql": false, "shop-cache": false} {
			if got := selects(t, policy.Spec.Ingress[0].From[0].PodSelector, templates(all)[pod].Labels); got != want {
				t.Errorf("%s: %s comes in: %v", name, pod, got)
			}
		}
		let := false
		for _, rule := range get[*networkingv1.NetworkPolicy](t, all, "shop").Spec.Egress {
			let = let || len(rule.To) > 0 && rule.To[0].PodSelector != nil && selects(t, rule.To[0].PodSelector, server.Labels)
		}
		if !let {
			t.Errorf("%s: the application is not let out to it", name)
		}
		for _, argument := range server.Spec.Containers[0].Command {
			if strings.Contains(argument, "$(REDISCLI_AUTH)") {
				t.Errorf("%s: the password is an argument", name)
			}
		}
	}
}

// Every pod that may run a private image names what it is pulled by.
func TestPullSecrets(t *testing.T) {
	by := map[string]any{"pullSecrets": []any{"shop-pull"}}
	manifest := render(t, "realworld", "shop", "production", map[string]any{
		"image":      map[string]any{"reference": "ghcr.io/me/shop:1", "pullSecrets": []any{"shop-pull"}},
		"services":   map[string]any{"servers": map[string]any{"cache": map[string]any{"kind": "valkey", "secret": "shop-cache"}}, "pullSecrets": []any{"shop-pull"}},
		"postgresql": map[string]any{"enabled": true, "existingSecret": "shop-postgresql", "image": by},
		"processes":  map[string]any{"worker": map[string]any{"command": []any{"work"}, "replicas": 1}},
	})
	if n := strings.Count(string(manifest), `imagePullSecrets:`); n != 4 { // web, worker, database, service
		t.Errorf("%d pods name it:\n%s", n, manifest)
	}
}
