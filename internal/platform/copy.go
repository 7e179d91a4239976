package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	batch "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/kube"
	"berth/internal/progress"
)

// A DatabaseCopy is the database of a copy of an environment, in a namespace of its
// own, into which backups of the environment are restored. Only the Jobs that
// restore have the bucket's keys there.
type DatabaseCopy struct {
	backups *Backups // of the copy's namespace
	from    *Backups
}

// CopyLabel and its values tell the pods of a copy's Jobs from the application's: those
// that restore reach the bucket.
const (
	CopyLabel    = "berth/copy"
	CopyRestores = "restores"
	CopyReads    = "reads"
)

// BucketPort is the port of the bucket that a restore has to reach.
func (d *DatabaseCopy) BucketPort(ctx context.Context) (int, error) {
	schedule, err := d.from.schedule(ctx)
	if err != nil {
		return 0, err
	}
	for _, env := range schedule.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Env {
		if env.Name == "BUCKET_ENDPOINT" {
			return port(env.Value), nil
		}
	}
	return 0, errors.New("the schedule of the backups names no bucket")
}

// Copy returns the database of a copy in a namespace.
func (b *Backups) Copy(namespace string) *DatabaseCopy {
	in := *b
	in.environment = namespace
	return &DatabaseCopy{&in, b}
}

// Restore restores a backup of the environment into the copy, which must be empty.
// Columns are masked first (package anonymize), so nobody sees their original
// values.
func (d *DatabaseCopy) Restore(ctx context.Context, entry *backup.Entry, masks map[string]string, step progress.Step) error {
	args := []string{"restore", "--yes", "--no-safety-backup", "--copy", "--from=" + entry.Database.Name}
	if len(masks) > 0 {
		text, err := json.Marshal(masks)
		if err != nil {
			return err
		}
		args = append(args, "--masks="+string(text))
	}
	args = append(args, entry.ID)
	_, err := d.run(ctx, task{name: "restore", args: args}, CopyRestores, step)
	return err
}

// Forget removes the Jobs of the copy and the Secrets that they had, the bucket's keys
// among them.
func (d *DatabaseCopy) Forget(ctx context.Context) error {
	for _, name := range []string{"restore", "contents"} {
		if err := d.backups.removeJob(ctx, d.backups.name()+"-"+name); err != nil {
			return err
		}
	}
	err := d.from.client.CoreV1().Secrets(d.backups.environment).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: CopyLabel})
	if err != nil {
		return fmt.Errorf("remove the secrets of the restore: %w", err)
	}
	return nil
}

// Contents are the contents of a copy's SQLite database.
type Contents struct {
	Schema string           `json:"schema"`
	Rows   map[string]int64 `json:"rows"`
	Bytes  int64            `json:"bytes"`
	// Sealed says that the Job could not reach the cluster's own API.
	Sealed bool `json:"sealed"`
}

// Contents reads the copy of a SQLite database.
func (d *DatabaseCopy) Contents(ctx context.Context, step progress.Step) (*Contents, error) {
	last, err := d.run(ctx, task{name: "contents", args: []string{"contents"}}, CopyReads, step)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(last)
	if err != nil {
		return nil, err
	}
	contents := &Contents{}
	if err := json.Unmarshal(text, contents); err != nil {
		return nil, fmt.Errorf("read the job's report on the database: %w", err)
	}
	return contents, nil
}

func (d *DatabaseCopy) run(ctx context.Context, t task, does string, step progress.Step) (map[string]any, error) {
	schedule, err := d.from.schedule(ctx)
	if err != nil {
		return nil, err
	}
	job := d.job(schedule, t, does)
	for name := range secretsOf(&job.Spec.Template.Spec) {
		if name == d.from.databaseSecret() {
			continue // which is the copy's own
		}
		if err := d.take(ctx, name); err != nil {
			return nil, err
		}
	}
	if err := d.backups.removeJob(ctx, job.Name); err != nil {
		return nil, err
	}
	last, err := d.backups.do(ctx, job, step)
	if err != nil {
		err = outdated(err, d.from.environment)
	}
	return last, err
}

// job is what a task runs in. What it does to the copy reports to nobody.
func (d *DatabaseCopy) job(schedule *batch.CronJob, t task, does string) *batch.Job {
	job := d.backups.job(schedule, t)
	spec := &job.Spec.Template.Spec
	job.Spec.Template.Labels[CopyLabel] = does
	// The chart's own account is not there, and none is needed.
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = "default", "default"
	container := &spec.Containers[0]
	left := []string{"BACKUP_CONTINUOUS", "WAL_USER", "WAL_PASSWORD", "WEBHOOK_URL", "PUSHGATEWAY_URL"}
	if does == CopyReads {
		left = append(left, "BUCKET_ACCESS_KEY", "BUCKET_SECRET_KEY")
	}
	container.Env = slices.DeleteFunc(container.Env, func(env corev1.EnvVar) bool { return slices.Contains(left, env.Name) })
	for i := range container.Env {
		switch env := &container.Env[i]; env.Name {
		case "PGUSER":
			env.Value = "app"
		case "PGPASSWORD":
			env.ValueFrom.SecretKeyRef.Name = d.from.databaseSecret()
		}
	}
	if d.from.config.Environments[d.from.environment].Database == config.SQLite && spec.Affinity != nil {
		// The file's volume is where the copy's pods are, whichever came first.
		spec.Affinity = nil
	}
	return job
}

// take copies a Secret of the environment's backups.
func (d *DatabaseCopy) take(ctx context.Context, name string) error {
	found, err := d.from.client.CoreV1().Secrets(d.from.environment).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Secret %s/%s: %w", d.from.environment, name, err)
	}
	labels := d.from.labels()
	labels[CopyLabel] = CopyRestores
	return kube.Secret{
		Namespace: d.backups.environment, Name: name, Type: found.Type, Data: found.Data, Labels: labels,
	}.Apply(ctx, d.from.client)
}

// secretsOf are the names of the Secrets that a pod refers to.
func secretsOf(spec *corev1.PodSpec) map[string]bool {
	names := map[string]bool{}
	for _, pull := range spec.ImagePullSecrets {
		names[pull.Name] = true
	}
	for _, volume := range spec.Volumes {
		if volume.Secret != nil {
			names[volume.Secret.SecretName] = true
		}
	}
	for _, container := range spec.Containers {
		for _, env := range container.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
				names[env.ValueFrom.SecretKeyRef.Name] = true
			}
		}
	}
	return names
}
