package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/fault"
	"berth/internal/helm"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// Upgrade is how a database gets another major version of PostgreSQL.
type Upgrade struct {
	To int
	// Image of the new server; empty takes the usual one.
	Image string
	// Rehearse and Move bring what the database holds to the server at a host, and
	// compare: first while the application serves, then while nobody writes.
	Rehearse, Move func(ctx context.Context, host string) error
}

// Upgraded says how an upgrade, or going back, went.
type Upgraded struct {
	From, To int
	// Outage is how long nobody could write.
	Outage time.Duration
	// Already says that there was nothing to do but to clean up.
	Already bool
}

// UpgradeDatabase starts a server of the new version beside the present one, has
// the database copied there twice, and switches by a new revision, in which only
// the server differs. Until then the old server serves, and it serves again if that
// revision does not come to serve. Afterwards the old server's volume is kept.
// After an interruption it starts over, or finishes if the new server serves
// already.
func (c *Client) UpgradeDatabase(ctx context.Context, environment string, u Upgrade, r progress.Reporter) (done Upgraded, err error) {
	err = c.switching(ctx, environment, r, func(s *switching) error {
		done = Upgraded{From: s.serves, To: u.To}
		present := databaseOf(s.present)
		switch {
		case s.serves == 0:
			return fault.Usage("%s has no PostgreSQL of berth's own", environment)
		case s.serves == u.To && present == u.To:
			done.Already = true
			return s.settle(u.To)
		case s.serves == u.To:
			// Killed after the switch: all is there, but for the revision.
			done.From = present
			s.values(u.To, u.Image)
			return s.release(fmt.Sprintf("PostgreSQL %d", u.To), &done)
		case s.serves > u.To:
			return fault.WithHint(fault.Usage("%s is on PostgreSQL %d, and %d is older", environment, s.serves, u.To),
				"to return to the server from before an upgrade: berth database upgrade %s --back", environment)
		}
		s.values(u.To, u.Image)
		host, err := s.begin(u.To)
		if err != nil {
			return err
		}
		if err = u.Rehearse(s.ctx, host); err == nil {
			err = s.swap(u.To, func(ctx context.Context) error { return u.Move(ctx, host) }, &done)
		}
		switch {
		case err == nil:
			return nil
		case !s.switched:
			return errors.Join(err, s.abandon(u.To))
		}
		// It may have been written to since.
		return errors.Join(fault.WithHint(fmt.Errorf("%w; what was written to PostgreSQL %d meanwhile stays in its volume", err, u.To),
			"remove it: berth database upgrade %s --forget", environment), s.keep(u.To, u.Image))
	})
	return done, err
}

// DatabaseBack switches back to the server from before the last upgrade, as it was
// then. The present server's volume is kept in turn.
func (c *Client) DatabaseBack(ctx context.Context, environment string, r progress.Reporter) (done Upgraded, err error) {
	err = c.switching(ctx, environment, r, func(s *switching) error {
		kept, err := c.KeptServers(ctx, environment)
		if err != nil {
			return err
		}
		for _, k := range kept {
			if k.Unfinished {
				continue
			}
			done = Upgraded{From: s.serves, To: k.Version}
			s.values(k.Version, k.image)
			return s.swap(k.Version, func(context.Context) error { return nil }, &done)
		}
		return fault.Usage("%s keeps no database from before an upgrade", environment)
	})
	return done, err
}

// ForgetDatabases removes the servers that do not serve, WITH THEIR DATA, and returns
// their versions.
func (c *Client) ForgetDatabases(ctx context.Context, environment string, r progress.Reporter) (forgotten []int, err error) {
	err = c.switching(ctx, environment, r, func(s *switching) error {
		kept, err := c.KeptServers(ctx, environment)
		if err != nil {
			return err
		}
		for _, k := range kept {
			if err := s.abandon(k.Version); err != nil {
				return err
			}
			forgotten = append(forgotten, k.Version)
		}
		return nil
	})
	return forgotten, err
}

// switching is the work on an environment's database with the lock held.
type switching struct {
	*Client
	ctx, held   context.Context
	environment string
	reporter    progress.Reporter
	h           *helm.Release
	past        []*helmrelease.Release
	// present is the revision that serves, and serves the version of its database.
	present *helmrelease.Release
	serves  int
	// vals are what the next revision is given.
	vals map[string]any
	// switched says that the application was started on the other server.
	switched bool
}

func (c *Client) switching(ctx context.Context, environment string, r progress.Reporter, work func(*switching) error) error {
	if _, err := c.environment(environment); err != nil {
		return err
	}
	h, err := c.release(environment)
	if err != nil {
		return err
	}
	if past, err := h.History(); err != nil || len(past) == 0 {
		if err == nil {
			err = notDeployed(environment)
		}
		return err
	}
	return c.lock(environment).Do(ctx, func(ctx, held context.Context) error {
		s := &switching{Client: c, ctx: ctx, held: held, environment: environment, reporter: r, h: h}
		if s.past, err = c.takeOver(h); err != nil {
			return err
		}
		if s.present = serving(s.past); s.present == nil {
			return fault.WithHint(fmt.Errorf("no revision of %s serves", environment), "berth deploy %s", environment)
		}
		if s.serves, err = c.DatabaseVersion(ctx, environment); err != nil {
			return err
		}
		// What an interrupted run has stopped.
		if err := s.wake(ctx); err != nil {
			return err
		}
		return work(s)
	})
}

// values are those of the present revision, with another server.
func (s *switching) values(version int, image string) {
	server := map[string]any{"version": version}
	if image == "" {
		image = databaseImage(s.cluster, version)
	}
	if image != "" {
		server["image"] = map[string]any{"reference": image}
	}
	s.vals = merge(s.present.Config, map[string]any{"postgresql": server})
}

// begin starts an empty server of a version beside the one that serves, and returns its
// host.
func (s *switching) begin(version int) (host string, err error) {
	kept, err := s.KeptServers(s.ctx, s.environment)
	if err != nil {
		return "", err
	}
	for _, k := range kept {
		if k.Version == version && !k.Unfinished {
			return "", fault.WithHint(fault.Usage("%s keeps a server of PostgreSQL %d already, with what was written while it served", s.environment, version),
				"remove it: berth database upgrade %s --forget", s.environment)
		}
	}
	err = progress.Run(s.reporter, fmt.Sprintf("Start PostgreSQL %d beside the old one", version), func(step progress.Step) error {
		// What an interrupted run has left is of then.
		if err := s.removeServer(s.ctx, version); err != nil {
			return err
		}
		chart, err := s.chart()
		if err != nil {
			return err
		}
		manifest, err := s.h.Render(chart, s.vals)
		if err != nil {
			return err
		}
		set, service, err := serverIn(manifest, serverName(s.config.Name, version))
		if err != nil {
			return err
		}
		host = service.Name
		return s.start(set, service, step)
	})
	if err != nil {
		return "", errors.Join(err, s.abandon(version))
	}
	return host, nil
}

// abandon removes a server that does not serve, even when the caller has given up.
func (s *switching) abandon(version int) error {
	if context.Cause(s.held) != nil {
		return nil // somebody else is at work
	}
	if serves, err := s.DatabaseVersion(s.held, s.environment); err != nil || serves == version {
		return err
	}
	ctx, cancel := context.WithTimeout(s.held, s.timeouts.back)
	defer cancel()
	return progress.Run(s.reporter, fmt.Sprintf("Remove the server of PostgreSQL %d", version), func(progress.Step) error {
		return s.removeServer(ctx, version)
	})
}

// swap stops the application, does what is to be done while nobody writes, and releases
// the other server. When that fails, the one that served does again.
func (s *switching) swap(version int, move func(context.Context) error, done *Upgraded) error {
	ws, err := rollout.Workloads(s.present.Manifest)
	if err != nil {
		return err
	}
	old := s.serves
	err = progress.Run(s.reporter, "Stop "+s.environment, func(step progress.Step) error {
		return s.stop(s.ctx, s.environment, ws, step)
	})
	stopped := time.Now()
	if err == nil {
		err = move(s.ctx)
	}
	if err == nil {
		err = s.keepServing(old)
	}
	if err == nil {
		// Clients that are still connected must not write there any more.
		err = progress.Run(s.reporter, fmt.Sprintf("Stop PostgreSQL %d", old), func(progress.Step) error {
			return s.scaleServer(s.ctx, old, 0)
		})
	}
	if err == nil {
		err = s.release(fmt.Sprintf("PostgreSQL %d in place of %d", version, old), done)
	}
	if context.Cause(s.held) != nil {
		return err // somebody else is at work
	}
	if err != nil {
		back := progress.Run(s.reporter, "Start "+s.environment, func(step progress.Step) error {
			if err := s.wake(s.held); err != nil {
				return err
			}
			return s.rollout(s.environment, ws, s.timeouts.back, step).Wait(s.held)
		})
		serves, askErr := s.DatabaseVersion(s.held, s.environment)
		err = errors.Join(err, back, askErr)
		if serves == old && askErr == nil {
			err = fmt.Errorf("%w; PostgreSQL %d serves as before", err, old)
		}
	}
	done.Outage = time.Since(stopped)
	return err
}

// release makes the revision with the other server. The application is started when the
// Service leads there.
func (s *switching) release(what string, done *Upgraded) error {
	chart, err := s.chart()
	if err != nil {
		return err
	}
	image := imageOf(s.present)
	_, err = s.change(s.ctx, s.held, s.h, s.past, change{
		environment: s.environment, image: image, description: fmt.Sprintf("%s, by %s", what, s.who),
		title:       fmt.Sprintf("Start %s on PostgreSQL %d", s.environment, done.To),
		annotations: map[string]string{commitAnnotation: helm.Annotation(s.present, commitAnnotation), dirtyAnnotation: helm.Annotation(s.present, dirtyAnnotation)},
		between: func(engine.ResourceList) error {
			s.switched = true
			return s.resume(s.held, s.environment)
		},
		apply: func(how helm.Change) error { return s.h.Apply(s.ctx, chart, s.vals, true, how) },
	}, s.reporter)
	if err != nil {
		return err
	}
	return s.settle(done.To)
}

// settle notes that a server serves: its volume is nothing unfinished or kept.
func (s *switching) settle(version int) error {
	return s.annotateClaim(version, `{"metadata":{"annotations":{%q:null,%q:null,%q:null}}}`, unfinishedAnnotation, keptAnnotation, imageAnnotation)
}

// keepServing notes that the server which serves is about to be kept.
func (s *switching) keepServing(version int) error {
	set, err := s.kube.AppsV1().StatefulSets(s.environment).Get(s.ctx, serverName(s.config.Name, version), metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	return s.keep(version, set.Spec.Template.Spec.Containers[0].Image)
}

// keep notes that a server is kept, since when, and what it ran.
func (s *switching) keep(version int, image string) error {
	return s.annotateClaim(version, `{"metadata":{"annotations":{%q:null,%q:%q,%q:%q}}}`, unfinishedAnnotation,
		keptAnnotation, time.Now().UTC().Format(time.RFC3339), imageAnnotation, image)
}

func (s *switching) annotateClaim(version int, format string, arguments ...any) error {
	_, err := s.kube.CoreV1().PersistentVolumeClaims(s.environment).Patch(s.held, claimName(s.config.Name, version), types.MergePatchType,
		fmt.Appendf(nil, format, arguments...), metav1.PatchOptions{FieldManager: kube.Manager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("note what volume %s is: %w", claimName(s.config.Name, version), err)
	}
	return nil
}

// wake starts what an interrupted switch has stopped: the server that serves, and the
// application.
func (s *switching) wake(ctx context.Context) error {
	serves, err := s.DatabaseVersion(ctx, s.environment)
	if err == nil && serves != 0 {
		err = s.scaleServer(ctx, serves, 1)
	}
	if err != nil {
		return err
	}
	return s.resume(ctx, s.environment)
}
