package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	engine "helm.sh/helm/v4/pkg/kube"
	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth/internal/fault"
	"berth/internal/helm"
	"berth/internal/kube/own"
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
	From, To Server
	// Outage is how long nobody could write.
	Outage time.Duration
	// Already says that there was nothing to do but to clean up, and Finished that an
	// interrupted run had switched.
	Already, Finished bool
}

// UpgradeDatabase starts a server of the new version beside the present one, has
// the database copied there twice, and switches by a new revision, in which only
// the server differs. Until then the old server serves, and it serves again if that
// revision does not come to serve. Afterwards the old server's volume is kept.
// After an interruption it starts over, or finishes if the new server serves
// already.
func (c *Client) UpgradeDatabase(ctx context.Context, environment string, u Upgrade, r progress.Reporter) (done Upgraded, err error) {
	to := Server{Version: u.To}
	err = c.switching(ctx, environment, r, func(s *switching) error {
		present := databaseOf(s.present)
		switch {
		case s.serves == (Server{}):
			return noServer(environment)
		case s.serves.Version == u.To && present.Version == u.To:
			done = Upgraded{From: s.serves, To: s.serves, Already: true}
			return s.settle(s.serves)
		case s.serves.Version == u.To:
			return s.finish(u.Image, &done)
		case s.serves.Version > u.To:
			return fault.WithHint(fault.Usage("%s is on %s, and %d is older", environment, s.serves, u.To),
				"to return to the server from before an upgrade: berth database upgrade %s --back", environment)
		}
		done = Upgraded{From: s.serves, To: to}
		s.values(to, u.Image)
		host, err := s.begin(to, nil)
		if err != nil {
			return err
		}
		if err = u.Rehearse(s.ctx, host); err == nil {
			err = s.swap(to, func(ctx context.Context) error { return u.Move(ctx, host) }, &done)
		}
		return s.end(to, u.Image, err)
	})
	return done, err
}

// ReplaceDatabase starts another server of the same version beside the present one, on a
// volume that fill has filled, and switches to it as an upgrade does. After an
// interruption it starts over, or finishes if the new server serves already: then
// nothing is filled.
func (c *Client) ReplaceDatabase(ctx context.Context, environment string, fill func(context.Context, Volume) error, r progress.Reporter) (done Upgraded, err error) {
	err = c.switching(ctx, environment, r, func(s *switching) error {
		switch present := databaseOf(s.present); {
		case s.serves == (Server{}):
			return noServer(environment)
		case s.serves.Version == present.Version && s.serves != present:
			return s.finish("", &done)
		case s.serves != present:
			return fault.WithHint(fmt.Errorf("an upgrade of %s was interrupted: it is on %s, and its revision on %s", environment, s.serves, present),
				"finish it first: berth database upgrade %s --to %d", environment, s.serves.Version)
		}
		to, err := s.another()
		if err != nil {
			return err
		}
		done = Upgraded{From: s.serves, To: to}
		s.values(to, "")
		if _, err := s.begin(to, fill); err != nil {
			return err
		}
		return s.end(to, "", s.swap(to, func(context.Context) error { return nil }, &done))
	})
	return done, err
}

func noServer(environment string) error {
	return fault.Usage("%s has no PostgreSQL of berth's own", environment)
}

// another is a server of the version that serves, whose place is free.
func (s *switching) another() (Server, error) {
	kept, err := s.KeptServers(s.ctx, s.environment)
	if err != nil {
		return Server{}, err
	}
	taken := map[Server]bool{s.serves: true}
	for _, k := range kept {
		taken[k.Server] = !k.Unfinished
	}
	for _, letter := range append([]string{""}, strings.Split(letters, "")...) {
		if to := (Server{s.serves.Version, letter}); !taken[to] {
			return to, nil
		}
	}
	return Server{}, fault.WithHint(fault.Usage("%s keeps %d servers that serve no more", s.environment, len(kept)),
		"remove them: berth database upgrade %s --forget", s.environment)
}

// finish makes the revision that a run which was killed after the switch did not: all
// else is there.
func (s *switching) finish(image string, done *Upgraded) error {
	*done = Upgraded{From: databaseOf(s.present), To: s.serves, Finished: true}
	s.values(s.serves, image)
	return s.release(s.serves.String(), done)
}

// end leaves nothing behind of a server that does not come to serve, but what may have
// been written to it.
func (s *switching) end(to Server, image string, err error) error {
	switch {
	case err == nil:
		return nil
	case !s.switched:
		return errors.Join(err, s.abandon(to))
	}
	return errors.Join(fault.WithHint(fmt.Errorf("%w; what was written to %s meanwhile stays in its volume", err, to),
		"remove it: berth database upgrade %s --forget", s.environment), s.keep(to, image))
}

// DatabaseBack switches back to the server from before the last upgrade or restore, as it
// was then. The present server's volume is kept in turn.
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
			done = Upgraded{From: s.serves, To: k.Server}
			s.values(k.Server, k.image)
			return s.swap(k.Server, func(context.Context) error { return nil }, &done)
		}
		return fault.Usage("%s keeps no database from before an upgrade or a restore", environment)
	})
	return done, err
}

// ForgetDatabases removes the servers that do not serve, WITH THEIR DATA, and returns
// them.
func (c *Client) ForgetDatabases(ctx context.Context, environment string, r progress.Reporter) (forgotten []Server, err error) {
	err = c.switching(ctx, environment, r, func(s *switching) error {
		kept, err := c.KeptServers(ctx, environment)
		if err != nil {
			return err
		}
		for _, k := range kept {
			if err := s.abandon(k.Server); err != nil {
				return err
			}
			forgotten = append(forgotten, k.Server)
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
	// present is the revision that serves, and serves the server that does.
	present *helmrelease.Release
	serves  Server
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
		if s.serves, err = c.Database(ctx, environment); err != nil {
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
func (s *switching) values(of Server, image string) {
	server := map[string]any{"version": of.Version, "server": of.Letter}
	if image == "" && of.Version != databaseOf(s.present).Version {
		image = databaseImage(s.cluster, of.Version)
	}
	if image != "" {
		server["image"] = map[string]any{"reference": image}
	}
	s.vals = merge(s.present.Config, map[string]any{"postgresql": server})
}

// begin starts a server beside the one that serves, and returns its host. It is empty,
// unless its volume is filled.
func (s *switching) begin(of Server, fill func(context.Context, Volume) error) (host string, err error) {
	kept, err := s.KeptServers(s.ctx, s.environment)
	if err != nil {
		return "", err
	}
	for _, k := range kept {
		if k.Server == of && !k.Unfinished {
			return "", fault.WithHint(fault.Usage("%s keeps a server of %s already, with what was written while it served", s.environment, of),
				"remove it: berth database upgrade %s --forget", s.environment)
		}
	}
	var set *apps.StatefulSet
	var service *core.Service
	place := func() error {
		// What an interrupted run has left is of then.
		if err := s.removeServer(s.ctx, of); err != nil {
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
		if set, service, err = serverIn(manifest, of.name(s.config.Name)); err != nil {
			return err
		}
		return s.makeVolume(set)
	}
	if fill != nil {
		err = progress.Run(s.reporter, "Make a volume for "+of.String(), func(progress.Step) error { return place() })
		if err == nil {
			err = fill(s.ctx, volumeOf(set, of, of.claim(s.config.Name)))
		}
		place = func() error { return nil }
	}
	if err == nil {
		err = progress.Run(s.reporter, fmt.Sprintf("Start %s beside the old one", of), func(step progress.Step) error {
			if err := place(); err != nil {
				return err
			}
			return s.start(set, service, step)
		})
	}
	if err != nil {
		return "", errors.Join(err, s.abandon(of))
	}
	return service.Name, nil
}

// abandon removes a server that does not serve, even when the caller has given up.
func (s *switching) abandon(of Server) error {
	if context.Cause(s.held) != nil {
		return nil // somebody else is at work
	}
	if serves, err := s.Database(s.held, s.environment); err != nil || serves == of {
		return err
	}
	ctx, cancel := context.WithTimeout(s.held, s.timeouts.back)
	defer cancel()
	return progress.Run(s.reporter, fmt.Sprintf("Remove the server of %s", of), func(progress.Step) error {
		return s.removeServer(ctx, of)
	})
}

// swap stops the application, does what is to be done while nobody writes, and releases
// the other server. When that fails, the one that served does again.
func (s *switching) swap(to Server, move func(context.Context) error, done *Upgraded) error {
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
		err = progress.Run(s.reporter, "Stop "+old.String(), func(progress.Step) error {
			return s.scaleServer(s.ctx, old, 0)
		})
	}
	if err == nil {
		err = s.release(fmt.Sprintf("%s in place of %s", to, old.number()), done)
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
		serves, askErr := s.Database(s.held, s.environment)
		err = errors.Join(err, back, askErr)
		if serves == old && askErr == nil {
			err = fmt.Errorf("%w; %s serves as before", err, old)
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
		title:       fmt.Sprintf("Start %s on %s", s.environment, done.To),
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
func (s *switching) settle(of Server) error {
	return s.annotateClaim(of, `{"metadata":{"annotations":{%q:null,%q:null,%q:null}}}`, unfinishedAnnotation, keptAnnotation, imageAnnotation)
}

// keepServing notes that the server which serves is about to be kept.
func (s *switching) keepServing(of Server) error {
	set, err := s.kube.AppsV1().StatefulSets(s.environment).Get(s.ctx, of.name(s.config.Name), metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	return s.keep(of, set.Spec.Template.Spec.Containers[0].Image)
}

// keep notes that a server is kept, since when, and what it ran.
func (s *switching) keep(of Server, image string) error {
	return s.annotateClaim(of, `{"metadata":{"annotations":{%q:null,%q:%q,%q:%q}}}`, unfinishedAnnotation,
		keptAnnotation, time.Now().UTC().Format(time.RFC3339), imageAnnotation, image)
}

func (s *switching) annotateClaim(of Server, format string, arguments ...any) error {
	_, err := s.kube.CoreV1().PersistentVolumeClaims(s.environment).Patch(s.held, of.claim(s.config.Name), types.MergePatchType,
		fmt.Appendf(nil, format, arguments...), metav1.PatchOptions{FieldManager: own.Manager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("note what volume %s is: %w", of.claim(s.config.Name), err)
	}
	return nil
}

// wake starts what an interrupted switch has stopped: the server that serves, and the
// application.
func (s *switching) wake(ctx context.Context) error {
	serves, err := s.Database(ctx, s.environment)
	if err == nil && serves != (Server{}) {
		err = s.scaleServer(ctx, serves, 1)
	}
	if err != nil {
		return err
	}
	return s.resume(ctx, s.environment)
}
