package ingress

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// parsed is an Ingress that has been checked from end to end.
type parsed struct {
	object      *networkingv1.Ingress
	annotations annotations
	invalid     error // what is wrong with an annotation
	closed      bool
	rules       []parsedRule
	backend     *networkingv1.IngressServiceBackend
}

type parsedRule struct {
	host   string
	routes []route
}

func parse(ing *networkingv1.Ingress) (*parsed, error) {
	p := &parsed{object: ing}
	if problems := validation.IsDNS1123Label(ing.Namespace); len(problems) > 0 {
		return nil, fmt.Errorf("namespace %q: %s", ing.Namespace, problems[0])
	}
	p.annotations, p.invalid = parseAnnotations(ing)
	if ing.Spec.DefaultBackend != nil {
		backend, err := parseBackend(*ing.Spec.DefaultBackend)
		if err != nil {
			return nil, fmt.Errorf("default backend: %w", err)
		}
		p.backend = &backend
	}
	for _, rule := range ing.Spec.Rules {
		if err := checkHost(rule.Host); err != nil {
			return nil, err
		}
		parsedRule := parsedRule{host: rule.Host}
		if rule.HTTP != nil {
			for _, path := range rule.HTTP.Paths {
				r, err := parseRoute(path, p.annotations.pathRegex)
				if err != nil {
					return nil, err
				}
				parsedRule.routes = append(parsedRule.routes, r)
			}
		}
		p.rules = append(p.rules, parsedRule)
	}
	return p, checkTLS(ing)
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
