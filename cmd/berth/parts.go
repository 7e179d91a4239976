package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"filippo.io/age"

	"berth/internal/alert"
	"berth/internal/backup"
	store "berth/internal/bucket"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/logs"
	"berth/internal/metrics"
	"berth/internal/platform"
	"berth/internal/preview"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/digitalocean"
	"berth/internal/provider/existing"
	"berth/internal/provider/local"
	"berth/internal/rehearsal"
	"berth/internal/release"
	"berth/internal/session"
	"berth/internal/sudo"
	"berth/internal/traffic"
	"berth/internal/wal"
)

// parts are what the commands are wired to. Tests put their own there.
type parts struct {
	// provider opens the provider that the configuration names.
	provider func(*config.Config) (provider.Provider, error)
	// sudo starts the command again as root; see [sudo.Restart].
	sudo func(args, also, environ []string, terminal bool) error
	// install puts the platform on a cluster, and remove takes it away.
	install, remove func(context.Context, *provider.Cluster, *config.Config, progress.Reporter) error
	// otherClaims names the volume claims on a cluster that berth.yaml does not.
	otherClaims func(context.Context, *provider.Cluster, *config.Config) ([]string, error)
	// reach waits until every host says that it is healthy.
	reach func(ctx context.Context, cluster *provider.Cluster, hosts []string, health config.Health, r progress.Reporter) error
	// releases opens the application's releases on a cluster.
	releases func(*provider.Cluster, *config.Config) (releases, error)
	// sessions opens the sessions of an application's environment on a cluster.
	sessions func(cluster *provider.Cluster, application, environment string) (sessions, error)
	// backups opens what backs an environment up on a cluster, and archive what
	// is in the bucket.
	backups func(cluster *provider.Cluster, c *config.Config, environment string) (backups, error)
	archive func(bucket provider.Bucket, c *config.Config, environment string) (archive, error)
	// agent opens the log agent of a cluster.
	agent func(*provider.Cluster, *config.Config) (logAgent, error)
	// watch opens the watch of a cluster.
	watch func(*provider.Cluster, *config.Config) (watcher, error)
	// metrics opens the metrics that a cluster keeps.
	metrics func(*provider.Cluster, *config.Config) (keptMetrics, error)
	// logs opens what an environment has logged and the bucket keeps.
	logs func(bucket provider.Bucket, c *config.Config, environment string) (logArchive, error)
	// rehearsals opens the rehearsals of an environment's releases.
	rehearsals func(cluster *provider.Cluster, c *config.Config, environment string, from rehearsal.Sources) (rehearsals, error)
	// previews opens the previews of an application on a cluster.
	previews func(*provider.Cluster, *config.Config) (previews, error)
}

// previews is what the commands need of a [preview.Client].
type previews interface {
	List(ctx context.Context) ([]preview.Preview, error)
	Find(ctx context.Context, name string) (*preview.Preview, error)
	Admit(ctx context.Context, branch string) error
	Make(ctx context.Context, w preview.Wanted, r progress.Reporter) (*preview.Preview, release.Revision, error)
	Remove(ctx context.Context, p *preview.Preview, r progress.Reporter) error
}

// rehearsals is what the commands need of a [rehearsal.Rehearsal].
type rehearsals interface {
	Run(ctx context.Context, image string, r progress.Reporter) (*rehearsal.Report, error)
	Sweep(ctx context.Context, r progress.Reporter) error
}

// releases is what the commands need of a [release.Client].
type releases interface {
	Free(ctx context.Context, environment string) error
	Deploy(ctx context.Context, environment, image string, r progress.Reporter) (release.Revision, error)
	DeployForward(ctx context.Context, environment, image string, r progress.Reporter) (release.Revision, error)
	Promotable(ctx context.Context, environment string) (image string, err error)
	Rollback(ctx context.Context, environment string, revision int, r progress.Reporter) (release.Revision, error)
	History(ctx context.Context, environment string) ([]release.Revision, error)
	Status(ctx context.Context, environment string) (release.Status, error)
	Requests(ctx context.Context, environment string, during time.Duration, r progress.Reporter) ([]release.Requests, error)
	ByRevision(ctx context.Context, environment string, pods map[string]traffic.Endpoint, during time.Duration) ([]release.Requests, error)
	Logs(ctx context.Context, environment string, o release.LogOptions, each func(logs.Line) error) error
	Pause(ctx context.Context, environment string, r progress.Reporter, work func(context.Context) error) (time.Duration, error)
	Database(ctx context.Context, environment string) (release.Server, error)
	KeptServers(ctx context.Context, environment string) ([]release.KeptServer, error)
	UpgradeDatabase(ctx context.Context, environment string, u release.Upgrade, r progress.Reporter) (release.Upgraded, error)
	ReplaceDatabase(ctx context.Context, environment string, fill func(context.Context, release.Volume) error, r progress.Reporter) (release.Upgraded, error)
	DatabaseBack(ctx context.Context, environment string, r progress.Reporter) (release.Upgraded, error)
	ForgetDatabases(ctx context.Context, environment string, r progress.Reporter) ([]release.Server, error)
	Remove(ctx context.Context, environment string, r progress.Reporter) error
	Restart(ctx context.Context, environment, process string, r progress.Reporter) (release.Restarted, error)
	Secrets(ctx context.Context, environment string) []string
	Given(ctx context.Context, environment, process string) (release.Given, error)
}

// sessions is what the commands need of a [session.Client].
type sessions interface {
	Run(ctx context.Context, command session.Command, s session.Streams, r progress.Reporter) error
	Exec(ctx context.Context, command session.Command, s session.Streams) error
	Psql(ctx context.Context, q session.SQL, s session.Streams, r progress.Reporter) error
	Forward(ctx context.Context, f session.Forward, r progress.Reporter, listening func(address, pod string)) error
}

// backups is what the commands need of [platform.Backups].
type backups interface {
	Install(ctx context.Context, bucket provider.Bucket, image string, r progress.Reporter) error
	Installed(ctx context.Context) (time.Time, error)
	Check(ctx context.Context, r progress.Reporter) error
	Checked(ctx context.Context) (bool, error)
	Remove(ctx context.Context, r progress.Reporter) error
	Now(ctx context.Context, r progress.Reporter) (id string, err error)
	Safety(ctx context.Context, r progress.Reporter) (id string, err error)
	Verify(ctx context.Context, id string, r progress.Reporter) error
	Moment(ctx context.Context, at time.Time, r progress.Reporter) (id string, err error)
	Fill(ctx context.Context, at time.Time, v platform.Volume, r progress.Reporter) (*wal.Filled, error)
	Streaming(ctx context.Context) (time.Time, error)
	Restore(ctx context.Context, id, from string, r progress.Reporter) (*backup.Restored, error)
	Move(ctx context.Context, m platform.Move, r progress.Reporter) (*backup.Moved, error)
}

// logAgent is what the commands need of [platform.Logs].
type logAgent interface {
	Install(ctx context.Context, bucket *provider.Bucket, image string, r progress.Reporter) error
	Follow(ctx context.Context, environment string, r progress.Reporter) error
	Remove(ctx context.Context, r progress.Reporter) error
	Status(ctx context.Context) ([]platform.AgentStatus, error)
}

// watcher is what the commands need of [platform.Alerts].
type watcher interface {
	Install(ctx context.Context, image string, destinations []alert.Destination, secrets []string, r progress.Reporter) error
	Remove(ctx context.Context, r progress.Reporter) error
	Status(ctx context.Context) (*alert.Report, error)
	Test(ctx context.Context) ([]alert.Trial, error)
}

// keptMetrics is what the commands need of [platform.Metrics].
type keptMetrics interface {
	Install(ctx context.Context, image string, r progress.Reporter) error
	Remove(ctx context.Context, r progress.Reporter) error
	Status(ctx context.Context) (*platform.MetricsStatus, error)
	Environment(ctx context.Context, environment string, during time.Duration) (*metrics.Environment, error)
	Query(ctx context.Context, promql string, during time.Duration) ([]metrics.Series, error)
}

// archive is what the commands need of a [backup.Job] with a bucket alone, and of the
// log in it.
type archive interface {
	Windows(ctx context.Context) ([]wal.Window, error)
	BaseOf(ctx context.Context, at time.Time) (*wal.Base, error)
	Reaches(ctx context.Context) (time.Time, error)
	Stream(ctx context.Context) (*wal.State, error)
	List(ctx context.Context) ([]backup.Entry, error)
	Find(ctx context.Context, id string) (*backup.Entry, error)
	Latest(ctx context.Context, id string) (*backup.Entry, error)
	Get(ctx context.Context, id string, w io.Writer) error
	GetFile(ctx context.Context, id, path string) error
}

// logArchive is what the commands need of a [logs.Archive].
type logArchive interface {
	Search(ctx context.Context, q logs.Query, held logs.Held, r progress.Reporter) (*logs.Found, error)
}

var realParts = parts{
	provider: openProvider,
	sudo:     sudo.Restart,
	install:  platform.Install,
	remove:   platform.Remove,
	reach:    platform.Reach,

	otherClaims: platform.OtherClaims,
	releases:    func(cluster *provider.Cluster, c *config.Config) (releases, error) { return release.New(cluster, c) },
	sessions: func(cluster *provider.Cluster, application, environment string) (sessions, error) {
		return session.New(cluster, application, environment)
	},
	backups: func(cluster *provider.Cluster, c *config.Config, environment string) (backups, error) {
		return platform.NewBackups(cluster, c, environment)
	},
	archive: openArchive,
	agent: func(cluster *provider.Cluster, c *config.Config) (logAgent, error) {
		return platform.NewLogs(cluster, c)
	},
	watch: func(cluster *provider.Cluster, c *config.Config) (watcher, error) {
		return platform.NewAlerts(cluster, c)
	},
	metrics: func(cluster *provider.Cluster, c *config.Config) (keptMetrics, error) {
		return platform.NewMetrics(cluster, c)
	},
	logs: func(bucket provider.Bucket, c *config.Config, environment string) (logArchive, error) {
		return logs.Open(bucket, c.Name, environment)
	},
	rehearsals: func(cluster *provider.Cluster, c *config.Config, environment string, from rehearsal.Sources) (rehearsals, error) {
		return rehearsal.New(cluster, c, environment, from)
	},
	previews: func(cluster *provider.Cluster, c *config.Config) (previews, error) { return preview.New(cluster, c) },
}

// openArchive opens the backups of an environment, to read them.
func openArchive(bucket provider.Bucket, c *config.Config, environment string) (archive, error) {
	hint := "check the bucket in berth.yaml and its keys in .env"
	opened, err := bucket.Open(platform.BackupPrefix(c.Name, environment), store.Hints{Keys: hint, Name: hint, Endpoint: hint})
	if err != nil {
		return nil, err
	}
	job := &backup.Job{Bucket: opened, Hints: backup.Hints{List: "berth backup list", Run: "berth backup now"}, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if identity := c.DotEnv[config.BackupIdentity]; identity != "" {
		if job.Identities, err = age.ParseIdentities(strings.NewReader(identity)); err != nil {
			// The error would quote a line, which may be the key.
			return nil, fault.Usage("%s is not an age identity, AGE-SECRET-KEY-1…", config.BackupIdentity)
		}
	}
	return bucketOf{job}, nil
}

// bucketOf is the backups of an environment, and its log.
type bucketOf struct{ *backup.Job }

func (b bucketOf) Windows(ctx context.Context) ([]wal.Window, error) {
	return (&wal.Archive{Job: b.Job}).Windows(ctx)
}

func (b bucketOf) Reaches(ctx context.Context) (time.Time, error) {
	return (&wal.Archive{Job: b.Job}).Reaches(ctx)
}

func (b bucketOf) BaseOf(ctx context.Context, at time.Time) (*wal.Base, error) {
	return (&wal.Archive{Job: b.Job}).BaseOf(ctx, at)
}

func (b bucketOf) Stream(ctx context.Context) (*wal.State, error) {
	return (&wal.Archive{Job: b.Job}).State(ctx)
}

// openProvider is the one place that knows all providers.
func openProvider(c *config.Config) (provider.Provider, error) {
	switch c.Provider {
	case "local":
		return local.New(c)
	case "digitalocean":
		return digitalocean.New(c)
	case "existing":
		return existing.New(c)
	}
	return nil, fault.Usage("there is no provider %q", c.Provider)
}
