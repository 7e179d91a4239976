package dashboard

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/release"
)

// tasks are what was begun from the page. They go on when it is closed, and are
// stopped cleanly when the dashboard is.
type tasks struct {
	ctx  context.Context
	mu   sync.Mutex
	all  map[string]*task
	busy sync.WaitGroup
}

// task is one rollback or restart.
type task struct {
	ID, Title, Environment string

	mu    sync.Mutex
	steps []*step
	notes []string
	done  bool
	good  string
	err   error
}

// step is one step of a task, and stepView how it is shown.
type step struct {
	task *task
	view stepView
}

type stepView struct{ Title, Detail, State string }

// The states of a step.
const (
	stateRunning = "running"
	stateDone    = "done"
	stateFailed  = "failed"
)

// taskView is a task as it is shown.
type taskView struct {
	ID, Title, Environment string
	Steps                  []stepView
	Notes                  []string
	Done                   bool
	// Good is what has come of it. Otherwise Err says why nothing has, and Report
	// tells the whole story where there is one.
	Good, Report string
	Err          error
}

// begin starts work in the background. What is under way for an environment is
// returned in its place.
func (t *tasks) begin(environment, title string, work func(context.Context, progress.Reporter) (string, error)) *task {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.all {
		if other.Environment == environment && !other.seen().Done {
			return other
		}
	}
	begun := &task{ID: rand.Text()[:10], Title: title, Environment: environment}
	if t.all == nil {
		t.all = map[string]*task{}
	}
	t.all[begun.ID] = begun
	t.busy.Add(1)
	go func() {
		defer t.busy.Done()
		good, err := work(t.ctx, begun)
		begun.mu.Lock()
		defer begun.mu.Unlock()
		begun.done, begun.good, begun.err = true, good, err
	}()
	return begun
}

func (t *tasks) find(id string) *task {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id]
}

func (t *tasks) wait() { t.busy.Wait() }

// A task is a [progress.Reporter].

func (t *task) Note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, text)
}

func (t *task) Step(title string) progress.Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	begun := &step{t, stepView{Title: title, State: stateRunning}}
	t.steps = append(t.steps, begun)
	return begun
}

func (s *step) Detail(text string) {
	s.task.mu.Lock()
	defer s.task.mu.Unlock()
	s.view.Detail = text
}

func (s *step) End(err error) {
	s.task.mu.Lock()
	defer s.task.mu.Unlock()
	s.view.Detail, s.view.State = "", stateDone
	if err != nil {
		s.view.Detail, s.view.State = err.Error(), stateFailed
	}
}

// seen is the task as it is now.
func (t *task) seen() taskView {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := taskView{ID: t.ID, Title: t.Title, Environment: t.Environment, Notes: t.notes, Done: t.done, Good: t.good, Err: t.err}
	for _, s := range t.steps {
		v.Steps = append(v.Steps, s.view)
	}
	if lost := new(release.Failed); errors.As(t.err, &lost) {
		v.Report, v.Err = lost.Report(), lost.Summary()
	}
	return v
}

// confirmRollback asks before the environment goes back.
func (s *server) confirmRollback(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	number, ok := s.revision(w, r.FormValue("revision"))
	if !ok {
		return
	}
	s.show(w, view{Page: "rollback", Title: fmt.Sprintf("Roll %s back to revision %d?", environment, number), Environment: environment, Revision: number})
}

func (s *server) rollback(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	number, ok := s.revision(w, r.PostFormValue("revision"))
	if !ok {
		return
	}
	s.begin(w, r, environment, fmt.Sprintf("Roll %s back to revision %d", environment, number), func(ctx context.Context, r progress.Reporter) (string, error) {
		made, err := s.source.Rollback(ctx, environment, number, r)
		return fmt.Sprintf("%s serves what revision %d was, as revision %d.", environment, number, made.Number), err
	})
}

func (s *server) restart(w http.ResponseWriter, r *http.Request) {
	environment, ok := s.environment(w, r)
	if !ok {
		return
	}
	s.begin(w, r, environment, "Restart "+environment, func(ctx context.Context, r progress.Reporter) (string, error) {
		made, err := s.source.Restart(ctx, environment, r)
		return environment + " serves revision " + strconv.Itoa(made.Revision) + " with new pods.", err
	})
}

// begin starts a task and leads to its page.
func (s *server) begin(w http.ResponseWriter, r *http.Request, environment, title string, work func(context.Context, progress.Reporter) (string, error)) {
	begun := s.tasks.begin(environment, title, work)
	http.Redirect(w, r, s.guard.path+"/tasks/"+begun.ID, http.StatusSeeOther)
}

func (s *server) task(w http.ResponseWriter, r *http.Request) {
	found := s.tasks.find(r.PathValue("task"))
	if found == nil {
		s.missing(w, "There is no such task.")
		return
	}
	s.show(w, view{Page: "task", Title: found.Title, Environment: found.Environment, Data: found.ID})
}

// partTask says how far a task is. After the last word nobody need ask again.
func (s *server) partTask(w http.ResponseWriter, r *http.Request) {
	part(s, w, r, "part-task", func(context.Context) (taskView, error) {
		found := s.tasks.find(r.PathValue("task"))
		if found == nil {
			return taskView{}, fault.Usage("there is no such task")
		}
		seen := found.seen()
		if seen.Done {
			w.Header().Set(lastWord, "true")
		}
		return seen, nil
	})
}

// lastWord is the header of a fragment that does not change any more.
const lastWord = "Berth-Last"
