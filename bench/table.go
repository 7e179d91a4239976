package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// A table is the result of a run.
type table struct {
	to *tabwriter.Writer
	// direct holds the requests per second of the first way, for comparison.
	direct map[string]float64
}

func newTable(out io.Writer) *table {
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight), map[string]float64{}}
	fmt.Fprintln(t.to, "store\tway\trequest\treq/s\ttarget\tof direct\tp99\tserver CPU\tdatabase CPU\tpeak memory\t")
	return t
}

func (t *table) line(store, way string, load load, f figures, used cpu, memory int64) {
	key := store + load.name
	if way == ways[0].name {
		t.direct[key] = f.perSecond
	}
	target, ratio := "", ""
	if n := load.targets[store]; n > 0 && way == ways[0].name {
		target = strconv.Itoa(n)
	}
	if direct := t.direct[key]; direct > 0 {
		ratio = fmt.Sprintf("%.1f %%", 100*f.perSecond/direct)
	}
	fmt.Fprintf(t.to, "%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%d MB\t\n", store, way, load.name, f.perSecond, target, ratio,
		f.p99.Round(10*time.Microsecond), perRequest(used.server, f.requests), perRequest(used.database, f.requests), memory/1_000_000)
}

func perRequest(used time.Duration, requests int) string {
	if used == 0 || requests == 0 {
		return ""
	}
	return fmt.Sprintf("%d µs", (used / time.Duration(requests)).Microseconds())
}

func (t *table) flush() error { return t.to.Flush() }
