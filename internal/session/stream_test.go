package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"berth/internal/progress"
)

// kubelet serves the streams of pods with the code that a container runtime
// does it with. Its containers are this machine: a pod's first process is the
// holding program, and what is executed in a pod ends with it.
type kubelet struct {
	mu   sync.Mutex
	pods map[string]context.Context
	// ports are where a pod's ports are, by pod.
	ports map[string]string
}

// withKubelet lets pods run as soon as there is a Job for them.
func withKubelet(t *testing.T, objects ...runtime.Object) (*Client, *kubelet) {
	t.Helper()
	k := &kubelet{pods: map[string]context.Context{}, ports: map[string]string{}}
	server := httptest.NewServer(k)
	t.Cleanup(server.CloseClientConnections)
	c := shop(append(objects, nodes()...)...)
	c.rest = &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(c.rest)
	if err != nil {
		t.Fatal(err)
	}
	c.core = client.CoreV1().RESTClient()
	clientset := c.kube.(*fake.Clientset)
	clientset.PrependReactor("create", "jobs", func(action k8stesting.Action) (bool, runtime.Object, error) {
		job := action.(k8stesting.CreateAction).GetObject().(*batch.Job)
		running := pod(job.Name+"-x", component, 0, true)
		running.Spec = *job.Spec.Template.Spec.DeepCopy()
		running.Labels[batch.JobNameLabel] = job.Name
		running.Status.ContainerStatuses = []core.ContainerStatus{{Name: "web", State: core.ContainerState{Running: &core.ContainerStateRunning{}}}}
		return false, nil, clientset.Tracker().Create(core.SchemeGroupVersion.WithResource("pods"), running, "staging")
	})
	return c, k
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no WebSockets here", http.StatusBadRequest)
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	pod, verb, query := parts[len(parts)-2], parts[len(parts)-1], r.URL.Query()
	options := &remotecommand.Options{
		Stdin: query.Get("stdin") == "true", Stdout: query.Get("stdout") == "true",
		Stderr: query.Get("stderr") == "true", TTY: query.Get("tty") == "true",
	}
	protocols := []string{"v4.channel.k8s.io"}
	switch verb {
	case "exec":
		remotecommand.ServeExec(w, r, k, pod, "", query.Get("container"), query["command"], options, time.Hour, time.Minute, protocols)
	case "attach":
		remotecommand.ServeAttach(w, r, k, pod, "", query.Get("container"), options, time.Hour, time.Minute, protocols)
	case "portforward":
		portforward.ServePortForward(w, r, k, pod, "", nil, time.Hour, time.Minute, portforward.SupportedProtocols)
	}
}

// of is the life of a pod.
func (k *kubelet) of(pod string, life context.Context) context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	if life != nil {
		k.pods[pod] = life
	}
	return k.pods[pod]
}

func (k *kubelet) AttachContainer(_ context.Context, pod, _, _ string, in io.Reader, _, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	life, end := context.WithCancel(context.Background())
	defer end()
	k.of(pod, life)
	_, err := io.Copy(io.Discard, in)
	return err
}

func (k *kubelet) ExecInContainer(_ context.Context, pod, _, _ string, args []string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	life := k.of(pod, nil)
	for deadline := time.Now().Add(10 * time.Second); life == nil && time.Now().Before(deadline); life = k.of(pod, nil) {
		time.Sleep(10 * time.Millisecond) // the attachment is on its way
	}
	if life == nil {
		return errors.New("the container has not been attached to")
	}
	command := exec.CommandContext(life, args[0], args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = in, out, errs
	command.WaitDelay = time.Second
	err := command.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		status := ended.ExitCode()
		if status < 0 {
			status = 137
		}
		return utilexec.CodeExitError{Err: err, Code: status}
	}
	return err
}

func (k *kubelet) PortForward(_ context.Context, pod, _ string, port int32, stream io.ReadWriteCloser) error {
	k.mu.Lock()
	address := k.ports[fmt.Sprintf("%s:%d", pod, port)]
	k.mu.Unlock()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, stream)
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}

// left are the Jobs that are still there.
func (c *Client) left(t *testing.T) int {
	t.Helper()
	jobs, err := c.kube.BatchV1().Jobs("staging").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(jobs.Items)
}

func TestRunPassesStreamsAndStatusOn(t *testing.T) {
	much := make([]byte, 10<<20)
	_, _ = rand.Read(much) // never fails
	for _, test := range []struct {
		name   string
		args   []string
		in     []byte
		out    []byte
		errs   string
		status int
	}{
		{"streams apart", []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, nil, []byte("out\n"), "err\n", 3},
		{"end of input", []string{"wc", "-c"}, []byte("abc"), []byte("3\n"), "", 0},
		{"10 MB both ways", []string{"cat"}, much, much, "", 0},
		{"signal", []string{"sh", "-c", "kill -9 $$"}, nil, nil, "", 137},
		{"no such program", []string{"/no/such/program"}, nil, nil, "", 127},
		{"a shell", nil, []byte("echo $((6 * 7))\nexit 5\n"), []byte("42\n"), "", 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := withKubelet(t, deployment("shop", "web"), claim(core.ReadWriteOnce))
			var out, errs bytes.Buffer
			err := c.Run(t.Context(), Command{Args: test.args, Limit: time.Hour}, Streams{In: bytes.NewReader(test.in), Out: &out, Err: &errs}, progress.Discard)
			status, exit := 0, new(Exit)
			if errors.As(err, &exit) {
				status = exit.Status
			} else if err != nil {
				t.Fatal(err)
			}
			if status != test.status || !bytes.Equal(out.Bytes(), test.out) || errs.String() != test.errs {
				t.Errorf("status %d, %d bytes, %q (%v)", status, out.Len(), errs.String(), err)
			}
			if n := c.left(t); n > 0 {
				t.Errorf("%d jobs are left", n)
			}
		})
	}
}

// Whatever ends the session ends the program in the pod, which does not look.
func TestAnInterruptedSessionEndsThePod(t *testing.T) {
	c, k := withKubelet(t, deployment("shop", "web"), claim(core.ReadWriteOnce))
	ctx, interrupt := context.WithCancel(t.Context())
	out, began := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, Command{Args: []string{"sh", "-c", "echo begun; exec sleep 1000"}, Limit: time.Hour},
			Streams{In: strings.NewReader(""), Out: began, Err: io.Discard}, progress.Discard)
	}()
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if err := <-ended; err == nil {
		t.Error("it ended as if nothing had happened")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, life := range k.pods {
		<-life.Done()
	}
	if len(k.pods) != 1 || c.left(t) > 0 {
		t.Errorf("%d pods, %d jobs left", len(k.pods), c.left(t))
	}
}

// Connections go to a pod that is ready, and to another when that has gone.
func TestForwardOutlivesAPod(t *testing.T) {
	first, second := pod("shop-1", "web", 1, true), pod("shop-2", "web", 2, true)
	c, k := withKubelet(t, deployment("shop", "web"), first, second)
	for _, name := range []string{"shop-1", "shop-2"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
		t.Cleanup(server.Close)
		k.ports[name+":8000"] = server.Listener.Addr().String()
	}
	ctx, interrupt := context.WithCancel(t.Context())
	addresses, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- c.Forward(ctx, Forward{Remote: 8000}, progress.Discard, func(address, _ string) { addresses <- address })
	}()
	var address string
	select {
	case address = <-addresses:
	case err := <-ended:
		t.Fatal(err)
	}
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("it listens on %s", address)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(want string) {
		t.Helper()
		response, err := client.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); string(body) != want {
			t.Errorf("%s answers, want %s", body, want)
		}
	}
	ask("shop-1")
	ask("shop-1")
	if err := c.kube.CoreV1().Pods("staging").Delete(ctx, "shop-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ask("shop-2")
	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
