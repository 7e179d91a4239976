package release

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
)

// LogOptions choose lines of a log. The zero value is all that the nodes still
// keep of the pods that are there.
type LogOptions struct {
	// Since leaves out lines older than this; zero takes all.
	Since time.Duration
	// Grep is a regular expression (https://pkg.go.dev/regexp/syntax) that a
	// line must match.
	Grep string
	// Level leaves out lines below debug, info, warn or error. A line without a
	// level, as of a crash, is never left out.
	Level string
	// Follow goes on with what is written until the context ends, across pods
	// that come and go.
	Follow bool
}

// Line is one line of a container's log.
type Line struct {
	Time      time.Time `json:"time"`
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	Text      string    `json:"text"`
}

// Logs calls each for every line of the application's pods, merged in the order
// of time. It returns when each returns an error, with that error; while
// following also when ctx ends, with nil.
func (c *Client) Logs(ctx context.Context, environment string, o LogOptions, each func(Line) error) error {
	if _, err := c.environment(environment); err != nil {
		return err
	}
	passes, err := o.filter()
	if err != nil {
		return err
	}
	h, err := c.helm(environment)
	if err != nil {
		return err
	}
	past, err := h.history()
	if err != nil {
		return err
	}
	if len(past) == 0 {
		return notDeployed(environment)
	}
	ws, err := workloads(newest(past).Manifest)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &tail{client: c, namespace: environment, read: map[string]time.Time{}, each: func(l Line) error {
		if !passes(l.Text) {
			return nil
		}
		return each(l)
	}}
	for _, w := range ws {
		if w.Kind == "Deployment" {
			t.names = append(t.names, w.Name)
		}
	}
	if o.Since > 0 {
		t.from = time.Now().Add(-o.Since)
	}
	if err := t.written(ctx); err != nil || !o.Follow {
		return err
	}
	err = t.follow(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

var levels = map[string]int{"trace": -8, "debug": -4, "info": 0, "warn": 4, "warning": 4, "error": 8, "fatal": 12}

// filter returns the predicate that the options describe.
func (o LogOptions) filter() (func(string) bool, error) {
	pattern, err := regexp.Compile(o.Grep)
	if err != nil {
		return nil, fault.Usage("the pattern %q is no regular expression: %w", o.Grep, err)
	}
	least, known := levels[strings.ToLower(o.Level)]
	if o.Level != "" && !known {
		return nil, fault.Usage("there is no level %q; there are debug, info, warn and error", o.Level)
	}
	return func(text string) bool {
		if !pattern.MatchString(text) {
			return false
		}
		if o.Level == "" || !strings.HasPrefix(text, "{") {
			return true
		}
		var record struct {
			Level string `json:"level"`
		}
		if json.Unmarshal([]byte(text), &record) != nil {
			return true
		}
		level, known := levels[strings.ToLower(record.Level)]
		return !known || level >= least
	}, nil
}

// tail reads the logs of Deployments' pods.
type tail struct {
	client    *Client
	namespace string
	// names are the Deployments.
	names []string
	from  time.Time
	each  func(Line) error
	// read is the time of the last line read, by pod and container.
	read map[string]time.Time
}

// source is one container whose log can be read.
type source struct {
	pod, container string
	uid            string
	// instance is the container's id; a restart makes a new one.
	instance string
	// previous is the instance before the last restart.
	previous bool
	running  bool
}

func (s source) key() string { return s.uid + "/" + s.container }

// sources returns the containers that have written, or may have.
func (t *tail) sources(ctx context.Context) ([]source, error) {
	s, err := look(ctx, t.client.kube, t.namespace)
	if err != nil {
		return nil, err
	}
	var sources []source
	for i := range s.pods {
		pod := &s.pods[i]
		if !slices.ContainsFunc(t.names, func(name string) bool { return s.belongs(pod, name) }) {
			continue
		}
		for _, c := range statuses(pod) {
			from := source{pod: pod.Name, container: c.Name, uid: string(pod.UID), instance: c.ContainerID, running: c.State.Running != nil}
			if c.LastTerminationState.Terminated != nil {
				from.previous = true
				sources = append(sources, from)
				from.previous = false
			}
			if c.State.Running != nil || c.State.Terminated != nil {
				sources = append(sources, from)
			}
		}
	}
	return sources, nil
}

// belongs reports whether a pod is of a Deployment, whichever its revision and
// also while it is on its way out.
func (s *sight) belongs(pod *core.Pod, deployment string) bool {
	d := s.deployments[deployment]
	owner := metav1.GetControllerOf(pod)
	if d == nil || owner == nil {
		return false
	}
	return slices.ContainsFunc(s.replicaSets, func(rs apps.ReplicaSet) bool {
		return rs.UID == owner.UID && metav1.IsControlledBy(&rs, d)
	})
}

// open begins to read a container's log from a time on.
func (t *tail) open(ctx context.Context, s source, from time.Time, follow bool) (io.ReadCloser, error) {
	o := &core.PodLogOptions{Container: s.container, Previous: s.previous, Follow: follow, Timestamps: true}
	if !from.IsZero() {
		// The API counts in whole seconds; scan leaves out what is too early.
		at := metav1.NewTime(from.Truncate(time.Second))
		o.SinceTime = &at
	}
	return t.client.kube.CoreV1().Pods(t.namespace).GetLogs(s.pod, o).Stream(ctx)
}

// scan reads lines from a stream, in order and only those after a time.
func scan(stream io.Reader, s source, after time.Time, each func(Line) error) error {
	reader := bufio.NewReaderSize(stream, 1<<16)
	last := Line{}
	for {
		text, err := reader.ReadString('\n')
		if text != "" {
			line := Line{Pod: s.pod, Container: s.container}
			stamp, rest, _ := strings.Cut(strings.TrimRight(text, "\r\n"), " ")
			if at, bad := time.Parse(time.RFC3339Nano, stamp); bad == nil {
				line.Time, line.Text = at, rest
			} else {
				// What has no time belongs to the line before.
				line.Time, line.Text = last.Time, strings.TrimRight(text, "\r\n")
			}
			last = line
			if line.Time.After(after) {
				if err := each(line); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// written merges what was written until now.
func (t *tail) written(ctx context.Context) error {
	sources, err := t.sources(ctx)
	if err != nil {
		return fmt.Errorf("list the pods of %s: %w", t.namespace, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A pod whose node is away must not hide the logs of the others.
	var unread []error
	var heads heads
	begin := func(h *head) {
		ok, err := h.next()
		if err != nil {
			unread = append(unread, fmt.Errorf("read the log of pod %s: %w", h.source.pod, err))
		} else if ok {
			heap.Push(&heads, h)
		}
	}
	for _, s := range sources {
		stream, err := t.open(ctx, s, t.from, false)
		if gone(err) {
			continue
		}
		if err != nil {
			unread = append(unread, fmt.Errorf("read the log of pod %s: %w", s.pod, err))
			continue
		}
		lines := make(chan Line, 64)
		failed := make(chan error, 1)
		go func() {
			defer close(lines)
			defer stream.Close()
			failed <- scan(stream, s, t.from, func(l Line) error {
				select {
				case lines <- l:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
		begin(&head{source: s, lines: lines, failed: failed})
	}
	for len(heads) > 0 {
		h := heap.Pop(&heads).(*head)
		if err := t.each(h.line); err != nil {
			return err
		}
		t.read[h.source.key()] = h.line.Time
		begin(h)
	}
	return errors.Join(append(unread, ctx.Err())...)
}

// head is a log with its first line that is not merged yet.
type head struct {
	source source
	lines  <-chan Line
	failed <-chan error
	line   Line
}

func (h *head) next() (bool, error) {
	line, ok := <-h.lines
	if !ok {
		return false, <-h.failed
	}
	h.line = line
	return true, nil
}

// heads is a heap of logs by the time of their next line.
type heads []*head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	return cmp.Or(h[i].line.Time.Compare(h[j].line.Time), strings.Compare(h[i].source.pod, h[j].source.pod)) < 0
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// gone reports whether a container's log is not there any more, or not yet.
func gone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) }
