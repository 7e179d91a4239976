package watch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// When a certificate ends is asked of those who may know, and never of its Secret:
// RBAC cannot part a certificate from its key, so that the right to read the one
// would be the right to read the other, and with it every Secret of the cluster.
// cert-manager says it of its Certificates, berth's own ingress controller in a
// ConfigMap, and any other shows the certificate to everybody who connects.

// published is the ConfigMap of berth's ingress controller.
const published, publishedIn = "certificates", "ingress"

// handshakeTime bounds how long an ingress may take to show its certificate, and
// mostHosts how many hosts are asked for.
const (
	handshakeTime = 5 * time.Second
	mostHosts     = 50
)

func (l *looks) lookAtCertificates(ctx context.Context, w *World) {
	found, err := l.ofCertManager(ctx)
	l.sees("certificates of cert-manager", err)
	own, err := l.ofIngress(ctx)
	l.sees("certificates of the ingress", err)
	found = append(found, own...)
	known := map[string]bool{}
	for _, c := range found {
		known[c.Namespace+"/"+c.Name] = true
	}
	ingresses, err := l.client.ingresses(ctx)
	l.sees("the Ingresses", err)
	if err == nil {
		found = append(found, shown(ctx, ingresses, known, l.options.Namespaces)...)
	}
	if ctx.Err() != nil {
		return
	}
	found = slices.DeleteFunc(found, func(c Certificate) bool { return !slices.Contains(l.options.Namespaces, c.Namespace) })
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.certificates = found
}

// ofCertManager returns cert-manager's certificates, by the names of their Secrets.
func (l *looks) ofCertManager(ctx context.Context) ([]Certificate, error) {
	answer, err := l.client.core.Get().AbsPath("/apis/cert-manager.io/v1/certificates").SetHeader("Accept", "application/json").DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil // it is not there
	}
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta
			Spec     struct {
				SecretName string
				DNSNames   []string
			}
			Status struct {
				NotAfter   *metav1.Time
				Conditions []struct{ Type, Status, Message string }
			}
		}
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read them: %w", err)
	}
	var found []Certificate
	for _, item := range list.Items {
		c := Certificate{Namespace: item.Metadata.Namespace, Name: item.Spec.SecretName, Hosts: item.Spec.DNSNames}
		if item.Status.NotAfter == nil {
			continue // not issued yet, which the deploy waits for
		}
		c.Ends = item.Status.NotAfter.Time
		for _, condition := range item.Status.Conditions {
			if condition.Type == "Ready" && condition.Status != "True" {
				c.Problem = condition.Message
			}
		}
		found = append(found, c)
	}
	return found, nil
}

// ofIngress returns the certificates that berth's own ingress controller serves.
func (l *looks) ofIngress(ctx context.Context) ([]Certificate, error) {
	list, err := l.client.configMap(ctx, publishedIn, published)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil, nil // another controller serves here
	}
	if err != nil {
		return nil, err
	}
	var found []Certificate
	for name, text := range list.Data {
		namespace, secret, _ := strings.Cut(name, "_")
		c := Certificate{Namespace: namespace, Name: secret}
		var entry struct {
			Ends  time.Time
			Hosts []string
		}
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		c.Ends, c.Hosts = entry.Ends, entry.Hosts
		found = append(found, c)
	}
	return found, nil
}

// shown returns the certificates that Ingresses show, but for those that are known.
func shown(ctx context.Context, ingresses []networking.Ingress, known map[string]bool, namespaces []string) []Certificate {
	var found []Certificate
	asked := 0
	for _, ingress := range ingresses {
		if !slices.Contains(namespaces, ingress.Namespace) {
			continue
		}
		address := ""
		for _, in := range ingress.Status.LoadBalancer.Ingress {
			if ip := net.ParseIP(in.IP); address == "" && (ip != nil && !ip.IsLoopback() || in.Hostname != "" && in.Hostname != "localhost") {
				address = max(in.IP, in.Hostname)
			}
		}
		for _, t := range ingress.Spec.TLS {
			if address == "" || t.SecretName == "" || len(t.Hosts) == 0 || known[ingress.Namespace+"/"+t.SecretName] || asked >= mostHosts {
				continue
			}
			known[ingress.Namespace+"/"+t.SecretName] = true
			asked++
			ends, err := handshake(ctx, net.JoinHostPort(address, "443"), strings.Replace(t.Hosts[0], "*", "berth", 1))
			if err != nil {
				continue // a way in that is not open from here is no problem of its certificate
			}
			found = append(found, Certificate{Namespace: ingress.Namespace, Name: t.SecretName, Hosts: t.Hosts, Ends: ends})
		}
	}
	return found
}

// handshake returns when the certificate ends that is shown for a host.
func handshake(ctx context.Context, address, host string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: host,
		// Nothing is sent, and the date of one that nobody trusts is told too.
		InsecureSkipVerify: true,
	}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return time.Time{}, err
	}
	defer connection.Close()
	secure, ok := connection.(*tls.Conn)
	if !ok || len(secure.ConnectionState().PeerCertificates) == 0 {
		return time.Time{}, fmt.Errorf("%s shows no certificate", address)
	}
	return secure.ConnectionState().PeerCertificates[0].NotAfter, nil
}
