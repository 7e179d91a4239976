package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// As the charts make them, without what plays no part here.
const (
	webTemplate = `
metadata:
  labels: {app.kubernetes.io/name: realworld, app.kubernetes.io/instance: realworld, app.kubernetes.io/component: web}
spec:
  serviceAccountName: realworld
  serviceAccount: realworld
  securityContext: {runAsNonRoot: true}
  affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname}]}}
  containers:
    - name: web
      image: berth.local/realworld:1
      envFrom: [secretRef: {name: realworld-env}]
      env: [{name: DATABASE_URL, value: "sqlite:////data/realworld.db"}, {name: LISTEN, value: ":8000"}]
      resources: {limits: {memory: 256Mi}}
      volumeMounts: [{name: scratch-0, mountPath: /tmp}, {name: data, mountPath: /data}]
  volumes:
    - {name: scratch-0, emptyDir: {sizeLimit: 256Mi}}
    - {name: data, persistentVolumeClaim: {claimName: realworld-data}}
`
	wantWeb = `
metadata:
  name: bench-agent-web
  labels: {app.kubernetes.io/name: bench-agent}
spec:
  activeDeadlineSeconds: 3600
  serviceAccountName: default
  serviceAccount: default
  securityContext: {runAsNonRoot: true}
  containers:
    - name: web
      image: berth.local/realworld:1
      envFrom: [secretRef: {name: realworld-env}]
      env:
        - {name: LISTEN, value: ":8000"}
        - {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: bench-agent, key: DATABASE_URL}}}
        - {name: CONDUIT_SECRET, valueFrom: {secretKeyRef: {name: bench-agent, key: CONDUIT_SECRET}}}
      resources: {limits: {memory: 256Mi}}
      volumeMounts: [{name: scratch-0, mountPath: /tmp}, {name: data, mountPath: /data}]
  volumes:
    - {name: scratch-0, emptyDir: {sizeLimit: 256Mi}}
    - {name: data, emptyDir: {}}
`
	databaseTemplate = `
metadata:
  labels: {app.kubernetes.io/name: postgresql, app.kubernetes.io/instance: realworld, app.kubernetes.io/component: database}
spec:
  serviceAccountName: realworld-postgresql
  serviceAccount: realworld-postgresql
  containers:
    - name: postgres
      image: berth.local/postgres:1
      args: [postgres, -c, shared_buffers=128MB]
      env: [{name: POSTGRES_USER, value: app}, {name: POSTGRES_PASSWORD_FILE, value: /run/secrets/postgresql/password}]
      volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}, {name: password, mountPath: /run/secrets/postgresql}]
  volumes:
    - {name: password, secret: {secretName: realworld-postgresql, items: [{key: password, path: password}]}}
`
	wantDatabase = `
metadata:
  name: bench-agent-database
  labels: {app.kubernetes.io/name: bench-agent}
spec:
  activeDeadlineSeconds: 3600
  serviceAccountName: default
  serviceAccount: default
  containers:
    - name: postgres
      image: berth.local/postgres:1
      args: [postgres, -c, shared_buffers=128MB]
      env: [{name: POSTGRES_USER, value: app}, {name: POSTGRES_PASSWORD_FILE, value: /run/secrets/postgresql/password}]
      volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}, {name: password, mountPath: /run/secrets/postgresql}]
  volumes:
    - {name: password, secret: {secretName: bench-agent, items: [{key: password, path: password}]}}
    - {name: data, emptyDir: {}}
`
)

// The pods are like the application's and its database's, and no part of them:
// no Service or Deployment finds them, and they have neither volume nor password
// of an environment.
func TestPods(t *testing.T) {
	claims := []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	for name, test := range map[string]struct {
		template, want string
		pod            func(corev1.PodTemplateSpec) *corev1.Pod
	}{
		"web":      {webTemplate, wantWeb, webPod},
		"database": {databaseTemplate, wantDatabase, func(t corev1.PodTemplateSpec) *corev1.Pod { return databasePod(t, claims) }},
	} {
		t.Run(name, func(t *testing.T) {
			template, untouched := read[corev1.PodTemplateSpec](t, test.template), read[corev1.PodTemplateSpec](t, test.template)
			pod := test.pod(template)
			want := read[corev1.Pod](t, test.want)
			if diff := cmp.Diff(&want, pod); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
			if labels.SelectorFromSet(template.Labels).Matches(labels.Set(pod.Labels)) {
				t.Errorf("%v are selected with the template's", pod.Labels)
			}
			if diff := cmp.Diff(untouched, template); diff != "" {
				t.Errorf("the template has changed (-before +after):\n%s", diff)
			}
		})
	}
}

func read[T any](t *testing.T, text string) (object T) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(strings.TrimSpace(text)), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestPodState(t *testing.T) {
	for _, test := range []struct{ status, want string }{
		{"phase: Pending", "Pending"},
		{"{phase: Pending, containerStatuses: [{state: {waiting: {reason: ImagePullBackOff}}}]}", "ImagePullBackOff"},
		{"{phase: Running, conditions: [{type: Ready, status: 'False'}], containerStatuses: [{state: {running: {}}}]}", "Running"},
		{"{phase: Running, conditions: [{type: Ready, status: 'True'}]}", podReady},
	} {
		pod := corev1.Pod{Status: read[corev1.PodStatus](t, test.status)}
		if got := podState(&pod); got != test.want {
			t.Errorf("%s: got %q, want %q", test.status, got, test.want)
		}
	}
}
