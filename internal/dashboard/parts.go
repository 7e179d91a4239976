package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/internal/alert"
	"berth/internal/fault"
	"berth/internal/overview"
	"berth/internal/platform"
	"berth/internal/release"
)

func (s *server) partEnvironments(w http.ResponseWriter, r *http.Request) {
	part(s, w, r, "part-environments", func(ctx context.Context) ([]overview.Environment, error) {
		return s.source.Environments(ctx)
	})
}

func (s *server) partEnvironment(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	part(s, w, r, "part-environment", func(ctx context.Context) (overview.Environment, error) {
		found, err := s.source.Environments(ctx, environment)
		if err != nil {
			return overview.Environment{}, err
		}
		return found[0], nil
	})
}

// past is an environment's revisions as they are shown, the newest first.
type past struct {
	Environment string
	Revisions   []story
}

// story is one revision, and what came of it.
type story struct {
	release.Revision
	Environment string
	// Message is the commit's.
	Message string
	// Until is when the next one began; zero for the newest.
	Until time.Time
	// Serves says that it is the one that serves now, and Back that it can be gone
	// back to.
	Serves, Back bool
}

func (s *server) partRevisions(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	part(s, w, r, "part-revisions", func(ctx context.Context) (past, error) {
		told, err := s.stories(ctx, environment)
		return past{environment, told}, err
	})
}

// stories tells of all revisions, the newest first. One that has not served, or is
// what serves already, is none to go back to.
func (s *server) stories(ctx context.Context, environment string) ([]story, error) {
	all, err := s.source.History(ctx, environment)
	if errors.Is(err, release.ErrNotDeployed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	told := make([]story, len(all))
	for i, revision := range all {
		told[i] = story{Revision: revision, Environment: environment, Serves: revision.State == release.StateDeployed}
		told[i].Back = revision.Served && !told[i].Serves
		if i+1 < len(all) {
			told[i].Until = all[i+1].When
		}
	}
	slices.Reverse(told)
	return told, nil
}

func (s *server) partStory(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	number, ok := s.revision(w, r.PathValue("revision"))
	if !ok {
		return
	}
	part(s, w, r, "part-story", func(ctx context.Context) (story, error) { return s.find(ctx, environment, number) })
}

// find tells of one revision.
func (s *server) find(ctx context.Context, environment string, number int) (story, error) {
	told, err := s.stories(ctx, environment)
	if err != nil {
		return story{}, err
	}
	i := slices.IndexFunc(told, func(t story) bool { return t.Number == number })
	if i < 0 {
		return story{}, fmt.Errorf("%s has no revision %d", environment, number)
	}
	if commit := told[i].Commit; commit != "" {
		told[i].Message = s.source.Message(ctx, commit)
	}
	return told[i], nil
}

func (s *server) partBackups(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	part(s, w, r, "part-backups", func(ctx context.Context) (*Backups, error) { return s.source.Backups(ctx, environment) })
}

func (s *server) partNodes(w http.ResponseWriter, r *http.Request) {
	part(s, w, r, "part-nodes", s.source.Nodes)
}

func (s *server) partSinks(w http.ResponseWriter, r *http.Request) {
	part(s, w, r, "part-sinks", s.source.Sinks)
}

func (s *server) partAlerts(w http.ResponseWriter, r *http.Request) {
	part(s, w, r, "part-alerts", func(ctx context.Context) (watched, error) {
		report, err := s.source.Alerts(ctx)
		if errors.Is(err, platform.ErrNoWatch) {
			return watched{Hint: fault.Hint(err)}, nil // which is nothing broken
		}
		return watched{Report: report}, err
	})
}

// watched is what the watch sees, or how to come by one.
type watched struct {
	*alert.Report
	Hint string
}

// The moods of a glance.
const good, bad, none = "good", "bad", "none"

// glance is one thing in a line.
type glance struct {
	Mood, Text string
	// Path is the page that says more.
	Path string
}

// partGlance says in a line how nodes, backups, logs or alerts are doing.
func (s *server) partGlance(w http.ResponseWriter, r *http.Request) {
	looks := map[string]func(context.Context) (glance, error){
		"nodes": s.glanceNodes, "backups": s.glanceBackups, "logs": s.glanceLogs, "alerts": s.glanceAlerts,
	}
	look, ok := looks[r.PathValue("what")]
	if !ok {
		s.missing(w, "There is no such page.")
		return
	}
	part(s, w, r, "part-glance", func(ctx context.Context) (glance, error) {
		seen, err := look(ctx)
		if err != nil {
			return glance{bad, err.Error(), seen.Path}, nil
		}
		return seen, nil
	})
}

func (s *server) glanceNodes(ctx context.Context) (glance, error) {
	g := glance{Path: "/nodes"}
	found, err := s.source.Nodes(ctx)
	if err != nil {
		return g, err
	}
	ready := 0
	for _, n := range found {
		if n.Ready {
			ready++
		}
	}
	g.Mood, g.Text = good, fmt.Sprintf("%d of %d ready", ready, len(found))
	if ready < len(found) {
		g.Mood = bad
	}
	return g, nil
}

func (s *server) glanceBackups(ctx context.Context) (glance, error) {
	g := glance{none, "none scheduled", "/backups"}
	found := make([]*Backups, len(s.app.BackedUp))
	group, ctx := errgroup.WithContext(ctx)
	for i, environment := range s.app.BackedUp {
		group.Go(func() (err error) {
			found[i], err = s.source.Backups(ctx, environment)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return g, err
	}
	for _, b := range found {
		switch {
		case !b.OK:
			return glance{bad, b.Environment + ": " + b.Problem, g.Path}, nil
		case b.Last == nil:
			g.Text = "none made yet"
		default:
			g.Mood, g.Text = good, "last good one "+age(b.Last.Made, s.now())
		}
	}
	return g, nil
}

func (s *server) glanceLogs(ctx context.Context) (glance, error) {
	g := glance{none, "kept nowhere", "/nodes"}
	found, err := s.source.Sinks(ctx)
	switch {
	case err != nil || found == nil:
		return g, err
	case found.Problem != "":
		return glance{bad, found.Problem, g.Path}, nil
	case !found.OK:
		return glance{bad, "lines do not arrive", g.Path}, nil
	}
	return glance{good, "lines arrive", g.Path}, nil
}

func (s *server) glanceAlerts(ctx context.Context) (glance, error) {
	g := glance{good, "nothing is broken", "/alerts"}
	found, err := s.source.Alerts(ctx)
	switch {
	case errors.Is(err, platform.ErrNoWatch):
		return glance{none, "nobody is told", g.Path}, nil
	case err != nil:
		return g, err
	case len(found.Problems) > 0:
		g.Mood, g.Text = bad, found.Problems[0].Title
		if more := len(found.Problems) - 1; more > 0 {
			g.Text += fmt.Sprintf(" (and %d more)", more)
		}
	case slices.ContainsFunc(found.Destinations, func(d alert.Delivery) bool { return d.Problem != "" }):
		g.Mood, g.Text = bad, "messages do not arrive"
	}
	return g, nil
}
