package logs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// frame is a line of an object, in which the log agent has taken a line of a
// container's log apart (docs/logs.md).
type frame struct {
	Time    time.Time `json:"dt"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Context struct {
		Kubernetes origin `json:"kubernetes"`
	} `json:"context"`
	// Fields take longer than all else, and are not always wanted.
	Fields json.RawMessage `json:"fields"`
}

// origin is who wrote a line.
type origin struct {
	Pod         string `json:"pod"`
	Container   string `json:"container"`
	Node        string `json:"node"`
	Deployment  string `json:"deployment"`
	StatefulSet string `json:"statefulset"`
}

// of reports whether it is a pod of an application's Deployment. Lines that were
// read before the API server told the agent whose they are have only the pod's
// name.
func (o origin) of(application string) bool {
	if o.Deployment != "" || o.StatefulSet != "" {
		return o.Deployment == application
	}
	suffix, ok := strings.CutPrefix(o.Pod, application)
	return ok && replica.MatchString(suffix)
}

// replica is what a Deployment's pod has after the Deployment's name: the
// ReplicaSet's hash and five characters of its own.
var replica = regexp.MustCompile(`^-[a-z0-9]{1,10}-[a-z0-9]{5}$`)

// unpack returns the lines in an object's bytes, and at last what is wrong with it.
// Lines that have none of the needles are not even decoded, and those that are not
// wanted are passed over, which is asked before they have their fields.
func unpack(data []byte, needles [][]byte, wanted func(Line, origin) bool) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		plain, damage := decompress(data)
		for at, text := range candidates(plain, needles) {
			line, some, err := decode(text, wanted)
			if err != nil {
				// A line that ends too early is only what came of the damage.
				damage = cmp.Or(damage, fmt.Errorf("line %d: %w", 1+bytes.Count(plain[:at], []byte{'\n'}), err))
				break
			}
			if some && !yield(line, nil) {
				return
			}
		}
		if damage != nil {
			yield(Line{}, fmt.Errorf("%w: %w", ErrDamaged, damage))
		}
	}
}

// candidates returns the lines that have one of the needles, and where each begins.
func candidates(plain []byte, needles [][]byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		next := make([]int, len(needles)) // where each needle is, from the last line on
		for i := range next {
			next[i] = -1
		}
		for begin := 0; begin < len(plain); {
			found := len(plain)
			for i, needle := range needles {
				if next[i] < begin {
					next[i] = len(plain)
					if n := bytes.Index(plain[begin:], needle); n >= 0 {
						next[i] = begin + n
					}
				}
				found = min(found, next[i])
			}
			if found == len(plain) {
				return
			}
			begin += bytes.LastIndexByte(plain[begin:found], '\n') + 1
			end := len(plain)
			if n := bytes.IndexByte(plain[found:], '\n'); n >= 0 {
				end = found + n + 1
			}
			if !yield(begin, plain[begin:end]) {
				return
			}
			begin = end
		}
	}
}

// readers are kept, as each has tables and a window.
var readers sync.Pool

// decompress returns as much as there is, and what is wrong with the rest. Something
// on the way may have decompressed the object already.
func decompress(data []byte) ([]byte, error) {
	plain := data
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		from, _ := readers.Get().(*gzip.Reader)
		if from == nil {
			from = new(gzip.Reader)
		}
		defer readers.Put(from)
		if err := from.Reset(bytes.NewReader(data)); err != nil {
			return nil, err
		}
		// It ends with its length (RFC 1952), as far as that can be believed.
		size := int(binary.LittleEndian.Uint32(data[max(0, len(data)-4):]))
		b := bytes.NewBuffer(make([]byte, 0, min(size, 64*len(data), largest+1)+bytes.MinRead))
		_, err := b.ReadFrom(io.LimitReader(from, largest+1))
		plain = b.Bytes()
		if err != nil {
			return plain, err
		}
	}
	switch {
	case len(plain) == 0:
		return nil, errors.New("it is empty")
	case len(plain) > largest:
		return nil, fmt.Errorf("larger than %d MiB", largest>>20)
	}
	return plain, nil
}

// decode reads a line of an object, if it is wanted.
func decode(text []byte, wanted func(Line, origin) bool) (line Line, some bool, err error) {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return Line{}, false, err
	}
	if f.Time.IsZero() {
		return Line{}, false, errors.New("it has no time (dt)")
	}
	from := f.Context.Kubernetes
	line = Line{
		Time: f.Time, Level: strings.ToUpper(f.Level), Message: f.Message,
		Pod: from.Pod, Container: from.Container, Node: from.Node,
	}
	if !wanted(line, from) {
		return Line{}, false, nil
	}
	if len(f.Fields) > 0 {
		if err := line.Fields.UnmarshalJSON(f.Fields); err != nil {
			return Line{}, false, fmt.Errorf("its fields: %w", err)
		}
	}
	// Which stream it was is not the program's word.
	line.Fields = slices.DeleteFunc(line.Fields, func(f Field) bool { return f.Name == "log.iostream" })
	return line, true, nil
}
