package charts

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurity "k8s.io/pod-security-admission/api"
)

func TestRenderBackup(t *testing.T) {
	for _, name := range []string{"backup", "sqlite", "continuous"} {
		t.Run(name, func(t *testing.T) { testRenderBackup(t, name) })
	}
}

func testRenderBackup(t *testing.T, name string) {
	got := render(t, "backup", "backup", "production", readValues(t, name))
	wantGolden(t, name+".golden.yaml", got)
}

// The job's pods can do nothing but reach the database and the bucket.
func TestBackupPods(t *testing.T) {
	all := decode(t, render(t, "backup", "backup", "production", readValues(t, "backup")))
	cron := get[*batchv1.CronJob](t, all, "backup")
	if cron.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || cron.Spec.JobTemplate.Spec.ActiveDeadlineSeconds == nil {
		t.Error("runs may overlap, or have no deadline")
	}
	grant := get[*batchv1.Job](t, all, "backup-grant")
	own := get[*networkingv1.NetworkPolicy](t, all, "backup")
	database := get[*networkingv1.NetworkPolicy](t, release(t, "production"), "realworld-postgresql")
	stream := get[*appsv1.StatefulSet](t, decode(t, render(t, "backup", "backup", "production", readValues(t, "continuous"))), "backup-stream")
	for name, pod := range map[string]corev1.PodTemplateSpec{"cron": cron.Spec.JobTemplate.Spec.Template, "grant": grant.Spec.Template, "stream": stream.Spec.Template} {
		wantStandard(t, podsecurity.LevelRestricted, name, pod)
		if token := pod.Spec.AutomountServiceAccountToken; token == nil || *token {
			t.Errorf("%s: the pod gets a token of the API server", name)
		}
		container := pod.Spec.Containers[0]
		if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
			t.Errorf("%s: the root file system can be written", name)
		}
		if container.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: memory is not bounded", name)
		}
		if !selects(t, &own.Spec.PodSelector, pod.Labels) {
			t.Errorf("%s: its own policy does not select the pod", name)
		}
		admitted := false
		for _, peer := range database.Spec.Ingress[0].From {
			admitted = admitted || selects(t, peer.PodSelector, pod.Labels)
		}
		if !admitted {
			t.Errorf("%s: the database's policy keeps the pod out", name)
		}
	}
	// Only the hook sees the owner's password.
	for _, variable := range cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Env {
		if from := variable.ValueFrom; from != nil && from.SecretKeyRef.Name == "realworld-postgresql" {
			t.Errorf("the CronJob's %s is the owner's", variable.Name)
		}
	}
}

func selects(t *testing.T, selector *metav1.LabelSelector, pod map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(pod))
}
