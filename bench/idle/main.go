// Command idle measures what the cluster of this machine costs while nothing is
// asked of it: processor time and memory, by part.
//
//	make up
//	make bench-idle
//
// Processor time is what a process has used over the whole duration, in percent
// of one core; a program that it ran meanwhile, a probe's say, counts as its own
// once it has ended. Memory is the proportional set size: what a process has to
// itself and its share of what it has in common with others, so that the sum is
// what the machine would have back.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	state := flag.String("state", defaultState(), "the cluster's folder")
	duration := flag.Duration("duration", time.Minute, "how long to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *state, *duration, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func defaultState() string {
	home := os.Getenv("XDG_STATE_HOME")
	if home == "" {
		home = "/var/lib"
	}
	return filepath.Join(home, "berth", "local")
}

func run(ctx context.Context, state string, duration time.Duration, out io.Writer) error {
	before, err := look(state)
	if err != nil {
		return err
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
	}
	after, err := look(state)
	if err != nil {
		return err
	}
	return write(out, compare(before, after), time.Since(began))
}

// cost is what one part has used.
type cost struct {
	part      string
	processes int
	cpu       time.Duration
	memory    int64 // bytes
}

// compare gives what each part used between two looks, the dearest first. A
// process that came meanwhile has used all it has.
func compare(before, after []process) []cost {
	was := make(map[int]time.Duration, len(before))
	for _, p := range before {
		was[p.pid] = p.cpu
	}
	parts := map[string]*cost{}
	for _, p := range after {
		c := parts[p.part]
		if c == nil {
			c = &cost{part: p.part}
			parts[p.part] = c
		}
		c.processes++
		c.cpu += max(0, p.cpu-was[p.pid])
		c.memory += p.memory
	}
	var all []cost
	for _, c := range parts {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b cost) int {
		if a.cpu != b.cpu {
			return int(b.cpu - a.cpu)
		}
		return int(b.memory - a.memory)
	})
	return all
}

func write(out io.Writer, all []cost, within time.Duration) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "CPU, % of a core\tmemory, MB\tprocesses\t  part")
	var sum cost
	line := func(c cost) {
		fmt.Fprintf(table, "%.2f\t%.1f\t%d\t  %s\n", 100*c.cpu.Seconds()/within.Seconds(), float64(c.memory)/1e6, c.processes, c.part)
	}
	for _, c := range all {
		line(c)
		sum.cpu, sum.memory, sum.processes = sum.cpu+c.cpu, sum.memory+c.memory, sum.processes+c.processes
	}
	sum.part = "all"
	line(sum)
	return table.Flush()
}
