package ingress

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// parsed is an Ingress that has been checked from end to end. Where something is
// invalid it has only what is not.
type parsed struct {
	object      *networkingv1.Ingress
	annotations annotations
	invalid     error // what is wrong with it
	closed      bool  // its paths answer 503
	rules       []parsedRule
	backend     *networkingv1.IngressServiceBackend
	tls         []networkingv1.IngressTLS
}

type parsedRule struct {
	host   string
	routes []route
}

// parse reads an Ingress. What is wrong with a part of it does not hide the rest:
// the paths that can be read are still there to be closed.
func parse(ing *networkingv1.Ingress) (*parsed, error) {
	p := &parsed{object: ing}
	if problems := validation.IsDNS1123Label(ing.Namespace); len(problems) > 0 {
		return nil, fmt.Errorf("namespace %q: %s", ing.Namespace, problems[0])
	}
	p.annotations, p.invalid = parseAnnotations(ing)
	if ing.Spec.DefaultBackend != nil {
		backend, err := parseBackend(*ing.Spec.DefaultBackend)
		if err != nil {
			p.refuse(fmt.Errorf("default backend: %w", err))
		}
		p.backend = &backend
	}
	for _, rule := range ing.Spec.Rules {
		p.addRule(rule)
	}
	if err := checkTLS(ing); err != nil {
		p.refuse(err)
	} else {
		p.tls = ing.Spec.TLS
	}
	return p, nil
}

// refuse keeps the first error.
func (p *parsed) refuse(err error) {
	if p.invalid == nil {
		p.invalid = err
	}
}

func (p *parsed) addRule(rule networkingv1.IngressRule) {
	if err := checkHost(rule.Host); err != nil {
		p.refuse(err)
		return
	}
	out := parsedRule{host: rule.Host}
	if rule.HTTP != nil {
		for _, path := range rule.HTTP.Paths {
			r, err := parseRoute(path, &p.annotations)
			if err != nil {
				p.refuse(err)
				continue
			}
			if r.backend, err = parseBackend(path.Backend); err != nil {
				p.refuse(err)
			}
			out.routes = append(out.routes, r)
		}
	}
	p.rules = append(p.rules, out)
}

func checkTLS(ing *networkingv1.Ingress) error {
	for _, entry := range ing.Spec.TLS {
		for _, host := range entry.Hosts {
			if err := checkHost(host); err != nil {
				return fmt.Errorf("tls: %w", err)
			}
		}
		if entry.SecretName != "" {
			if err := checkSecretName(entry.SecretName); err != nil {
				return fmt.Errorf("tls: %w", err)
			}
		}
	}
	return nil
}

// tlsOf returns what says where the certificate of a host is, or nil. The name
// itself goes before a wildcard.
func (p *parsed) tlsOf(host string) *networkingv1.IngressTLS {
	at := slices.IndexFunc(p.tls, func(t networkingv1.IngressTLS) bool { return slices.Contains(t.Hosts, host) })
	if at < 0 {
		at = slices.IndexFunc(p.tls, func(t networkingv1.IngressTLS) bool {
			return len(t.Hosts) == 0 || slices.ContainsFunc(t.Hosts, func(name string) bool { return coversHost(name, host) })
		})
	}
	if at < 0 {
		return nil
	}
	return &p.tls[at]
}

func (p *parsed) tlsHosts() (all []string) {
	for _, t := range p.tls {
		all = append(all, t.Hosts...)
	}
	return all
}
