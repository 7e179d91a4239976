package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/streaming/pkg/httpstream"

	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
	"berth/internal/rollout"
)

// Forward is a port of a pod on this machine.
type Forward struct {
	// Process, Database and Service say whose pod: of a process ("" is web), of
	// PostgreSQL, or of the service of that name. At most one is given.
	Process  string
	Database bool
	Service  string
	// Local is the port on 127.0.0.1, 0 for any; Remote is the pod's.
	Local, Remote int
}

const (
	// patience is how long a connection waits for a pod that serves; after
	// settling one that runs will do, as it may be the one to be looked into.
	patience = 30 * time.Second
	settling = 10 * time.Second
)

// Forward listens on 127.0.0.1 and carries every connection to a pod until ctx
// ends. When the pod goes, connections that come later are carried to another.
// It calls listening with the address once it does.
func (c *Client) Forward(ctx context.Context, f Forward, r progress.Reporter, listening func(address, pod string)) error {
	selector, err := c.forwardTo(ctx, f)
	if err != nil {
		return err
	}
	w := &forwarder{client: c, selector: selector, remote: f.Remote, note: r.Note}
	// The first pod is looked for before anybody connects: a mistake shows now.
	pods, err := c.pods(ctx, selector)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fault.WithHint(fmt.Errorf("no pod runs in %s to forward to", c.environment), "berth status says why")
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.Local)))
	if err != nil {
		return fault.WithHint(fmt.Errorf("listen: %w", err), "name another port of this machine: %d:%d", f.Remote+10000, f.Remote)
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	defer listener.Close()
	listening(listener.Addr().String(), pods[0].Name)
	var open sync.WaitGroup
	defer open.Wait()
	defer w.close()
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		open.Go(func() { w.serve(ctx, connection) })
	}
}

// forwardTo returns the selector of the pods that are meant.
func (c *Client) forwardTo(ctx context.Context, f Forward) (string, error) {
	switch {
	case f.Database:
		database, err := c.database(ctx)
		if errors.Is(err, errNoDatabase) {
			return "", fmt.Errorf("%s has no PostgreSQL that berth runs", c.environment)
		}
		if err != nil {
			return "", err
		}
		return metav1.FormatLabelSelector(database.Spec.Selector), nil
	case f.Service != "":
		name := c.app + "-" + f.Service
		service, err := c.kube.CoreV1().Services(c.environment).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && len(service.Spec.Selector) == 0 {
			return "", fault.Usage("%s has no service %q", c.environment, f.Service)
		}
		if err != nil {
			return "", fmt.Errorf("look for the service %s: %w", f.Service, err)
		}
		return labels.SelectorFromSet(service.Spec.Selector).String(), nil
	}
	p, err := c.process(ctx, f.Process)
	if err != nil {
		return "", err
	}
	if p.selector == nil {
		return "", fault.Usage("the process %s runs on a schedule and has no port", p.name)
	}
	return metav1.FormatLabelSelector(p.selector), nil
}

// forwarder carries connections to whichever pod is the best at the time.
type forwarder struct {
	client   *Client
	selector string
	remote   int
	note     func(string)

	mu      sync.Mutex
	present *link
	said    string // the last note
}

// link is a connection to one pod that carries many.
type link struct {
	pod     string
	streams httpstream.Connection
	number  int
}

func (l *link) closed() bool {
	select {
	case <-l.streams.CloseChan():
		return true
	default:
		return false
	}
}

// serve carries one connection of this machine.
func (w *forwarder) serve(ctx context.Context, local net.Conn) {
	defer local.Close()
	defer context.AfterFunc(ctx, func() { local.Close() })()
	began := time.Now()
	for {
		err := w.try(ctx, local, time.Since(began) > settling)
		if err == nil || ctx.Err() != nil {
			return
		}
		if time.Since(began) > patience {
			w.say(err.Error())
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// say notes something, once in a row.
func (w *forwarder) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text != w.said {
		w.said = text
		w.note(text)
	}
}

// try carries a connection, or returns an error when nothing of it has got to
// a pod.
func (w *forwarder) try(ctx context.Context, local net.Conn, any bool) error {
	l, data, problem, err := w.open(ctx, any)
	if err != nil {
		return err
	}
	defer l.streams.RemoveStreams(data, problem)
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(problem)
		said <- string(text)
	}()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(local, data) // an end is an end
		if half, ok := local.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	there := make(chan struct{})
	go func() {
		defer close(there)
		_, _ = io.Copy(data, local)
		data.Close()
	}()
	select {
	case <-back:
	case <-l.streams.CloseChan():
	}
	local.Close()
	_ = data.Reset()
	<-there
	select {
	case text := <-said:
		if text != "" {
			w.say(fmt.Sprintf("pod %s, port %d: %s", l.pod, w.remote, text))
		}
	case <-time.After(time.Second):
	}
	return nil
}

// open opens the streams for one connection to the present pod, or to another
// one when that has gone or is going.
func (w *forwarder) open(ctx context.Context, any bool) (*link, httpstream.Stream, httpstream.Stream, error) {
	pods, err := w.client.pods(ctx, w.selector)
	if err != nil {
		return nil, nil, nil, err
	}
	var pod *core.Pod
	for i := range pods {
		if !rollout.Ready(&pods[i]) && !any {
			continue
		}
		if pod == nil || w.uses(pods[i].Name) {
			pod = &pods[i]
		}
	}
	if pod == nil {
		return nil, nil, nil, errors.New("no pod is ready")
	}
	l, err := w.reach(pod.Name)
	if err != nil {
		return nil, nil, nil, err
	}
	w.mu.Lock()
	l.number++
	number := l.number
	w.mu.Unlock()
	data, problem, err := kube.PodPort(l.streams, w.remote, number)
	if err != nil {
		l.streams.Close()
		return nil, nil, nil, fmt.Errorf("pod %s: %w", l.pod, err)
	}
	return l, data, problem, nil
}

func (w *forwarder) uses(pod string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.present != nil && w.present.pod == pod && !w.present.closed()
}

// reach returns the link to a pod. What the one before still carries goes on
// until its pod ends.
func (w *forwarder) reach(pod string) (*link, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.present != nil && w.present.pod == pod && !w.present.closed() {
		return w.present, nil
	}
	streams, err := kube.PodPorts(w.client.core, w.client.rest, w.client.environment, pod)
	if err != nil {
		return nil, err
	}
	if w.present != nil {
		w.note("connections go to pod " + pod + " now")
	}
	w.present = &link{pod: pod, streams: streams}
	return w.present, nil
}

func (w *forwarder) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.present != nil {
		w.present.streams.Close()
	}
}
