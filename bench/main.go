// Command bench measures the RealWorld server: the same load on every kind of
// database and through every way to the server, side by side in one run.
//
//	go run ./bench -duration 3s -rounds 3
//
// Each store is a real one, filled with 50 users, 500 articles, 2,500
// favorites and the follows and tags to go with them; the server is a process
// of its own; wrk makes the load. Requests per second depend on what else the
// machine does, CPU time per request hardly: compare that between runs, and
// requests per second within one.
//
// With -agent it measures instead what the log agent costs the same server, in
// the cluster of this machine.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"berth/internal/fault"
	"berth/internal/postgrestest"
)

func main() {
	var options options
	var only string
	flag.DurationVar(&options.duration, "duration", 3*time.Second, "how long each round takes")
	flag.IntVar(&options.connections, "connections", 32, "connections of the load generator")
	flag.IntVar(&options.rounds, "rounds", 3, "how often each is measured; the median counts")
	flag.StringVar(&only, "only", "", "measure only lines such as \"sqlite direct list\" that match this regular expression;\nwith -agent, of \"shared mix\", \"apart list\" and the like, those that match "+agentOnly+" unless told")
	agent := flag.String("agent", "", "measure what the log agent costs the application in the cluster of this `kubeconfig`, and nothing else")
	flag.Parse()
	if *agent != "" && only == "" {
		only = agentOnly
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if options.only, err = regexp.Compile(only); err == nil {
		if *agent != "" {
			err = measureAgent(ctx, options, *agent)
		} else {
			err = run(ctx, options)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

type options struct {
	duration    time.Duration
	connections int
	rounds      int
	only        *regexp.Regexp
}

// A way leads from the load generator to the server.
type way struct {
	name string
	// open prepares the way to a server at an address host:port and returns the
	// URL to put before a path, and what ends it.
	open func(ctx context.Context, folder, server string) (base string, close func() error, err error)
}

// ways are what is compared: the server alone, behind NGINX as the ingress
// controller sets it up, and behind NGINX set up by hand.
var ways = []way{
	{"direct", func(_ context.Context, _, server string) (string, func() error, error) {
		return "http://" + server, func() error { return nil }, nil
	}},
	{"ingress", throughIngress},
	{"by hand", throughHandWritten},
	{"by hand, JSON", throughHandWrittenJSON},
}

func run(ctx context.Context, options options) (err error) {
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	binary, err := buildServer(ctx, folder)
	if err != nil {
		return err
	}
	// Filling goes faster without waiting for the disk; reading is the same.
	postgres, err := postgrestest.Start("synchronous_commit=off")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, postgres.Stop()) }()
	postgresURL, err := postgres.CreateDatabase(ctx)
	if err != nil {
		return err
	}

	stores := []struct {
		name, url string
		pid       int // of a database that is a process of its own
	}{
		{"sqlite", "sqlite:///" + filepath.Join(folder, "realworld.db"), 0},
		{"postgres", postgresURL, postgres.PID()},
	}
	table := newTable(os.Stdout)
	for _, store := range stores {
		fmt.Fprintf(os.Stderr, "fill %s\n", store.name)
		if err := seed(ctx, store.url); err != nil {
			return fmt.Errorf("fill %s: %w", store.name, err)
		}
		if err := measureStore(ctx, options, table, folder, binary, store.name, store.url, store.pid); err != nil {
			return fmt.Errorf("%s: %w", store.name, err)
		}
	}
	return table.flush()
}

// measureStore starts a server on one store and measures every way to it.
func measureStore(ctx context.Context, options options, table *table, folder, binary, store, databaseURL string, databasePID int) (err error) {
	server, err := startServer(ctx, folder, binary, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	loads, err := loads(ctx, server.address)
	if err != nil {
		return err
	}
	for _, load := range loads {
		if err := measureLoad(ctx, options, table, folder, server, store, databasePID, load); err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
	}
	return nil
}

// measureLoad measures one request through every way, in turns: what else the
// machine does meanwhile then falls on all of them. Of each, the round with the
// median of requests per second counts.
func measureLoad(ctx context.Context, options options, table *table, folder string, server *server, store string, databasePID int, load load) (err error) {
	type lane struct {
		way    way
		base   string
		rounds []round
	}
	var lanes []*lane
	for _, way := range ways {
		if !options.only.MatchString(store + " " + way.name + " " + load.name) {
			continue
		}
		base, closeWay, err := way.open(ctx, folder, server.address)
		if err != nil {
			return fmt.Errorf("open the way %s: %w", way.name, err)
		}
		defer func() { err = errors.Join(err, closeWay()) }()
		lanes = append(lanes, &lane{way: way, base: base})
	}
	for i := range options.rounds {
		for _, l := range lanes {
			fmt.Fprintf(os.Stderr, "measure %s %s %s, round %d of %d\n", store, l.way.name, load.name, i+1, options.rounds)
			before := cpuTimes(server.pid(), databasePID)
			figures, err := wrk(ctx, options, l.base, load)
			if err != nil {
				return fmt.Errorf("%s: %w", l.way.name, err)
			}
			l.rounds = append(l.rounds, round{figures, cpuTimes(server.pid(), databasePID).since(before)})
		}
	}
	medians := map[string]float64{}
	for _, l := range lanes {
		medians[l.way.name] = median(l.rounds).figures.perSecond
	}
	for _, l := range lanes {
		table.line(store, l.way.name, load, median(l.rounds), medians, server.peakMemory())
	}
	return nil
}

// A round is one run of the load generator and the CPU time it cost.
type round struct {
	figures figures
	used    cpu
}

func median(rounds []round) round {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b round) int {
		return cmp.Compare(a.figures.perSecond, b.figures.perSecond)
	})
	return sorted[len(sorted)/2]
}
