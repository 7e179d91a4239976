package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/ingress"
	"berth/internal/ingress/nginx"
	"berth/internal/ingress/nginxtest"
)

// throughIngress leads through NGINX as the ingress controller configures it,
// from an Ingress such as the chart makes.
func throughIngress(ctx context.Context, folder, server string) (string, func() error, error) {
	fail := func(err error) (string, func() error, error) { return "", nil, err }
	backend, err := netip.ParseAddrPort(server)
	if err != nil {
		return fail(err)
	}
	dir, err := nginxFolder(folder)
	if err != nil {
		return fail(err)
	}
	settings, err := nginxtest.Settings(dir)
	if err != nil {
		return fail(err)
	}
	settings.AccessLog = filepath.Join(dir, "access.log") // as it is in the cluster, and by hand
	model, problems := ingress.Build(objects(backend), settings)
	if len(problems) > 0 {
		return fail(fmt.Errorf("configure NGINX: %s", problems[0].Message))
	}
	model.Generation = 1
	binary, err := nginxtest.Binary()
	if err != nil {
		return fail(err)
	}
	proxy := &nginx.Server{Binary: binary, Settings: settings, Log: slog.New(slog.DiscardHandler)}
	if err := proxy.Prepare(); err != nil {
		return fail(err)
	}
	if err := proxy.Apply(ctx, model); err != nil {
		return fail(err)
	}
	return "http://" + settings.HTTP[0].String(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(proxy.Stop(ctx), os.RemoveAll(dir))
	}, nil
}

// objects are an application's Ingress for any host, its Service and its one
// ready endpoint.
func objects(backend netip.AddrPort) ingress.Objects {
	named := metav1.ObjectMeta{Namespace: "production", Name: "realworld"}
	class, prefix, portName, port := "nginx", networkingv1.PathTypePrefix, "http", int32(backend.Port())
	slice := metav1.ObjectMeta{Namespace: "production", Name: "realworld-1", Labels: map[string]string{discoveryv1.LabelServiceName: "realworld"}}
	ready := true
	return ingress.Objects{
		Ingresses: []*networkingv1.Ingress{{ObjectMeta: named, Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{
				HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "realworld", Port: networkingv1.ServiceBackendPort{Name: portName},
					}},
				}}},
			}}},
		}}},
		Services: []*corev1.Service{{ObjectMeta: named, Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Name: portName, Port: 80}},
		}}},
		EndpointSlices: []*discoveryv1.EndpointSlice{{
			ObjectMeta: slice, AddressType: discoveryv1.AddressTypeIPv4,
			Ports: []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{
				Addresses: []string{backend.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			}},
		}},
	}
}

// handWritten is the configuration that somebody who knows NGINX well would
// write for this one server.
const handWritten = `daemon off;
pid %[1]s/nginx.pid;
error_log stderr warn;
worker_processes auto;
events { worker_connections 8192; }
http {
%[4]s
    keepalive_requests 10000;
    upstream app { server %[2]s; keepalive 256; keepalive_requests 10000; }
    server {
        listen %[3]s backlog=4096;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
%[5]s
        }
    }
}
`

// The two that are compared with the ingress: one that logs as NGINX does by
// itself, and one that logs what the ingress does, in JSON with a request's ID
// that the server is told, too.
func throughHandWritten(ctx context.Context, folder, server string) (string, func() error, error) {
	return throughNGINX(ctx, folder, server, `    access_log %s/access.log combined buffer=4k flush=1s;`, "")
}

func throughHandWrittenJSON(ctx context.Context, folder, server string) (string, func() error, error) {
	return throughNGINX(ctx, folder, server, `    log_format json escape=json '{"time":"$time_iso8601","level":"INFO","msg":"request","request_id":"$id",'
        '"client":"$remote_addr","method":"$request_method","host":"$host","path":"$uri","protocol":"$server_protocol","status":$status,'
        '"bytes":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status",'
        '"upstream_duration":"$upstream_response_time","user_agent":"$http_user_agent"}';
    access_log %s/access.log json buffer=4k flush=1s;
    map $http_x_request_id $id { default $http_x_request_id; "" $request_id; }`, "            proxy_set_header X-Request-ID $id;")
}

func throughNGINX(ctx context.Context, folder, server, logging, more string) (string, func() error, error) {
	fail := func(err error) (string, func() error, error) { return "", nil, err }
	dir, err := nginxFolder(folder)
	if err != nil {
		return fail(err)
	}
	settings, err := nginxtest.Settings(dir)
	if err != nil {
		return fail(err)
	}
	address := settings.HTTP[0].String()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, handWritten, dir, server, address, fmt.Sprintf(logging, dir), more), 0o644); err != nil {
		return fail(err)
	}
	binary, err := nginxtest.Binary()
	if err != nil {
		return fail(err)
	}
	proxy := exec.CommandContext(ctx, binary, "-p", dir, "-c", file)
	proxy.Stderr = os.Stderr
	if err := proxy.Start(); err != nil {
		return fail(err)
	}
	stop := func() error {
		return errors.Join(proxy.Process.Signal(syscall.SIGTERM), proxy.Wait(), os.RemoveAll(dir))
	}
	base := "http://" + address
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get(base + "/healthz"); err == nil {
			return base, stop, response.Body.Close()
		}
	}
	return fail(errors.Join(errors.New("NGINX does not answer"), stop()))
}

// nginxFolder makes a folder that NGINX's workers, who are not root, can reach.
func nginxFolder(folder string) (string, error) {
	if err := os.Chmod(folder, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(folder, "nginx")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
