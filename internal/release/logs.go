package release

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/kube"
	"berth/internal/logs"
	"berth/internal/rollout"
)

// LogOptions choose lines of an environment's log. The zero value is all that the
// nodes still keep of the pods that are there.
type LogOptions struct {
	logs.Query
	// Follow goes on with what is written until the context ends, across pods
	// that come and go.
	Follow bool
	// Past, where set, is asked once for the lines that the cluster does not hold
	// any more, in the order of time. They are merged with those that it does.
	Past func(held logs.Held) iter.Seq[logs.Line]
}

// Logs calls each for every line of the application's pods, merged in the order
// of time. It returns when each returns an error, with that error; while
// following also when ctx ends, with nil.
func (c *Client) Logs(ctx context.Context, environment string, o LogOptions, each func(logs.Line) error) error {
	if _, err := c.environment(environment); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	h, err := c.release(environment)
	if err != nil {
		return err
	}
	past, err := h.History()
	if err != nil {
		return err
	}
	if len(past) == 0 {
		return notDeployed(environment)
	}
	ws, err := rollout.Workloads(newest(past).Manifest)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &tail{client: c, namespace: environment, past: o.Past, read: map[string]time.Time{}, done: map[string]bool{}, each: func(l logs.Line) error {
		if !o.Takes(l) {
			return nil
		}
		return each(l)
	}}
	for _, w := range ws {
		if w.Kind == "Deployment" {
			t.names = append(t.names, w.Name)
		}
	}
	if !o.From.IsZero() {
		// Lines are read from after a time on.
		t.from = o.From.Add(-1)
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

// tail reads the logs of Deployments' pods.
type tail struct {
	client    *Client
	namespace string
	// names are the Deployments.
	names []string
	from  time.Time
	past  func(logs.Held) iter.Seq[logs.Line]
	each  func(logs.Line) error
	// read is the time of the last line read, by pod and container.
	read map[string]time.Time
	// done are the instances that were read before a restart, to their end.
	done map[string]bool
}

// written merges what was written until now with what is past.
func (t *tail) written(ctx context.Context) error {
	sources, err := t.sources(ctx)
	if err != nil {
		return fmt.Errorf("list the pods of %s: %w", t.namespace, err)
	}
	held := logs.Held{}
	// A pod whose node is away must not hide the logs of the others.
	var unread []error
	var all []iter.Seq2[logs.Line, error]
	for _, s := range sources {
		stream, err := t.open(ctx, s, t.from, false)
		if gone(err) {
			continue
		}
		if err != nil {
			unread = append(unread, fmt.Errorf("read the log of pod %s: %w", s.pod, err))
			continue
		}
		defer stream.Close()
		t.done[s.instance] = s.previous
		all = append(all, t.lines(stream, s, held))
	}
	if t.past != nil {
		// Merge begins with the others, so that held is known by then.
		all = append(all, func(yield func(logs.Line, error) bool) {
			for l := range t.past(held) {
				if !yield(l, nil) {
					return
				}
			}
		})
	}
	for line, err := range logs.Merge(all...) {
		if err != nil {
			unread = append(unread, err)
			continue
		}
		if err := t.each(line); err != nil {
			return err
		}
	}
	return errors.Join(append(unread, ctx.Err())...)
}

// lines are those of a stream. It notes since when the container's lines are held,
// and what was read last.
func (t *tail) lines(stream io.Reader, s source, held logs.Held) iter.Seq2[logs.Line, error] {
	return func(yield func(logs.Line, error) bool) {
		enough := errors.New("enough")
		err := scan(stream, s, t.from, func(l logs.Line) error {
			if since, some := held[l.Of()]; !some || l.Time.Before(since) {
				held[l.Of()] = l.Time
			}
			// The instance before a restart is read side by side with the one after.
			if l.Time.After(t.read[s.key()]) {
				t.read[s.key()] = l.Time
			}
			if !yield(l, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(logs.Line{}, fmt.Errorf("read the log of pod %s: %w", s.pod, err))
		}
	}
}

// source is one container whose log can be read.
type source struct {
	pod, container string
	node           string
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
	s, err := rollout.Take(ctx, kube.API{Interface: t.client.kube}, t.namespace)
	if err != nil {
		return nil, err
	}
	var sources []source
	for i := range s.Pods {
		pod := &s.Pods[i]
		if !slices.ContainsFunc(t.names, func(name string) bool { return s.Belongs(pod, name) }) {
			continue
		}
		for _, c := range rollout.Statuses(pod) {
			from := source{pod: pod.Name, container: c.Name, node: pod.Spec.NodeName, uid: string(pod.UID), instance: c.ContainerID, running: c.State.Running != nil}
			if last := c.LastTerminationState.Terminated; last != nil {
				before := from
				before.previous, before.running, before.instance = true, false, last.ContainerID
				sources = append(sources, before)
			}
			if c.State.Running != nil || c.State.Terminated != nil {
				sources = append(sources, from)
			}
		}
	}
	return sources, nil
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
func scan(stream io.Reader, s source, after time.Time, each func(logs.Line) error) error {
	reader := bufio.NewReaderSize(stream, 1<<16)
	var last time.Time
	for {
		text, err := reader.ReadString('\n')
		if text != "" {
			line := logs.Line{Pod: s.pod, Container: s.container, Node: s.node}
			text = strings.TrimSuffix(text, "\n")
			stamp, rest, _ := strings.Cut(text, " ")
			if at, bad := time.Parse(time.RFC3339Nano, stamp); bad == nil {
				line.Time, text = at, rest
			} else {
				// What has no time belongs to the line before.
				line.Time = last
			}
			last = line.Time
			if line.Time.After(after) {
				line.Level, line.Message, line.Fields = logs.Parse(text)
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

// gone reports whether a container's log is not there any more, or not yet.
func gone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) }
