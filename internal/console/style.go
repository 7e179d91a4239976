package console

import "charm.land/lipgloss/v2"

// style paints text with the terminal's own sixteen colours, or not at all.
type style struct{ color bool }

func (s style) paint(with lipgloss.Style, text string) string {
	if !s.color {
		return text
	}
	return with.Render(text)
}

func (s style) good(text string) string {
	return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Green), text)
}

func (s style) bad(text string) string {
	return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true), text)
}

func (s style) warn(text string) string {
	return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Yellow), text)
}

func (s style) strong(text string) string {
	return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Cyan), text)
}

func (s style) bold(text string) string {
	return s.paint(lipgloss.NewStyle().Bold(true), text)
}

func (s style) faint(text string) string {
	return s.paint(lipgloss.NewStyle().Faint(true), text)
}

// The marks that stand before a line.
const (
	Good = "✓"
	Bad  = "✗"
	Warn = "!"
)

// mark paints a mark and leaves any other text as it is.
func (s style) mark(text string) string {
	switch text {
	case Good:
		return s.good(text)
	case Bad:
		return s.bad(text)
	case Warn:
		return s.warn(text)
	}
	return text
}
