package release

import (
	"bufio"
	"context"
	"errors"
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
