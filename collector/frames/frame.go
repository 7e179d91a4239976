package frames

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// frame is one line as Timber's schema has it: dt, level and message are what
// aggregators look for, the rest are fields of any name.
type frame struct {
	Time    string         `json:"dt"`
	Level   string         `json:"level,omitempty"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"`
	// Context says which container the line is from.
	Context map[string]any `json:"context,omitempty"`
	// Truncated marks a line that was longer than a request may be.
	Truncated bool `json:"truncated,omitempty"`
}

// encode returns a record as a line of JSON of at most that many bytes.
func encode(record plog.LogRecord, context map[string]any, most int) ([]byte, error) {
	f := frame{
		Time:    record.Timestamp().AsTime().Format(time.RFC3339Nano),
		Level:   strings.ToLower(record.SeverityText()),
		Message: record.Body().AsString(),
		Fields:  record.Attributes().AsRaw(),
		Context: context,
	}
	encoded, err := marshal(f)
	if err != nil || len(encoded) <= most {
		return encoded, err
	}
	// The message is cut in proportion, as JSON makes more of some characters than
	// of others. Where it is not what is long, the fields go.
	const short = 1 << 10
	f.Truncated = true
	for err == nil && len(encoded) > most {
		switch {
		case len(f.Message) > short || f.Fields == nil && f.Context == nil:
			f.Message = strings.ToValidUTF8(f.Message[:len(f.Message)*most/len(encoded)*9/10], "")
		case f.Fields != nil:
			f.Fields = nil
		default:
			f.Context = nil
		}
		encoded, err = marshal(f)
	}
	return encoded, err
}

func marshal(f frame) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("encode a line as JSON: %w", err)
	}
	return b.Bytes(), nil
}

// contextOf takes the names of Kubernetes' attributes apart: k8s.pod.name is
// kubernetes.pod.name, and any other stays as it is.
func contextOf(resource pcommon.Resource) map[string]any {
	context, kubernetes := map[string]any{}, map[string]any{}
	for key, value := range resource.Attributes().All() {
		if name, ok := strings.CutPrefix(key, "k8s."); ok {
			kubernetes[strings.TrimSuffix(name, ".name")] = value.AsRaw()
		} else {
			context[key] = value.AsRaw()
		}
	}
	if len(kubernetes) > 0 {
		context["kubernetes"] = kubernetes
	}
	return context
}
