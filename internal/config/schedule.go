package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// notASchedule says why a CronJob does not take a schedule; "" where it does.
func notASchedule(schedule string) string {
	fields := len(strings.Fields(schedule))
	switch plain := nicknames[schedule]; {
	case plain != "":
		return fmt.Sprintf("%q is %q", schedule, plain)
	case strings.Contains(schedule, "TZ="): // which is this parser's own, like @every
		return fmt.Sprintf("it is %q, and the zone is timeZone's", schedule)
	case fields == 6:
		return fmt.Sprintf("it is %q, which has 6", schedule)
	case fields != 5 || strings.Contains(schedule, "="):
		return fmt.Sprintf("it is %q", schedule)
	}
	parsed, err := cron.ParseStandard(schedule)
	if err != nil {
		problem := fmt.Sprintf("it is %q: %v", schedule, err)
		if strings.Contains(problem, "(7) above maximum (6)") {
			problem += "; Sunday is 0"
		}
		return problem
	}
	if parsed.Next(time.Now()).IsZero() {
		return fmt.Sprintf("%q never comes", schedule)
	}
	return ""
}

// nicknames are what crontab has for some schedules.
var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}
