package platform

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Backups are the backups of one environment, as its cluster makes them: a
// CronJob beside the application, and Jobs that are made of it on demand. What
// is in the bucket is package backup's to read, and needs no cluster.
type Backups struct {
	cluster     *provider.Cluster
	client      kubernetes.Interface
	config      *config.Config
	environment string
}

// NewBackups returns the backups of an environment.
func NewBackups(cluster *provider.Cluster, c *config.Config, environment string) (*Backups, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, err
	}
	return &Backups{cluster, client, c, environment}, nil
}

// BackupPrefix is where an environment's backups lie in the bucket. Several
// applications may share one.
func BackupPrefix(application, environment string) string {
	return "backups/" + application + "/" + environment + "/"
}

// name is that of the release and of its CronJob.
func (b *Backups) name() string { return backupRelease(b.config.Name) }

// backupRelease is the Helm release of an application's backups.
func backupRelease(application string) string { return application + "-backup" }

// secret names one of the Secrets of the job.
func (b *Backups) secret(of string) string { return b.name() + "-" + of }

// databaseSecret is the Secret with the password of the database's owner, which
// package release makes.
func (b *Backups) databaseSecret() string { return b.config.Name + "-postgresql" }

// Install brings the scheduled backup to what it should be, or takes it away
// where there should be none. The environment must be deployed: the chart makes
// the role that reads the database.
func (b *Backups) Install(ctx context.Context, bucket provider.Bucket, image string, r progress.Reporter) error {
	return progress.Run(r, "Schedule the backups of "+b.environment, func(step progress.Step) error {
		private, err := b.private(ctx)
		if err != nil {
			return err
		}
		p := b.part(bucket, image, private)
		if err := p.pullWith(ctx, b.cluster, b.client); err != nil {
			return err
		}
		if err := b.makeSecrets(ctx, bucket, private); err != nil {
			return err
		}
		if err := install(ctx, b.cluster, b.client, p, step); err != nil {
			return fault.WithHint(fmt.Errorf("install %s: %w", p.name, err),
				"see what it says: kubectl --kubeconfig %s -n %s logs job/%s-grant", b.cluster.Kubeconfig, b.environment, p.name)
		}
		return nil
	})
}

// private are the settings in .env that make a difference to the schedule.
type private struct{ webhook, identity string }

// private reads them. What .env does not name is as the cluster was told before,
// by somebody whose .env does: a deploy by CI, which has none, must not end
// reports and verification. An empty entry takes a setting away.
func (b *Backups) private(ctx context.Context) (private, error) {
	var p private
	for _, one := range []struct {
		name, secret, key string
		value             *string
	}{
		{config.BackupWebhook, "webhook", "url", &p.webhook},
		{config.BackupIdentity, "age", "identity", &p.identity},
	} {
		value, named := b.config.DotEnv[one.name]
		if named && value != "" {
			*one.value = value
			continue
		}
		before, err := kube.OwnSecret(ctx, b.client, b.environment, b.secret(one.secret))
		if err != nil || before == nil {
			if err != nil {
				return p, err
			}
			continue
		}
		if !named {
			*one.value = string(before.Data[one.key])
			continue
		}
		err = b.client.CoreV1().Secrets(b.environment).Delete(ctx, before.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return p, fmt.Errorf("remove Secret %s: %w", before.Name, err)
		}
	}
	return p, nil
}

func (b *Backups) part(bucket provider.Bucket, image string, private private) part {
	settings := b.config.Environments[b.environment].Backup
	destination := map[string]any{
		"endpoint": bucket.URL(), "name": bucket.Name,
		"prefix": BackupPrefix(b.config.Name, b.environment), "secret": b.secret("bucket"),
	}
	if bucket.Region != "" {
		destination["region"] = bucket.Region
	}
	if len(bucket.CA) > 0 {
		destination["caSecret"] = b.secret("bucket")
	}
	values := map[string]any{
		"image":    map[string]any{"reference": image},
		"schedule": settings.Schedule,
		"bucket":   destination,
		"retention": map[string]any{
			"last": settings.Keep.Last, "daily": settings.Keep.Daily, "weekly": settings.Keep.Weekly, "monthly": settings.Keep.Monthly,
		},
		"networkPolicy": map[string]any{"bucketPort": port(bucket.URL())},
	}
	if b.config.Environments[b.environment].Database == config.SQLite {
		// What charts/realworld calls them.
		values["sqlite"] = map[string]any{"claim": b.config.Name + "-data", "file": b.config.Name + ".db", "application": b.config.Name}
	} else {
		values["database"] = map[string]any{
			"host": b.config.Name + "-postgresql", "secret": b.secret("database"),
			"owner": map[string]any{"secret": b.databaseSecret()},
		}
	}
	if settings.Streams() {
		values["continuous"] = map[string]any{"enabled": true, "secret": b.secret("wal"), "storageClass": b.storageClass()}
	}
	if settings.Format != "" {
		values["format"] = settings.Format
	}
	if len(settings.Recipients) > 0 {
		encryption := map[string]any{"recipients": settings.Recipients}
		if private.identity != "" {
			encryption["identitySecret"] = b.secret("age")
		} else {
			values["verify"] = false // nothing there could decrypt it
		}
		values["encryption"] = encryption
	}
	if private.webhook != "" {
		values["reports"] = map[string]any{"webhookSecret": b.secret("webhook")}
	}
	return part{
		title: "Schedule the backups of " + b.environment,
		chart: "backup", name: b.name(), namespace: b.environment, values: values, labels: b.labels(),
	}
}

func (b *Backups) storageClass() string {
	if b.cluster == nil {
		return ""
	}
	return b.cluster.StorageClass
}

// labels are those of the Secrets, which go with the application.
func (b *Backups) labels() map[string]string {
	return map[string]string{"app.kubernetes.io/instance": b.config.Name}
}

// port is the one that an endpoint listens on.
func port(endpoint string) int {
	u, err := url.Parse(endpoint)
	if err != nil {
		return 443 // the job says what is wrong with it
	}
	if number, err := strconv.Atoi(u.Port()); err == nil {
		return number
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

// makeSecrets writes the Secrets that the job reads. They are kept apart from
// the release, so that no secret is in its history.
func (b *Backups) makeSecrets(ctx context.Context, bucket provider.Bucket, private private) error {
	secrets := map[string]map[string]string{
		"bucket": {"BUCKET_ACCESS_KEY": bucket.AccessKey, "BUCKET_SECRET_KEY": bucket.SecretKey, "ca.crt": string(bucket.CA)},
	}
	if private.webhook != "" {
		secrets["webhook"] = map[string]string{"url": private.webhook}
	}
	if private.identity != "" {
		secrets["age"] = map[string]string{"identity": private.identity}
	}
	// The roles' passwords are made once: the database knows them since.
	for _, role := range []string{"database", "wal"} {
		found, err := b.client.CoreV1().Secrets(b.environment).Get(ctx, b.secret(role), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			secrets[role] = map[string]string{"password": rand.Text()}
		case err != nil:
			return fmt.Errorf("read Secret %s: %w", b.secret(role), err)
		case len(found.Data["password"]) == 0:
			secrets[role] = map[string]string{"password": rand.Text()}
		}
	}
	for name, data := range secrets {
		secret := kube.Secret{
			Namespace: b.environment, Name: b.secret(name), Data: bytesOf(data),
			Labels: b.labels(),
		}
		if err := secret.Apply(ctx, b.client); err != nil {
			return err
		}
	}
	return nil
}

// bytesOf is a Secret's data.
func bytesOf(text map[string]string) map[string][]byte {
	data := make(map[string][]byte, len(text))
	for name, value := range text {
		data[name] = []byte(value)
	}
	return data
}

// Remove takes the schedule away, if there is one. What is in the bucket stays.
func (b *Backups) Remove(ctx context.Context, r progress.Reporter) error {
	if since, err := b.Installed(ctx); err != nil || since.IsZero() {
		return err
	}
	return progress.Run(r, "Remove the schedule of backups of "+b.environment, func(progress.Step) error {
		return uninstall(b.cluster, b.environment, b.name())
	})
}

// Installed returns since when backups are scheduled; the zero time when they
// are not.
func (b *Backups) Installed(ctx context.Context) (time.Time, error) {
	schedule, err := b.client.BatchV1().CronJobs(b.environment).Get(ctx, b.name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the schedule of backups: %w", err)
	}
	return schedule.CreationTimestamp.Time, nil
}

// Streaming returns since when the write-ahead log is streamed, by the program that runs
// now; the zero time when it is not to be.
func (b *Backups) Streaming(ctx context.Context) (time.Time, error) {
	stream, err := b.client.AppsV1().StatefulSets(b.environment).Get(ctx, b.name()+"-stream", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the stream of the log: %w", err)
	}
	since := stream.CreationTimestamp.Time
	pod, err := b.client.CoreV1().Pods(b.environment).Get(ctx, stream.Name+"-0", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, fmt.Errorf("read the stream of the log: %w", err)
	}
	if err == nil {
		for _, status := range pod.Status.ContainerStatuses {
			if status.State.Running != nil {
				since = status.State.Running.StartedAt.Time
			}
		}
	}
	return since, nil
}
