// Command deploy measures how long it takes from a change to its serving, by
// berth and by hand, side by side on the cluster of this machine:
//
//	make up
//	go run ./bench/deploy
//
// By hand is what people type where berth is not: an image builder with its
// layers cached (Debian's buildah, for docker's own is not everywhere), a push
// to the same registry, the Deployment's new image or variable, and a wait
// until all its pods are the new ones. Two times count: until the page, asked
// through the ingress all the while, first says what was changed, and until the
// command ends, which is when all of it serves.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth/internal/fault"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each is measured, in turns; the median counts")
	program := flag.String("berth", "bin/berth", "the berth to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

// applications are what is deployed, each from a folder of testdata.
var applications = []struct{ name, line string }{
	{"flask", "app.py"},
	{"static", "main.go"},
}

// changes are what is measured of each.
var changes = []string{"a changed line", "a changed setting", "nothing"}

func run(ctx context.Context, program string, rounds int) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	m := machine{berth: program, state: place("XDG_STATE_HOME", "/var/lib", "berth", "local"), cache: place("XDG_CACHE_HOME", "/var/cache", "berth")}
	reach, err := clientcmd.BuildConfigFromFlags("", filepath.Join(m.state, "kubeconfig", "berth-admin.yaml"))
	if err != nil {
		return fault.WithHint(fmt.Errorf("reach the cluster of this machine: %w", err), "make up")
	}
	if m.client, err = kubernetes.NewForConfig(reach); err != nil {
		return err
	}
	if m.folder, err = os.MkdirTemp("", "bench-deploy-"); err != nil {
		return err
	}
	defer os.RemoveAll(m.folder)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "serving: berth s\tby hand s\tratio\tended: berth s\tby hand s\tratio\t\t")
	for _, a := range applications {
		results, err := m.measure(ctx, a.name, a.line, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		for i, change := range changes {
			for _, seconds := range []func(took) float64{took.serving, took.ended} {
				berth, hand := median(results[i].berth, seconds), median(results[i].hand, seconds)
				fmt.Fprintf(table, "%.1f\t%.1f\t%.2f\t", berth, hand, berth/hand)
			}
			fmt.Fprintf(table, "  %s, %s\t\n", a.name, change)
		}
	}
	return table.Flush()
}

// place is a folder of berth's, as package local lays them out.
func place(variable, usual string, elements ...string) string {
	base := os.Getenv(variable)
	if base == "" {
		base = usual
	}
	return filepath.Join(append([]string{base}, elements...)...)
}

// took is how long a change took.
type took struct{ toServe, toEnd time.Duration }

func (t took) serving() float64 { return t.toServe.Seconds() }
func (t took) ended() float64   { return t.toEnd.Seconds() }

func median(all []took, seconds func(took) float64) float64 {
	var values []float64
	for _, t := range all {
		values = append(values, seconds(t))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// machine is the cluster of this machine, with a folder for what is built.
type machine struct {
	berth, state, cache, folder string
	client                      kubernetes.Interface
}

type result struct{ berth, hand []took }

// measure deploys an application once, then measures each change in turns. Its
// namespaces, one for each way, are removed at the end.
func (m machine) measure(ctx context.Context, name, line string, rounds int) (results []result, err error) {
	berth, err := m.newSubject(ctx, name, line, "bench-berth-"+name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, berth.remove()) }()
	hand, err := m.newSubject(ctx, name, line, "bench-hand-"+name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hand.remove()) }()
	results = make([]result, len(changes))
	for round := range rounds + 1 { // the first fills caches
		for i, change := range changes {
			fmt.Fprintf(os.Stderr, "%s, round %d of %d: %s\n", name, round, rounds, change)
			byBerth, err := berth.change(ctx, change, round, berth.deploy)
			if err != nil {
				return nil, fmt.Errorf("berth, %s: %w", change, err)
			}
			byHand, err := hand.change(ctx, change, round, func(ctx context.Context) error { return hand.byHand(ctx, change) })
			if err != nil {
				return nil, fmt.Errorf("by hand, %s: %w", change, err)
			}
			if round > 0 {
				results[i].berth = append(results[i].berth, byBerth)
				results[i].hand = append(results[i].hand, byHand)
			}
		}
	}
	return results, nil
}
