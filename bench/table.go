package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// A table is the result of a run.
type table struct{ to *tabwriter.Writer }

func newTable(out io.Writer) *table {
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	fmt.Fprintln(t.to, "store\tway\trequest\treq/s\ttarget\tof direct\tof by hand\tof JSON\tp99\tserver CPU\tdatabase CPU\tpeak memory\t")
	return t
}

// line writes one measurement. The others of the same request, by their ways,
// are what it is compared with.
func (t *table) line(store, way string, load load, r round, others map[string]float64, memory int64) {
	target := ""
	if n := load.targets[store]; n > 0 && way == "direct" {
		target = strconv.Itoa(n)
	}
	share := func(other string) string {
		if others[other] == 0 || other == way {
			return ""
		}
		return fmt.Sprintf("%.1f %%", 100*r.figures.perSecond/others[other])
	}
	fmt.Fprintf(t.to, "%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d MB\t\n", store, way, load.name, r.figures.perSecond, target,
		share("direct"), share("by hand"), share("by hand, JSON"), r.figures.p99.Round(10*time.Microsecond),
		perRequest(r.used.server, r.figures.requests), perRequest(r.used.database, r.figures.requests), memory/1_000_000)
}

func perRequest(used time.Duration, requests int) string {
	if used == 0 || requests == 0 {
		return ""
	}
	return fmt.Sprintf("%d µs", (used / time.Duration(requests)).Microseconds())
}

func (t *table) flush() error { return t.to.Flush() }
