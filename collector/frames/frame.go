package frames

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"berth/logline"
)

// Encoder writes lines as Timber's schema has them, in JSON: dt, level and message
// are what aggregators look for, context says which container a line is from,
// and fields are the members of the line itself.
type Encoder struct {
	context []byte
	parser  logline.Parser
	frame   []byte
}

// NewEncoder returns an encoder of the records of a resource.
func NewEncoder(of pcommon.Resource) (*Encoder, error) {
	context, err := json.Marshal(contextOf(of))
	if err != nil {
		return nil, fmt.Errorf("encode which container lines are from: %w", err)
	}
	return &Encoder{context: context}, nil
}

// contextOf takes the names of Kubernetes' attributes apart: k8s.pod.name is
// kubernetes.pod, and any other stays as it is.
func contextOf(resource pcommon.Resource) map[string]any {
	context, kubernetes := map[string]any{}, map[string]any{}
	for key, value := range resource.Attributes().All() {
		if name, ok := strings.CutPrefix(key, "k8s."); ok {
			kubernetes[strings.TrimSuffix(name, ".name")] = value.AsString()
		} else {
			context[key] = value.AsString()
		}
	}
	context["kubernetes"] = kubernetes
	return context
}

// Encode returns a line of JSON of at most that many bytes. It is good until the
// next one is encoded.
//
// Of a line that is longer the message is cut, in proportion, as JSON makes more
// of some characters than of others. Where it is not what is long, the fields
// are left out.
func (e *Encoder) Encode(record plog.LogRecord, most int) []byte {
	const short = 1 << 10
	l := e.parser.Parse(record.Body().AsString())
	whole := part{context: true, fields: true}
	for e.encode(record, l, whole); len(e.frame) > most; e.encode(record, l, whole) {
		whole.truncated = true
		switch {
		case len(l.Message) > short || !whole.fields && !whole.context:
			l.Message = strings.ToValidUTF8(l.Message[:len(l.Message)*most/len(e.frame)*9/10], "")
		case whole.fields:
			whole.fields = false
		default:
			whole.context = false
		}
	}
	return e.frame
}

// part is what of a line is encoded.
type part struct{ context, fields, truncated bool }

func (e *Encoder) encode(record plog.LogRecord, l logline.Line, part part) {
	to := append(e.frame[:0], `{"dt":"`...)
	to = record.Timestamp().AsTime().AppendFormat(to, time.RFC3339Nano)
	to = append(to, '"')
	if l.Level != "" {
		to = logline.AppendString(append(to, `,"level":`...), strings.ToLower(l.Level))
	}
	to = logline.AppendString(append(to, `,"message":`...), l.Message)
	if part.fields {
		to = append(to, `,"fields":{`...)
		before := len(to)
		to = l.AppendMembers(to)
		for key, value := range record.Attributes().All() {
			if len(to) > before {
				to = append(to, ',')
			}
			to = append(logline.AppendString(to, key), ':')
			to = logline.AppendString(to, value.AsString())
		}
		to = append(to, '}')
	}
	if part.context {
		to = append(append(to, `,"context":`...), e.context...)
	}
	if part.truncated {
		to = append(to, `,"truncated":true`...)
	}
	e.frame = append(to, "}\n"...)
}
