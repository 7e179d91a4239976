package kube

import (
	"fmt"
	"net/http"
	"strconv"

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
