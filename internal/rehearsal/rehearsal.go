// Package rehearsal tries a release on a copy of an environment before it touches the
// real one. It restores the newest verified backup into an isolated namespace, runs the
// new image's release command there, and then starts both the new image and the present
// one. It measures and judges what they do (judge.go).
//
// The environment itself is only read: its deployed objects, its Secrets, its log.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/logs"
	"berth/internal/platform"
	"berth/internal/poll"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/release"
	"berth/internal/session"
)

// Rehearsal rehearses releases of one environment.
type Rehearsal struct {
	config      *config.Config
	environment string
	namespace   string
	kube        kubernetes.Interface
	releases    *release.Client
	database    *platform.DatabaseCopy
	// sessions are those of the namespace.
	sessions *session.Client
	from     Sources
}

// Sources are where a rehearsal takes what it needs from.
type Sources struct {
	// Backup returns the newest backup of the environment, a verified one if there is any.
	Backup func(context.Context) (*backup.Entry, error)
	// Log hands over what the environment has logged since a time until take returns an
	// error.
	Log func(ctx context.Context, since time.Time, take func(logs.Line) error) error
}

// New returns the rehearsals of an environment on a cluster.
func New(cluster *provider.Cluster, c *config.Config, environment string, from Sources) (*Rehearsal, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, fmt.Errorf("reach cluster %s: %w", cluster.Name, err)
	}
	h := &Rehearsal{config: c, environment: environment, namespace: namespaceOf(environment, c.Name), kube: client, from: from}
	if h.releases, err = release.New(cluster, c); err != nil {
		return nil, err
	}
	backups, err := platform.NewBackups(cluster, c, environment)
	if err != nil {
		return nil, err
	}
	h.database = backups.Copy(h.namespace)
	h.sessions, err = session.New(cluster, c.Name, h.namespace)
	return h, err
}

// Run rehearses the release of an image. Its error is why nothing can be said of the
// release; what speaks against it is in the report. Nothing is left in either case.
func (h *Rehearsal) Run(ctx context.Context, image string, r progress.Reporter) (report *Report, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("the rehearsal is not over within %s", longest))
	defer cancel()
	err = h.lock().Do(ctx, func(ctx, held context.Context) error {
		if err := h.removeLeft(ctx, r); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, progress.Run(r, "Remove the rehearsal", func(progress.Step) error { return h.remove(held) }))
		}()
		p := &play{Rehearsal: h, reporter: r, Report: &Report{Environment: h.environment, New: image}}
		if err := p.perform(ctx, image); err != nil {
			return err
		}
		p.judge()
		report = p.Report
		return nil
	})
	return report, err
}

// play is one rehearsal under way.
type play struct {
	*Rehearsal
	*Report
	reporter progress.Reporter
	// now is the phase that goes on, since when it does, and how it is shown.
	now   string
	since time.Time
	step  progress.Step

	copy  *release.Copy
	entry *backup.Entry
	// requests are the environment's own.
	requests []request
	store    store
	before   *contents
	// present is the image that serves, on the copy.
	present release.Side
	// ready and released say how far the deploy to the copy has come; hindrance is why it
	// has not come to be ready.
	ready, released bool
	hindrance       error
}

// perform does all that is to be judged, from top to bottom.
func (p *play) perform(ctx context.Context, image string) (err error) {
	began := time.Now()
	defer func() { p.finish(err); p.Seconds = time.Since(began).Seconds() }()

	p.begin("Look for a backup and requests of " + p.environment)
	if err := p.gather(ctx); err != nil {
		return err
	}
	p.begin("Start a database of its own")
	if p.copy, err = p.releases.Copy(p.environment, p.namespace); err != nil {
		return err
	}
	if err := p.makeNamespace(ctx); err != nil {
		return err
	}
	deployed := p.copy.Deploy(ctx, image, release.Stages{
		Ready:    func(ctx context.Context) error { p.hindrance = p.prepare(ctx); return p.hindrance },
		Released: p.release,
	}, p)
	if p.store != nil {
		defer p.store.close()
	}
	failed := new(release.Failed)
	blamed := errors.As(deployed, &failed) && len(failed.Reasons) > 0
	switch {
	case ctx.Err() != nil, !p.ready, deployed != nil && !blamed:
		return p.hindered(ctx, deployed)
	case p.released:
		p.NewHealth = Health{Asked: p.config.HasWeb(), OK: deployed == nil, Why: failed.Reasons}
	default:
		p.Release = &Release{Seconds: p.elapsed(), Why: failed.Reasons}
	}
	if deployed != nil {
		p.finish(errors.New("it fails"))
	}
	p.begin("Look at what the migration has done")
	if err := p.compare(ctx); err != nil {
		return err
	}
	if !p.released {
		return nil
	}
	return p.tryBoth(ctx, image)
}

// hindered tells what keeps a rehearsal from telling anything.
func (p *play) hindered(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if p.hindrance != nil {
		return p.hindrance
	}
	if failed := new(release.Failed); errors.As(err, &failed) {
		return fmt.Errorf("start the copy: %w", failed.Cause)
	}
	return err
}

// gather finds what the rehearsal works with.
func (p *play) gather(ctx context.Context) (err error) {
	if p.entry, err = p.from.Backup(ctx); err != nil {
		return err
	}
	if !p.entry.OK() {
		return fault.WithHint(fmt.Errorf("no backup of %s has been verified, so nothing says that one can be restored", p.environment), "berth backup now")
	}
	p.Backup = Backup{p.entry.ID, p.entry.Of(), p.entry.Rows(), p.entry.Database.Bytes}
	if age := time.Since(p.entry.Of()); age > oldBackup {
		p.remark("the backup is %d hours old", int(age.Hours()))
	}
	found := &requests{times: map[string]int{}}
	errEnough := errors.New("enough")
	err = p.from.Log(ctx, time.Now().Add(-time.Hour), func(l logs.Line) error {
		if !found.add(l) {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		p.remark("the log cannot be read for requests: %v", err)
	}
	if p.requests = found.chosen(); len(p.requests) == 0 && p.config.HasWeb() {
		p.remark("no line of the last hour's log tells of a GET request, so only the health is asked for: an application that logs method and path of its requests is tried with them")
	}
	p.Disk.Volume, err = p.volume(ctx)
	return err
}

// volume is the size of the environment's own database volume; 0 where it is not known.
func (p *play) volume(ctx context.Context) (int64, error) {
	if p.config.Environments[p.environment].Database != config.Postgres {
		return 0, nil
	}
	claims, err := p.kube.CoreV1().PersistentVolumeClaims(p.environment).List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=postgresql,app.kubernetes.io/instance=" + p.config.Name,
	})
	if err != nil {
		return 0, fmt.Errorf("look at the database's volume: %w", err)
	}
	for _, claim := range claims.Items {
		if capacity, known := claim.Status.Capacity[core.ResourceStorage]; known {
			return capacity.Value(), nil
		}
	}
	return 0, nil
}

// prepare fills the copy and starts the present image on it, so that what it answers
// there before the migration is known. It is called when the copy's servers serve.
func (p *play) prepare(ctx context.Context) (err error) {
	p.begin("Restore backup " + p.entry.ID)
	if err := p.database.Restore(ctx, p.entry, nil, p.step); err != nil {
		return err
	}
	if p.store, err = p.open(ctx); err != nil {
		return err
	}
	if err := p.seal(ctx); err != nil {
		return err
	}
	p.begin("Try the present image on the copy")
	if p.present, err = p.copy.StartPresent(ctx); err != nil {
		return err
	}
	if p.present.Port != 0 {
		p.Present = p.present.Image
		if err := p.copy.AwaitPresent(ctx, p.step); err != nil {
			return fault.WithHint(fmt.Errorf("the present image does not serve on the copy, where nothing has changed yet: %w", err),
				"it may need other services to start, which a rehearsal does not have")
		}
		if p.requests = p.withHealth(); len(p.requests) > 0 {
			replies, err := p.ask(ctx, p.present, p.requests)
			if err != nil {
				return err
			}
			for i, r := range p.requests {
				p.Answers = append(p.Answers, Answer{Path: r.path, Times: r.times, Before: replies[i]})
			}
		}
	}
	if p.before, err = p.store.read(ctx, nil, p.step); err != nil {
		return err
	}
	if err := p.store.watch(ctx, p.before); err != nil {
		return err
	}
	p.ready = true
	if len(p.config.Release.Command) == 0 {
		return nil
	}
	p.begin("Run the release command on it")
	return nil
}

// settling is how long a network may take to enforce policies that are new.
const settling = 15 * time.Second

// seal returns nil once pods of the namespace reach nothing outside of it.
func (p *play) seal(ctx context.Context) error {
	for began := time.Now(); ; {
		err := p.store.sealed(ctx)
		if !errors.Is(err, errOpen) || time.Since(began) > settling {
			return err
		}
		if err := poll.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// withHealth puts the request for the health before the others.
func (p *play) withHealth() []request {
	all := p.requests
	if p.present.Path == "" {
		return all
	}
	health := request{path: p.present.Path}
	var rest []request
	for _, r := range all {
		if r.path == health.path {
			health.times = r.times
		} else {
			rest = append(rest, r)
		}
	}
	return append([]request{health}, rest...)
}

// release is called when the release command has ended well.
func (p *play) release(ctx context.Context) error {
	p.released = true
	if len(p.config.Release.Command) > 0 {
		p.Release = &Release{OK: true, Seconds: p.elapsed()}
	}
	p.begin("Start the new image, and the present one again")
	if p.present.Port == 0 {
		return nil
	}
	return p.copy.RestartPresent(ctx)
}

// compare reads the copy again.
func (p *play) compare(ctx context.Context) error {
	locks, peak := p.store.unwatch()
	after, err := p.store.read(ctx, p.before, p.step)
	if err != nil {
		return err
	}
	p.Schema = compareSchemas(p.before.schema, after.schema)
	p.Tables = compareTables(p.before, after)
	p.Locks = keepAway(locks, p.Tables)
	if p.released {
		p.Writes = compareWrites(after.insertions, p.before.sequences, after.sequences)
	} else {
		p.Tables = uncounted(p.Tables)
	}
	p.Disk.Before, p.Disk.After, p.Disk.Peak, p.Disk.Log = p.before.bytes, after.bytes, max(peak, after.bytes), after.log-p.before.log
	return nil
}

// tryBoth asks both images on the migrated copy.
func (p *play) tryBoth(ctx context.Context, image string) error {
	p.begin("Ask both images")
	if p.present.Port != 0 {
		p.PresentHealth.Asked = true
		err := p.copy.AwaitPresent(ctx, p.step)
		if failed := new(release.Failed); errors.As(err, &failed) {
			p.PresentHealth.Why = failed.Reasons
		} else if err != nil {
			return err
		} else if p.PresentHealth.OK, err = p.answers(ctx, p.present, func(a *Answer) *Reply { return &a.Present }); err != nil {
			return err
		}
	}
	if !p.NewHealth.OK || p.present.Port == 0 {
		return nil
	}
	_, err := p.answers(ctx, p.copy.New(image), func(a *Answer) *Reply { return &a.New })
	return err
}

// answers notes what an image answers; its probe has found it healthy.
func (p *play) answers(ctx context.Context, side release.Side, of func(*Answer) *Reply) (bool, error) {
	replies, err := p.ask(ctx, side, p.requests)
	if err != nil {
		return false, err
	}
	for i := range p.Answers {
		*of(&p.Answers[i]) = replies[i]
	}
	return true, nil
}
