package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// PodPorts connects to a pod through the API server, as kubectl port-forward does:
// over a WebSocket, or SPDY where there is none. It reaches what listens on the
// pod's own loopback too. Client is the clientset's for the core API, and reach
// what it was made of.
func PodPorts(client rest.Interface, reach *rest.Config, namespace, pod string) (httpstream.Connection, error) {
	url := client.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	usual, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, reach)
	if err != nil {
		return nil, fmt.Errorf("reach pod %s: %w", pod, err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(reach)
	if err != nil {
		return nil, fmt.Errorf("reach pod %s: %w", pod, err)
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, "POST", url)
	dialer := portforward.NewFallbackDialerForStreaming(usual, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	streams, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("reach pod %s: %w", pod, err)
	}
	return streams, nil
}

// PodPort opens one of the pod's ports. Number is new to the connection. What goes
// wrong at the pod's end is read from problem.
func PodPort(streams httpstream.Connection, port, number int) (data, problem httpstream.Stream, err error) {
	header := http.Header{}
	header.Set(core.PortHeader, strconv.Itoa(port))
	header.Set(core.PortForwardRequestIDHeader, strconv.Itoa(number))
	header.Set(core.StreamType, core.StreamTypeError)
	if problem, err = streams.CreateStream(header); err != nil {
		return nil, nil, err
	}
	problem.Close() // only the pod's side writes to it
	header.Set(core.StreamType, core.StreamTypeData)
	if data, err = streams.CreateStream(header); err != nil {
		return nil, nil, err
	}
	return data, problem, nil
}

// PodAddress is a port of a pod, which may be one of its loopback.
type PodAddress struct {
	Namespace, Pod string
	Port           int
}

// StatusError is an answer of a pod over HTTP that is not 200.
type StatusError struct {
	Code int
	Body []byte
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Code, http.StatusText(e.Code), strings.TrimSpace(string(e.Body)))
}

// PodGet asks a pod for a path over HTTP, through the API server, as [PodPorts] goes
// there. What is not 200 is a [*StatusError].
func PodGet(ctx context.Context, client rest.Interface, reach *rest.Config, at PodAddress, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.Pod+path, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	streams, err := dialPod(ctx, client, reach, at)
	if err != nil {
		return nil, err
	}
	defer streams.Close()
	defer context.AfterFunc(ctx, func() { streams.Close() })()
	data, problem, err := PodPort(streams, at.Port, 0)
	if err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	go func() {
		if text, err := io.ReadAll(problem); err == nil && len(text) > 0 {
			said <- errors.New(string(text))
		}
		close(said)
	}()
	if err := request.Write(data); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(data), request)
	if err != nil {
		select {
		case problem := <-said:
			err = errors.Join(err, problem)
		case <-ctx.Done():
			err = ctx.Err()
		}
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = &StatusError{response.StatusCode, body}
	}
	return body, err
}

// dialPod connects to a pod, and gives up when ctx ends, which [PodPorts] cannot.
func dialPod(ctx context.Context, client rest.Interface, reach *rest.Config, at PodAddress) (httpstream.Connection, error) {
	type dialed struct {
		streams httpstream.Connection
		err     error
	}
	done := make(chan dialed, 1)
	go func() {
		streams, err := PodPorts(client, reach, at.Namespace, at.Pod)
		done <- dialed{streams, err}
	}()
	select {
	case d := <-done:
		return d.streams, d.err
	case <-ctx.Done():
		go func() {
			if late := <-done; late.err == nil {
				late.streams.Close()
			}
		}()
		return nil, ctx.Err()
	}
}
