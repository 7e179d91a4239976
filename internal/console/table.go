package console

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
)

// Table writes rows in columns to stdout, cleaned. A cell that is a mark is
// painted.
func (c *Console) Table(header []string, rows [][]string) {
	widths := make([]int, len(header))
	for i, title := range header {
		widths[i] = lipgloss.Width(title)
	}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(Clean(cell)))
		}
	}
	line := func(cells []string, paint func(string) string) {
		var b strings.Builder
		for i, cell := range cells {
			cell = Clean(cell)
			b.WriteString(paint(cell))
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(cell)+2))
			}
		}
		fmt.Fprintln(c.Out, strings.TrimRight(b.String(), " "))
	}
	line(header, c.out.faint)
	for _, row := range rows {
		line(row, c.out.mark)
	}
}

// Line writes a result line behind a mark.
func (c *Console) Line(mark, text string) {
	fmt.Fprintln(c.Out, " "+c.out.mark(mark)+" "+Clean(text))
}
