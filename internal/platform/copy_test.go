package platform

import (
	"slices"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"berth/internal/config"
)

// A Job of a copy knows the copy's database and no other, reports to nobody, and has the
// bucket's keys only where it restores.
func TestTheJobsOfACopy(t *testing.T) {
	from := func(name, secret string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: "key",
		}}}
	}
	schedule := &batch.CronJob{}
	template := &schedule.Spec.JobTemplate.Spec.Template
	template.Labels = map[string]string{"app.kubernetes.io/component": "backup"}
	template.Spec = corev1.PodSpec{
		ServiceAccountName: "shop-backup", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "shop-backup-pull"}},
		Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "shop-backup-age"}}}},
		Containers: []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "PGUSER", Value: "backup"}, from("PGPASSWORD", "shop-backup-database"), {Name: "BACKUP_CONTINUOUS", Value: "true"},
			from("WAL_PASSWORD", "shop-backup-wal"), from("WEBHOOK_URL", "shop-backup-webhook"),
			from("BUCKET_ACCESS_KEY", "shop-backup-bucket"), from("BUCKET_SECRET_KEY", "shop-backup-bucket"), {Name: "BUCKET_ENDPOINT", Value: "http://10.0.0.1:9000"},
		}}},
	}
	b := &Backups{config: &config.Config{Name: "shop", Environments: map[string]config.Environment{"production": {}}}, environment: "production"}
	for does, want := range map[string]string{
		CopyRestores: "shop-backup-age shop-backup-bucket shop-backup-pull shop-postgresql",
		CopyReads:    "shop-backup-age shop-backup-pull shop-postgresql",
	} {
		job := b.Copy("aside").job(schedule, task{name: "task", args: []string{"do"}}, does)
		if job.Namespace != "aside" || job.Spec.Template.Labels[CopyLabel] != does || len(job.OwnerReferences) > 0 {
			t.Errorf("%s: it is in %s, labelled %v, owned by %v", does, job.Namespace, job.Spec.Template.Labels, job.OwnerReferences)
		}
		var names []string
		for name := range secretsOf(&job.Spec.Template.Spec) {
			names = append(names, name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: it reads the Secrets %s, want %s", does, got, want)
		}
		if user := job.Spec.Template.Spec.Containers[0].Env[0]; user.Value != "app" {
			t.Errorf("%s: it logs in as %s", does, user.Value)
		}
	}
	if env := template.Spec.Containers[0].Env; len(env) != 8 || env[0].Value != "backup" {
		t.Errorf("the schedule is changed: %v", env)
	}
}

// The Job that fills a volume runs as the user of the server that will start on it, and
// as long as it takes.
func TestTheJobThatFillsAVolume(t *testing.T) {
	schedule := &batch.CronJob{}
	schedule.Spec.JobTemplate.Spec.ActiveDeadlineSeconds = new(int64(3600))
	template := &schedule.Spec.JobTemplate.Spec.Template
	template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(65532))}
	template.Spec.Volumes = []corev1.Volume{{Name: "scratch"}}
	template.Spec.Containers = []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}}}}
	v := Volume{Claim: "data-shop-postgres17b-0", Path: "/var/lib/postgresql/data", Data: "/var/lib/postgresql/data/pgdata", Version: 17,
		Security: &corev1.PodSecurityContext{RunAsUser: new(int64(999)), FSGroup: new(int64(999))}}
	b := &Backups{config: &config.Config{Name: "shop"}, environment: "production"}
	job := b.job(schedule, task{name: "fill", args: []string{"fill"}, shape: v.fill})
	pod := job.Spec.Template.Spec
	if *pod.SecurityContext.RunAsUser != 999 || *job.Spec.ActiveDeadlineSeconds <= 3600 || len(pod.Volumes) != 2 || pod.Volumes[1].PersistentVolumeClaim.ClaimName != v.Claim ||
		len(pod.Containers[0].VolumeMounts) != 2 || pod.Containers[0].VolumeMounts[1].MountPath != v.Path {
		t.Errorf("it is %+v, %+v", job.Spec.ActiveDeadlineSeconds, pod)
	}
	if was := schedule.Spec.JobTemplate.Spec.Template.Spec; *was.SecurityContext.RunAsUser != 65532 || len(was.Volumes) != 1 || *schedule.Spec.JobTemplate.Spec.ActiveDeadlineSeconds != 3600 {
		t.Errorf("the schedule is changed: %+v", was)
	}
}
