package containerlog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/receiver"
)

// Config says which containers' logs are read.
type Config struct {
	// Folder is where the kubelet of this node keeps the logs of pods.
	Folder string `mapstructure:"folder"`
	// Node is this node's name.
	Node string `mapstructure:"node"`
	// Namespaces are those whose pods' logs are read.
	Namespaces []string `mapstructure:"namespaces"`
	// ServiceAccount is the folder of the credentials with which the API server is
	// asked what Deployment or StatefulSet a pod is of. Without it, lines do not
	// say that.
	ServiceAccount string `mapstructure:"service_account"`
	// Storage is the extension that keeps how far each file was read. Without it
	// every start reads all files again.
	Storage *component.ID `mapstructure:"storage"`
	// PollInterval is how often files are looked at.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// FlushPeriod is how long to wait for the rest of a line or of a trace.
	FlushPeriod time.Duration `mapstructure:"flush_period"`
}

// Validate is called by the collector before anything is started.
func (c *Config) Validate() error {
	switch {
	case c.Folder == "":
		return errors.New("folder is empty")
	case c.Node == "":
		return errors.New("node is empty")
	case len(c.Namespaces) == 0:
		return errors.New("namespaces are empty: no log would be read")
	case c.PollInterval <= 0 || c.FlushPeriod <= 0:
		return errors.New("poll_interval and flush_period must be positive")
	}
	for _, namespace := range c.Namespaces {
		// It becomes a part of a pattern for files.
		if namespace == "" || strings.Trim(namespace, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("namespaces: %q is not a namespace's name", namespace)
		}
	}
	return nil
}

// NewFactory makes receivers of the type container_log.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(component.MustNewType("container_log"), func() component.Config {
		return &Config{Folder: "/var/log/pods", PollInterval: 500 * time.Millisecond, FlushPeriod: time.Second}
	}, receiver.WithLogs(newReceiver, component.StabilityLevelStable))
}
