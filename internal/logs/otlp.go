package logs

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// The parts of OTLP's ExportLogsServiceRequest in JSON
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding) that a line is
// made of. 64-bit integers may be strings or numbers there.
type (
	otlpResourceLogs struct {
		Resource  struct{ Attributes []otlpAttribute }
		ScopeLogs []struct{ LogRecords []otlpRecord }
	}
	otlpRecord struct {
		TimeUnixNano         otlpNumber
		ObservedTimeUnixNano otlpNumber
		SeverityText         string
		Body                 otlpValue
		Attributes           []otlpAttribute
	}
	otlpAttribute struct {
		Key   string
		Value otlpValue
	}
	// otlpValue has at most one of its members.
	otlpValue struct {
		StringValue *string
		BoolValue   *bool
		IntValue    otlpNumber
		DoubleValue json.RawMessage
		BytesValue  *string
		ArrayValue  *struct{ Values []otlpValue }
		KvlistValue *struct{ Values []otlpAttribute }
	}
)

// otlpNumber is a 64-bit integer in decimal; empty where there is none.
type otlpNumber string

func (n *otlpNumber) UnmarshalJSON(data []byte) error {
	text := string(data)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	if text == "null" {
		return nil
	}
	_, signed := strconv.ParseInt(text, 10, 64)
	_, unsigned := strconv.ParseUint(text, 10, 64)
	if signed != nil && unsigned != nil {
		return fmt.Errorf("%q is no 64-bit integer", text)
	}
	*n = otlpNumber(text)
	return nil
}

// raw is the value in JSON, as a program would have written it.
func (v otlpValue) raw() json.RawMessage {
	switch {
	case v.StringValue != nil:
		return quote(*v.StringValue)
	case v.BoolValue != nil:
		return strconv.AppendBool(nil, *v.BoolValue)
	case v.IntValue != "":
		// Leading zeros and signs are none of JSON's.
		return json.RawMessage(v.IntValue.canonical())
	case len(v.DoubleValue) > 0:
		return v.DoubleValue
	case v.BytesValue != nil:
		return quote(*v.BytesValue)
	case v.ArrayValue != nil:
		b := json.RawMessage("[")
		for i, element := range v.ArrayValue.Values {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, element.raw()...)
		}
		return append(b, ']')
	case v.KvlistValue != nil:
		b := json.RawMessage("{")
		for i, member := range v.KvlistValue.Values {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, quote(member.Key)...), ':'), member.Value.raw()...)
		}
		return append(b, '}')
	}
	return json.RawMessage("null")
}

func (n otlpNumber) canonical() string {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	u, _ := strconv.ParseUint(string(n), 10, 64)
	return strconv.FormatUint(u, 10)
}

// time is what the number counts in nanoseconds since 1970; false for none.
func (n otlpNumber) time() (time.Time, bool) {
	nanoseconds, err := strconv.ParseInt(string(n), 10, 64)
	return time.Unix(0, nanoseconds).UTC(), err == nil && nanoseconds != 0
}

// decode calls each for every record of a document, with the resource that wrote
// it. It holds one resource's records at a time, so the document may be of any
// length. What came before an error has been handed over.
//
// The reader should be of memory: with small reads, [json.Decoder] takes a time
// that grows with the square of white space.
func decode(document io.Reader, each func(source, *otlpRecord) error) error {
	d := json.NewDecoder(document)
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if key != "resourceLogs" {
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return err
			}
			continue
		}
		if err := expect(d, json.Delim('[')); err != nil {
			return err
		}
		for d.More() {
			var logs otlpResourceLogs
			if err := d.Decode(&logs); err != nil {
				return err
			}
			from := sourceOf(logs.Resource.Attributes)
			for _, scope := range logs.ScopeLogs {
				for i := range scope.LogRecords {
					if err := each(from, &scope.LogRecords[i]); err != nil {
						return err
					}
				}
			}
		}
		if err := expect(d, json.Delim(']')); err != nil {
			return err
		}
	}
	if err := expect(d, json.Delim('}')); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is more after the document's end")
	}
	return nil
}

func expect(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("there is %v where %v belongs", token, want)
	}
	return nil
}

// source is who wrote a record.
type source struct {
	Container
	node, deployment string
	// other says that the pod is one of a StatefulSet.
	other bool
}

func sourceOf(attributes []otlpAttribute) (s source) {
	for _, a := range attributes {
		if a.Value.StringValue == nil {
			continue
		}
		switch text := *a.Value.StringValue; a.Key {
		case "k8s.pod.name":
			s.Pod = text
		case "k8s.container.name":
			s.Name = text
		case "k8s.node.name":
			s.node = text
		case "k8s.deployment.name":
			s.deployment = text
		case "k8s.statefulset.name":
			s.other = true
		}
	}
	return s
}

// line makes a line of a record.
func (r *otlpRecord) line(from source, at time.Time) Line {
	l := Line{Time: at, Level: r.SeverityText, Pod: from.Pod, Container: from.Name, Node: from.node}
	if body := r.Body.StringValue; body != nil {
		l.Message = *body
	} else {
		l.Message = string(r.Body.raw())
	}
	for _, a := range r.Attributes {
		// Which stream it was is not the program's word.
		if a.Key != "log.iostream" {
			l.Fields = append(l.Fields, Field{a.Key, a.Value.raw()})
		}
	}
	return l
}

// time is when the runtime took the line, or else when the agent read it.
func (r *otlpRecord) time() (time.Time, error) {
	if at, ok := r.TimeUnixNano.time(); ok {
		return at, nil
	}
	if at, ok := r.ObservedTimeUnixNano.time(); ok {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("a line has no time")
}
