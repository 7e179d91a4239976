package existing

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorization "k8s.io/api/authorization/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"

	"berth/internal/config"
	"berth/internal/fault"
)

// permission is something that berth does in a cluster.
type permission struct{ group, resource, verbs string }

// managed are the verbs for what charts hold: Helm applies it, waits for it and
// removes it.
const managed = "get list watch create patch delete"

// basic is what every application needs.
var basic = []permission{
	{"", "namespaces", "get create patch delete"},
	{"", "nodes", "get list"},
	{"", "secrets", "get list create update patch delete deletecollection"}, // Helm's history among them
	{"", "configmaps", managed},
	{"", "services", managed},
	{"", "serviceaccounts", managed},
	{"", "persistentvolumeclaims", managed + " deletecollection"},
	{"", "pods", "get list watch create delete"}, // berth run makes one
	{"", "pods/log", "get"},
	{"", "pods/attach", "get create"}, // by WebSocket, or by SPDY to older clusters
	{"", "pods/exec", "get create"},
	{"", "pods/portforward", "get create"},
	{"", "events", "list watch"},
	{"apps", "daemonsets", "list"}, // whether there is a log agent
	{"apps", "deployments", managed},
	{"apps", "replicasets", "get list watch"},
	{"apps", "statefulsets", managed},
	{"autoscaling", "horizontalpodautoscalers", managed},
	{"batch", "cronjobs", managed},
	{"batch", "jobs", managed},
	{"coordination.k8s.io", "leases", "get create update delete"},
	{"discovery.k8s.io", "endpointslices", "list"},
	{"metrics.k8s.io", "nodes", "list"},
	{"metrics.k8s.io", "pods", "list"},
	{"networking.k8s.io", "ingressclasses", "get list"},
	{"networking.k8s.io", "ingresses", managed},
	{"networking.k8s.io", "networkpolicies", managed},
	{"policy", "poddisruptionbudgets", managed},
	{"storage.k8s.io", "storageclasses", "get list"},
}

// forLogs is what the log agent needs: it is one for all nodes, and its own right
// is to read pods. berth status asks the agents through the API server.
var forLogs = []permission{
	{"", "pods/proxy", "get"},
	{"apps", "daemonsets", managed},
	{"rbac.authorization.k8s.io", "clusterroles", managed},
	{"rbac.authorization.k8s.io", "clusterrolebindings", managed},
}

// forAlerts is what the watch needs besides: who lets it look must be allowed to.
// berth alerts asks it through the API server.
var forAlerts = []permission{
	{"", "configmaps", "update"},
	{"", "nodes", "watch"},
	{"", "nodes/stats", "get"},
	{"", "pods/proxy", "get create"},
	{"apps", "daemonsets", "list watch"},
	{"cert-manager.io", "certificates", "list"},
	{"coordination.k8s.io", "leases", "list watch"},
	{"rbac.authorization.k8s.io", "clusterroles", managed},
	{"rbac.authorization.k8s.io", "clusterrolebindings", managed},
	{"rbac.authorization.k8s.io", "roles", managed},
	{"rbac.authorization.k8s.io", "rolebindings", managed},
}

// forMetrics is what keeping metrics needs besides, for the same reason.
var forMetrics = []permission{
	{"", "nodes", "watch"},
	{"", "nodes/metrics", "get"},
	{"rbac.authorization.k8s.io", "clusterroles", managed},
	{"rbac.authorization.k8s.io", "clusterrolebindings", managed},
}

var forCertificates = []permission{{"cert-manager.io", "clusterissuers", "get"}}

// needed is all that berth does in the cluster for an application.
func needed(c *config.Config) []permission {
	all := slices.Clone(basic)
	if len(c.LogSinks()) > 0 {
		all = append(all, forLogs...)
	}
	if c.Existing.Issuer != "" {
		all = append(all, forCertificates...)
	}
	if c.DotEnv[config.AlertsURL] != "" {
		all = append(all, forAlerts...)
	}
	if c.Metrics.Kept() {
		all = append(all, forMetrics...)
	}
	return all
}

// Rules are the ClusterRole that a user needs to run an application with berth.
func Rules(c *config.Config) []rbac.PolicyRule {
	var rules []rbac.PolicyRule
	for _, p := range needed(c) {
		rules = append(rules, rbac.PolicyRule{APIGroups: []string{p.group}, Resources: []string{p.resource}, Verbs: strings.Fields(p.verbs)})
	}
	return rules
}

// checkPermissions asks the API server itself what the user may do.
func (c *connection) checkPermissions(ctx context.Context, wanted []permission) error {
	denied := make([]string, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, want := range wanted {
		group.Go(func() error {
			var verbs []string
			for verb := range strings.FieldsSeq(want.verbs) {
				allowed, err := c.may(ctx, want, verb)
				if err != nil {
					return err
				}
				if !allowed {
					verbs = append(verbs, verb)
				}
			}
			if len(verbs) > 0 {
				denied[i] = strings.Join(verbs, ", ") + " " + want.resource
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("ask for permissions: %w", err)
	}
	if missing := slices.DeleteFunc(denied, func(one string) bool { return one == "" }); len(missing) > 0 {
		return fault.WithHint(fmt.Errorf("the user of context %s may not %s", c.name, strings.Join(missing, "; ")),
			"let an administrator bind the user to the ClusterRole of docs/existing.md, or to cluster-admin")
	}
	return nil
}

func (c *connection) may(ctx context.Context, p permission, verb string) (bool, error) {
	resource, sub, _ := strings.Cut(p.resource, "/")
	review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorization.SelfSubjectAccessReview{
		Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorization.ResourceAttributes{
			Verb: verb, Group: p.group, Resource: resource, Subresource: sub,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}
