package logs

import (
	"encoding/json"
	"strings"
)

// Parse takes the text of a container's line apart, as the log agent does before
// a line reaches the archive (docs/logs.md): an object in JSON into its message,
// its level and the other members; any other text is the message, and its level is
// looked for where programs write it.
func Parse(text string) (level, message string, fields Fields) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &fields) != nil {
		return levelOfText(text), text, nil
	}
	hasMessage := false
	rest := fields[:0]
	for _, f := range fields {
		switch f.Name {
		case "msg", "message":
			if !hasMessage && json.Unmarshal(f.Value, &message) == nil && string(f.Value) != "null" {
				hasMessage = true
				continue
			}
		case "level", "severity", "lvl":
			if name := levelOfValue(f.Value); level == "" && name != "" {
				level = name
				continue
			}
		}
		rest = append(rest, f)
	}
	if !hasMessage {
		message = text
	}
	return level, message, rest
}
