// Package watch runs in a small pod in the cluster and tells people, in a chat or by
// mail, when something breaks and stays broken, and when it has healed.
//
// It learns from informers (cluster.go) and, for what the API server does not have,
// by polling (look.go). Both make a [World]. [Judge] is a pure function from a World to
// a list of problems, one [Problem] for each cause (judge*.go). A [Ledger] records which
// problems have lasted long enough to be reported, and which were (ledger.go). Messages
// (message.go) have the diagnosis of package rollout, and leave by an alert.Outbox.
// Ledger and outbox survive the pod in a ConfigMap (state.go).
//
// It writes nothing except that ConfigMap, and cannot read Secrets.
package watch

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"berth/internal/alert"
	"berth/internal/mask"
	"berth/internal/rollout"
)

// Options are the settings of a watch.
type Options struct {
	// Kubernetes is the way to the API server, with the rights of charts/watch.
	Kubernetes *rest.Config
	// Namespaces are those that are watched.
	Namespaces []string
	// Home is the watch's own namespace, where its state is kept.
	Home string
	// Name of the cluster, for people.
	Name         string
	Destinations []alert.Destination
	// Ping is asked for every few minutes, so that somebody notices when the
	// watch itself is gone; empty for nobody.
	Ping string
	// Masks hides secrets in what pods have written.
	Masks mask.Fingerprints
	// Status is the address to answer on.
	Status string
	Log    *slog.Logger
}

const (
	// judgePause is the time between two judgements while something changes or
	// is about to be told, and idlePause the longest.
	judgePause, idlePause = 2 * time.Second, 15 * time.Second
	// pingPause is the time between two pings.
	pingPause = 5 * time.Minute
	// stalled is how old the last judgement may be for the watch to be alive.
	stalled = 2 * time.Minute
)

// Watch is a watch that runs.
type Watch struct {
	options Options
	client  *API
	cluster *cluster
	looks   *looks
	outbox  *alert.Outbox
	state   *state

	mutex sync.Mutex
	// ledger and judged, when it was last brought up to date.
	ledger    *Ledger
	judged    time.Time
	deploying []string
	// tested is when a test message was last sent.
	tested time.Time
}

// Run watches until ctx ends.
func Run(ctx context.Context, o Options) error {
	client, err := Connect(o.Kubernetes)
	if err != nil {
		return err
	}
	w := &Watch{options: o, client: client, state: &state{client: client, namespace: o.Home, log: o.Log}, ledger: NewLedger(time.Now())}
	w.outbox = &alert.Outbox{Destinations: o.Destinations, Save: w.save}
	saved, err := w.state.load(ctx)
	if err != nil {
		return err
	}
	w.ledger.Entries = saved.Entries
	w.outbox.Load(saved.Letters)
	if w.looks, err = newLooks(o, client); err != nil {
		return err
	}
	stop, err := w.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()

	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { w.outbox.Run(ctx) })
	all.Go(func() { w.ping(ctx) })
	w.cluster = newCluster(client, o.Namespaces)
	if err := w.cluster.start(ctx, &all); err != nil {
		return err
	}
	all.Go(func() { w.looks.run(ctx, w.cluster) })
	o.Log.Info("watching", "namespaces", o.Namespaces, "destinations", len(o.Destinations))
	w.outbox.Wake()
	w.judge(ctx)
	return nil
}

// judge looks at the cluster until ctx ends: soon after something has changed,
// and otherwise every now and then, as time alone changes things too.
func (w *Watch) judge(ctx context.Context) {
	for {
		w.look(ctx, time.Now())
		idle := time.NewTimer(idlePause)
		select {
		case <-ctx.Done():
			idle.Stop()
			return
		case <-w.cluster.changed:
		case <-idle.C:
		}
		idle.Stop()
		select {
		case <-ctx.Done():
			return
		case <-time.After(judgePause):
		}
	}
}

// look judges once, and tells what there is to tell.
func (w *Watch) look(ctx context.Context, now time.Time) {
	world := w.cluster.world(now)
	w.looks.add(world)
	problems := Judge(world)
	w.mutex.Lock()
	changes := w.ledger.Look(problems, world.Deploying, now)
	w.judged = now
	w.deploying = nil
	for namespace := range world.Deploying {
		w.deploying = append(w.deploying, namespace)
	}
	slices.Sort(w.deploying)
	pending := w.ledger.Pending()
	w.mutex.Unlock()
	for _, change := range changes {
		m := w.message(ctx, change, now)
		w.options.Log.Info("told", "title", m.Title, "key", change.Key)
		w.outbox.Add(m, now)
	}
	if len(changes) > 0 {
		w.save(ctx) // before anything is sent: what is told is told once
		w.outbox.Wake()
	}
	if pending {
		w.cluster.touch()
	}
}

// message writes what there is to say of a change, with what the logs say.
func (w *Watch) message(ctx context.Context, change Change, now time.Time) alert.Message {
	change.Problem.Detail = w.options.Masks.Mask(change.Problem.Detail)
	if !change.Healed && len(change.Problem.Reasons) > 0 {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		change.Problem.Reasons = rollout.Evidence(ctx, w.client, change.Namespace, change.Problem.Reasons, w.options.Masks.Mask)
	}
	return write(change, w.options.Name, now)
}

func (w *Watch) save(ctx context.Context) {
	w.mutex.Lock()
	entries := w.ledger.Copy()
	w.mutex.Unlock()
	w.state.save(ctx, saved{Entries: entries, Letters: w.outbox.Waiting()})
}

// ping tells a dead man's switch that the watch lives. A watch whose messages do
// not arrive is as good as dead.
func (w *Watch) ping(ctx context.Context) {
	if w.options.Ping == "" {
		return
	}
	client := &http.Client{Timeout: 20 * time.Second}
	pause := 5 * time.Second // until the first look
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		now := time.Now()
		oldest := w.outbox.Oldest()
		if err := w.alive(now); err != nil || !oldest.IsZero() && now.Sub(oldest) > time.Hour {
			pause = 15 * time.Second
			continue
		}
		pause = pingPause
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.options.Ping, nil)
		if err != nil {
			return // the command has looked at it
		}
		response, err := client.Do(request)
		if err != nil {
			// Its error would name the URL, which is secret.
			w.options.Log.Warn("the ping did not arrive")
			pause = 30 * time.Second
			continue
		}
		response.Body.Close()
		if response.StatusCode/100 != 2 {
			w.options.Log.Warn("the ping was refused", "status", response.Status)
		}
	}
}
