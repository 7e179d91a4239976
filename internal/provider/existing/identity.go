package existing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/fault"
	"berth/internal/provider"
)

// reachTime bounds how long a cluster has to say who it is.
const reachTime = 15 * time.Second

// identity returns what tells a cluster from every other: the UID of its
// kube-system namespace, which is made with the cluster and never changes.
func (c *connection) identity(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	namespace, err := c.client.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("reach cluster %s at %s: %w", c.name, c.rest.Host, err),
			"check that this machine reaches it, and that the context's user may get namespaces")
	}
	return string(namespace.UID), nil
}

// record is the file that says which cluster a context meant when berth first
// prepared it for an application.
type record struct {
	path, context string
}

type recorded struct {
	UID    string    `json:"uid"`
	Server string    `json:"server"`
	Since  time.Time `json:"since"`
}

func (p *Provider) record() record {
	// Contexts may hold any character, slashes among them.
	name := url.PathEscape(p.config.Name+"@"+p.config.Existing.Context) + ".json"
	return record{filepath.Join(p.config.StateDir, "existing", name), p.config.Existing.Context}
}

func (r record) exists() bool {
	_, err := os.Stat(r.path)
	// A record that cannot be looked at is there: compare says what is wrong.
	return !errors.Is(err, fs.ErrNotExist)
}

// compare refuses a cluster that is not the recorded one. It returns an error
// that wraps [provider.ErrNotUp] when there is no record yet.
func (r record) compare(uid string) error {
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return provider.ErrNotUp
	}
	if err != nil {
		return err
	}
	var before recorded
	if err := json.Unmarshal(text, &before); err != nil || before.UID == "" {
		return fault.WithHint(fmt.Errorf("%s does not say which cluster it stands for", r.path),
			"make sure that context %s is the right cluster, remove the file, and run berth init", r.context)
	}
	if before.UID != uid {
		return fault.WithHint(
			fmt.Errorf("context %s is another cluster than before: it was %s at %s, now it is %s; nothing was touched",
				r.context, before.UID, before.Server, uid),
			"if the cluster was meant to be replaced, remove %s and run berth init", r.path)
	}
	return nil
}

// write records the cluster. A record that is there stays: it has just been
// compared.
func (r record) write(uid, server string) error {
	if r.exists() {
		return nil
	}
	text, err := json.MarshalIndent(recorded{uid, server, time.Now().UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return fmt.Errorf("remember cluster %s: %w", r.context, err)
	}
	if err := os.WriteFile(r.path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember cluster %s: %w", r.context, err)
	}
	return os.Rename(r.path+".new", r.path)
}

func (r record) remove() error {
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
