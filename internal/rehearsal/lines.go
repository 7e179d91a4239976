package rehearsal

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"berth/internal/images"
)

// Lines are the report for people: what was measured, what speaks against the release,
// and the verdict last.
func (r *Report) Lines(now time.Time) (lines []string) {
	say := func(format string, arguments ...any) { lines = append(lines, fmt.Sprintf(format, arguments...)) }
	list := func(title string, all []string) {
		for _, one := range all {
			say("%-10s %s", title, one)
			title = ""
		}
	}
	say("")
	say("%-10s %s on a copy of %s, made of backup %s of %s ago (%s, %s)", "rehearsed", images.Short(r.New), r.Environment,
		r.Backup.ID, now.Sub(r.Backup.Of).Round(time.Second), rows(r.Backup.Rows), humanize.Bytes(uint64(max(0, r.Backup.Bytes))))
	var phases []string
	for _, p := range r.Phases {
		phases = append(phases, fmt.Sprintf("%s %s", strings.ToLower(p.Name[:1])+p.Name[1:], seconds(p.Seconds)))
	}
	list("took", append([]string{seconds(r.Seconds) + " in all"}, phases...))
	if r.Release != nil {
		how := "ran well"
		if !r.Release.OK {
			how = "failed"
		}
		say("%-10s the release command %s, %s", "migration", how, seconds(r.Release.Seconds))
	}
	list("schema", r.Schema.lines())
	list("rows", r.tableLines())
	list("writes", r.writeLines())
	for _, l := range r.Locks {
		list("lock", []string{fmt.Sprintf("%s of %s for %s", l.Mode, l.Table, seconds(l.Seconds))})
	}
	if r.Disk.Before > 0 {
		say("%-10s %s before, %s at most, %s after; %s of log", "disk", humanize.Bytes(uint64(max(0, r.Disk.Before))), humanize.Bytes(uint64(max(0, r.Disk.Peak))), humanize.Bytes(uint64(max(0, r.Disk.After))), humanize.Bytes(uint64(max(0, r.Disk.Log))))
	}
	list("requests", r.answerLines())
	list("note", r.Remarks)
	say("")
	if r.Good {
		say("Nothing speaks against releasing %s to %s.", images.Short(r.New), r.Environment)
		return lines
	}
	say("%s must not go to %s:", images.Short(r.New), r.Environment)
	for _, reason := range r.Reasons {
		say("  - %s", reason.Text)
		for _, e := range reason.Evidence {
			for _, line := range e.Log {
				say("      %s", line)
			}
		}
	}
	return lines
}

func (c Changes) lines() (lines []string) {
	for _, part := range []struct {
		sign string
		all  []string
	}{{"+", c.Gained}, {"-", c.Lost}, {"~", c.Changed}} {
		for _, one := range part.all {
			lines = append(lines, part.sign+" "+one)
		}
	}
	if len(lines) == 0 {
		lines = []string{"as it was"}
	}
	return lines
}

func (r *Report) tableLines() (lines []string) {
	for _, t := range r.Tables {
		text := fmt.Sprintf("%s: %d", t.Name, t.After)
		switch {
		case t.After < 0:
			text = fmt.Sprintf("%s: dropped with %d", t.Name, t.Before)
		case t.Before < 0:
			text += ", new"
		case t.Before != t.After:
			text += fmt.Sprintf(", were %d", t.Before)
		}
		for _, part := range []struct {
			n    int64
			what string
		}{{t.Inserted, "inserted"}, {t.Updated, "updated"}, {t.Deleted, "deleted"}} {
			if part.n > 0 {
				text += fmt.Sprintf(", %d %s", part.n, part.what)
			}
		}
		if t.Of != "" {
			text += ", a partition of " + t.Of
		}
		if t.Was != "" {
			text += ", was called " + t.Was
		}
		if t.Unlogged {
			text += ", unlogged"
		}
		if t.Rewritten {
			text += ", rewritten"
		}
		lines = append(lines, text)
	}
	return lines
}

func (r *Report) writeLines() (lines []string) {
	for _, w := range r.Writes {
		if w.Refused != "" {
			lines = append(lines, fmt.Sprintf("%s: refused: %s", w.Table, w.Refused))
		}
		if len(w.Deletes) > 0 {
			lines = append(lines, fmt.Sprintf("%s: taken, which deletes rows of %s", w.Table, strings.Join(w.Deletes, ", ")))
		}
	}
	return lines
}

// answerLines lay both images' answers side by side: how many of each class, and the
// median of the times.
func (r *Report) answerLines() []string {
	if len(r.Answers) == 0 {
		return nil
	}
	side := func(name string, of func(Answer) Reply) string {
		classes := map[int]int{}
		var times []float64
		for _, a := range r.Answers {
			reply := of(a)
			classes[reply.Status/100]++
			times = append(times, reply.Milliseconds)
		}
		var parts []string
		for class := range 6 {
			if n := classes[class]; n > 0 {
				what := fmt.Sprintf("%dxx", class)
				if class == 0 {
					what = "not answered"
				}
				parts = append(parts, fmt.Sprintf("%d %s", n, what))
			}
		}
		return fmt.Sprintf("%-36s %s, median %.1f ms", name, strings.Join(parts, ", "), median(times))
	}
	lines := []string{fmt.Sprintf("GET of %d paths", len(r.Answers)), side("present image, before the migration", func(a Answer) Reply { return a.Before })}
	if r.PresentHealth.OK {
		lines = append(lines, side("present image, after it", func(a Answer) Reply { return a.Present }))
	}
	if r.NewHealth.OK {
		lines = append(lines, side("new image", func(a Answer) Reply { return a.New }))
	}
	return lines
}
