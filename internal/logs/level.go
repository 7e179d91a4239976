package logs

import (
	"log/slog"

	"berth/logline"
)

// Severity is the line's level as slog counts them, and that of info where it has
// none that is known.
func (l Line) Severity() slog.Level {
	severity := logline.SeverityOf(l.Level)
	if severity == logline.Unknown {
		return slog.LevelInfo
	}
	return slog.Level(severity - logline.Info)
}
