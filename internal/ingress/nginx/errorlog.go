package nginx

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
)

// errorLog turns the lines of NGINX's error log into records of a slog.Logger.
type errorLog struct {
	log     *slog.Logger
	mu      sync.Mutex
	partial []byte
}

// linePattern is "2026/01/02 15:04:05 [warn] 12#12: *3 message, client: …".
var linePattern = regexp.MustCompile(`^[0-9/]+ [0-9:]+ \[([a-z]+)\] [0-9#]+: (?:\*[0-9]+ )?(.*)$`)

// queryPattern finds the query in the request, upstream and referrer that NGINX
// quotes: that is where tokens and passwords tend to be.
var queryPattern = regexp.MustCompile(`\?[^ "]*`)

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "notice": slog.LevelInfo, "warn": slog.LevelWarn,
	"error": slog.LevelError, "crit": slog.LevelError, "alert": slog.LevelError, "emerg": slog.LevelError,
}

// maxLine bounds what an unfinished line may hold; NGINX's own end at 2 KiB.
const maxLine = 16 << 10

// Write never fails: a lost log line must not end NGINX.
func (e *errorLog) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.partial = append(e.partial, p...)
	for {
		line, rest, found := bytes.Cut(e.partial, []byte("\n"))
		if !found {
			if len(e.partial) > maxLine {
				e.record(string(e.partial))
				e.partial = nil
			}
			return len(p), nil
		}
		e.record(string(line))
		e.partial = append([]byte(nil), rest...)
	}
}

func (e *errorLog) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.partial) > 0 {
		e.record(string(e.partial))
	}
	e.partial = nil
}

func (e *errorLog) record(line string) {
	level, message := slog.LevelWarn, line
	if m := linePattern.FindStringSubmatch(line); m != nil {
		level, message = levels[m[1]], m[2]
	}
	message = queryPattern.ReplaceAllString(message, "?…")
	e.log.Log(context.Background(), level, strings.TrimSpace(message), "source", "nginx")
}
