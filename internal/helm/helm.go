// Package helm installs, upgrades, rolls back and uninstalls a Helm release in
// one namespace of one cluster. The caller's kubeconfig, environment variables and
// folders are ignored, so they cannot change where a chart goes.
//
// Package release builds on it for the application, package platform for what
// every cluster runs besides.
package helm

import (
	"fmt"
	"log/slog"
	"time"

	"berth/internal/kube/own"

	"helm.sh/helm/v4/pkg/action"
	engine "helm.sh/helm/v4/pkg/kube"
	"k8s.io/client-go/rest"
)

func init() {
	// Helm otherwise names the field manager after the running binary, so that
	// a release made by one build could not be upgraded by another.
	engine.ManagedFieldsManager = own.Manager
}

// open opens the releases in a namespace. They are kept in its Secrets.
func open(reach *rest.Config, namespace string) (*action.Configuration, error) {
	reach = rest.CopyConfig(reach)
	// Helm's requests take no context, so this is what keeps one from hanging
	// without an end when the API server goes away under it.
	reach.Timeout = time.Minute
	client, err := newConnection(reach, namespace)
	if err != nil {
		return nil, err
	}
	// The SDK logs what it does to the default logger unless it is told not to.
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := config.Init(client, namespace, "secrets"); err != nil {
		return nil, fmt.Errorf("open the releases of %s: %w", namespace, err)
	}
	return config, nil
}
