package images

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/release/common"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "production"}
}

func pod(image string) core.PodSpec {
	return core.PodSpec{Containers: []core.Container{{Image: image}}}
}

func template(image string) core.PodTemplateSpec { return core.PodTemplateSpec{Spec: pod(image)} }

func TestWhatWorkloadsNameIsNeeded(t *testing.T) {
	none := int32(0)
	suspended := true
	for _, test := range []struct {
		what   string
		object runtime.Object
	}{
		{"Deployment", &apps.Deployment{ObjectMeta: named("a"), Spec: apps.DeploymentSpec{Template: template("app:1")}}},
		{"Deployment of no replicas", &apps.Deployment{ObjectMeta: named("a"), Spec: apps.DeploymentSpec{Replicas: &none, Template: template("app:1")}}},
		{"ReplicaSet that can be rolled back to", &apps.ReplicaSet{ObjectMeta: named("a"), Spec: apps.ReplicaSetSpec{Replicas: &none, Template: template("app:1")}}},
		{"StatefulSet", &apps.StatefulSet{ObjectMeta: named("a"), Spec: apps.StatefulSetSpec{Template: template("app:1")}}},
		{"DaemonSet", &apps.DaemonSet{ObjectMeta: named("a"), Spec: apps.DaemonSetSpec{Template: template("app:1")}}},
		{"revision of a StatefulSet", &apps.ControllerRevision{ObjectMeta: named("a"), Data: runtime.RawExtension{
			Raw: []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"app:1"}]}}}}`)}}},
		{"CronJob", &batch.CronJob{ObjectMeta: named("a"), Spec: batch.CronJobSpec{JobTemplate: batch.JobTemplateSpec{Spec: batch.JobSpec{Template: template("app:1")}}}}},
		{"suspended CronJob", &batch.CronJob{ObjectMeta: named("a"), Spec: batch.CronJobSpec{Suspend: &suspended, JobTemplate: batch.JobTemplateSpec{Spec: batch.JobSpec{Template: template("app:1")}}}}},
		{"Job", &batch.Job{ObjectMeta: named("a"), Spec: batch.JobSpec{Template: template("app:1")}}},
		{"pod", &core.Pod{ObjectMeta: named("a"), Spec: pod("app:1")}},
		{"init container", &core.Pod{ObjectMeta: named("a"), Spec: core.PodSpec{InitContainers: []core.Container{{Image: "app:1"}}}}},
		{"ephemeral container", &core.Pod{ObjectMeta: named("a"), Spec: core.PodSpec{EphemeralContainers: []core.EphemeralContainer{{
			EphemeralContainerCommon: core.EphemeralContainerCommon{Image: "app:1"}}}}}},
	} {
		t.Run(test.what, func(t *testing.T) {
			needed, err := Needed(t.Context(), fake.NewClientset(test.object))
			if err != nil || !slices.Equal(needed, []string{"app:1"}) {
				t.Errorf("needed are %v, %v; want app:1", needed, err)
			}
		})
	}
}

// revision is one of a Helm release's.
func revision(namespace, name string, version int, status common.Status, image string) *helmrelease.Release {
	manifest := "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: [{image: " + image + "}]}}}\n"
	return &helmrelease.Release{Namespace: namespace, Name: name, Version: version, Manifest: manifest, Info: &helmrelease.Info{Status: status}}
}

func TestWhatCanBeRolledBackToIsNeeded(t *testing.T) {
	client := fake.NewClientset()
	migrating := revision("staging", "shop", 1, common.StatusSuperseded, "shop:1")
	migrating.Hooks = []*helmrelease.Hook{{Manifest: "kind: Job\nspec: {template: {spec: {containers: [{image: 'shop-migrations:1'}]}}}"}}
	for _, r := range []*helmrelease.Release{
		migrating,
		revision("staging", "shop", 2, common.StatusFailed, "shop:2"),
		revision("staging", "shop", 3, common.StatusDeployed, "shop:3"),
		revision("staging", "shop", 4, common.StatusPendingUpgrade, "shop:4"), // a deploy under way
		revision("production", "shop", 1, common.StatusDeployed, "shop:production"),
		revision("staging", "blog", 7, common.StatusDeployed, "blog:7"),
		revision("ingress", "ingress", 1, common.StatusDeployed, "ingress:1"),
	} {
		key := r.Name + "." + string(rune('0'+r.Version))
		if err := driver.NewSecrets(client.CoreV1().Secrets(r.Namespace)).Create(key, r); err != nil {
			t.Fatal(err)
		}
	}
	needed, err := Needed(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"blog:7", "ingress:1", "shop-migrations:1", "shop:1", "shop:3", "shop:4", "shop:production"}
	if !slices.Equal(needed, want) {
		t.Errorf("needed are %v, want %v", needed, want)
	}
}

// What cannot be read may name an image, so nothing may be removed.
func TestARevisionThatCannotBeReadIsAnError(t *testing.T) {
	_, err := Needed(t.Context(), fake.NewClientset(&core.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.shop.v1", Namespace: "staging", Labels: map[string]string{"owner": "helm"}},
		Data:       map[string][]byte{"release": []byte("not what Helm writes")},
	}))
	if err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
}

func TestImagesOfAManifest(t *testing.T) {
	found, err := Of(`# Source: shop/templates/web.yaml
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{image: shop:1}]
      containers: [{image: "shop:2", command: [image, shop:3]}]
---
---
kind: ConfigMap
data: {text: "image: shop:4"}
---
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: shop:5}]}}}}}
`)
	if want := []string{"shop:1", "shop:2", "shop:5"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("found %v, %v; want %v", found, err, want)
	}
	if _, err := Of("a: b: c"); err == nil {
		t.Error("what is no YAML is no error")
	}
}

func TestShort(t *testing.T) {
	const digest = "@sha256:0e310e6705ff5cd01ff41f5c234bec024c0b80c605f249a845e187278e5d3851"
	for reference, want := range map[string]string{
		"":                               "",
		"ghcr.io/me/shop:1.2":            "ghcr.io/me/shop:1.2",
		"ghcr.io/me/shop" + digest:       "ghcr.io/me/shop@sha256:0e310e6705ff",
		"127.0.0.1:5000/shop:1" + digest: "127.0.0.1:5000/shop:1@sha256:0e310e6705ff",
		"shop@sha256:0e31":               "shop@sha256:0e31",
	} {
		if got := Short(reference); got != want {
			t.Errorf("%s is %s in short, want %s", reference, got, want)
		}
	}
}
