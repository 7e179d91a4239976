package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"berth/internal/fault"
)

// execute runs a command in a container of a pod and returns when it has ended:
// nil, [*Exit], or what went wrong on the way.
func (c *Client) execute(ctx context.Context, pod, container string, command []string, s Streams) error {
	on := terminalOf(s)
	executor, err := c.executor(pod, "exec", &core.PodExecOptions{
		Container: container, Command: command,
		Stdin: s.In != nil, Stdout: true, Stderr: on == nil, TTY: on != nil,
	})
	if err != nil {
		return fmt.Errorf("reach pod %s: %w", pod, err)
	}
	options := remotecommand.StreamOptions{Stdin: s.In, Stdout: s.Out, Stderr: s.Err}
	if on != nil {
		queue, stop := on.sizes()
		defer stop()
		restore, err := on.raw()
		if err != nil {
			return err
		}
		defer restore()
		options.Tty, options.Stderr, options.TerminalSizeQueue = true, nil, queue
	}
	return outcome(executor.StreamWithContext(ctx, options), pod, command[0])
}

// executor opens a stream to a pod as kubectl does: a WebSocket, or SPDY where
// something on the way does not know those.
func (c *Client) executor(pod, subresource string, options runtime.Object) (remotecommand.Executor, error) {
	url := c.core.Post().Resource("pods").Namespace(c.environment).Name(pod).
		SubResource(subresource).VersionedParams(options, scheme.ParameterCodec).URL()
	usual, err := remotecommand.NewWebSocketExecutor(c.rest, "GET", url.String())
	if err != nil {
		return nil, err
	}
	old, err := remotecommand.NewSPDYExecutor(c.rest, "POST", url)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(usual, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// attach connects to a container's first process until that ends.
func (c *Client) attach(ctx context.Context, pod, container string, in io.Reader) error {
	executor, err := c.executor(pod, "attach", &core.PodAttachOptions{Container: container, Stdin: true, Stdout: true})
	if err != nil {
		return fmt.Errorf("reach pod %s: %w", pod, err)
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: io.Discard})
}

// outcome tells how a command ended from what the stream to it says.
func outcome(err error, pod, program string) error {
	var ended utilexec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ended) && ended.Exited():
		return &Exit{Status: ended.ExitStatus()}
	case noProgram.MatchString(err.Error()):
		return &Exit{Status: 127, Why: fmt.Errorf("the image has no program %q", program)}
	case noPermission.MatchString(err.Error()):
		return &Exit{Status: 126, Why: fmt.Errorf("%q cannot be executed in this image", program)}
	}
	return fault.WithHint(fmt.Errorf("the connection to pod %s was lost: %w", pod, err), "the program in it has been ended or ends now")
}

// How container runtimes say that a program cannot be started; there is no code
// for it in the protocol.
var (
	noProgram    = regexp.MustCompile(`executable file not found|no such file or directory`)
	noPermission = regexp.MustCompile(`permission denied|exec format error|is a directory`)
)
