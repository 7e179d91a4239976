// Package preview makes temporary environments for branches, each in a namespace of its
// own that the cluster removes when it expires. Everything about a preview is written on
// its namespace, so every berth finds it.
//
// A preview is deployed like any environment (package release), with the configuration
// that [config.Config.Preview] makes. A Job fills its database first, while nothing else
// runs there: it restores the last verified backup and masks it (package anonymize)
// before the database gets the name that the application uses.
package preview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"berth/internal/backup"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/platform"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/release"
)

// Preview is one that is there.
type Preview struct {
	Branch string `json:"branch"`
	// Environment is its name as any environment's, and its namespace.
	Environment string `json:"environment"`
	Host        string `json:"host"`
	Commit      string `json:"commit,omitempty"`
	// Who made it or brought it up to date, as user@host.
	Who     string    `json:"who"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	// Data says what its database began with: a backup's ID, or "empty". Until it is
	// there it says nothing.
	Data string `json:"data"`
	// Going says that it is being removed.
	Going bool `json:"going,omitempty"`

	uid types.UID
	// mask is a digest of how its data was masked.
	mask string
}

// Client knows the previews of an application on a cluster.
type Client struct {
	cluster *provider.Cluster
	config  *config.Config
	kube    kubernetes.Interface
	// deploy deploys a preview, and fill fills its database; tests put their own there.
	deploy func(ctx context.Context, w Wanted, p *Preview, stages release.Stages, r progress.Reporter) (release.Revision, error)
	fill   func(ctx context.Context, namespace string, entry *backup.Entry, step progress.Step) error
	// free returns an error while a preview is being deployed.
	free func(ctx context.Context, p *Preview) error
	now  func() time.Time
}

// New returns the previews of an application.
func New(cluster *provider.Cluster, c *config.Config) (*Client, error) {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return nil, fmt.Errorf("reach cluster %s: %w", cluster.Name, err)
	}
	// A preview has secrets of its own: those that .env does not name are made up.
	own := *cluster
	own.MakesUpSecrets = true
	previews := &Client{cluster: &own, config: c, kube: client, now: time.Now}
	previews.deploy, previews.fill, previews.free = previews.release, previews.restore, previews.unlocked
	return previews, nil
}

// Wanted describes a preview to be made.
type Wanted struct {
	Branch, Commit string
	// Image is the application's, and Expirer the one with the program that removes the
	// preview when its time is over (cmd/watch).
	Image, Expirer string
	// Backup returns the newest backup of the environment that previews are from, a
	// verified one if there is any.
	Backup func(context.Context) (*backup.Entry, error)
	// Seed puts data into a preview that serves and began empty; nil does nothing.
	Seed func(context.Context, *Preview) error
}

// Make makes the preview of a branch or brings it up to date, and returns when it
// serves. One that was interrupted before its data was there is made again; one that has
// data keeps it.
func (c *Client) Make(ctx context.Context, w Wanted, r progress.Reporter) (*Preview, release.Revision, error) {
	p, err := c.namespace(ctx, w, r)
	if err != nil {
		return nil, release.Revision{}, err
	}
	revision, err := c.furnish(ctx, w, p, r)
	if err != nil && p.Data == "" && c.copies() {
		// Half of a copy is no use to anybody, and may hold what was to be masked.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), going)
		defer cancel()
		return nil, revision, errors.Join(err, c.remove(ctx, p, r))
	}
	return p, revision, err
}

// furnish deploys to a preview's namespace, and fills its database the first time.
func (c *Client) furnish(ctx context.Context, w Wanted, p *Preview, r progress.Reporter) (release.Revision, error) {
	if err := progress.Run(r, "Let the preview expire "+p.Expires.Local().Format(time.DateTime), func(progress.Step) error {
		return c.applyObjects(ctx, w, p)
	}); err != nil {
		return release.Revision{}, err
	}
	var stages release.Stages
	var unfilled error
	switch {
	case p.Data != "":
	case c.copies():
		entry, err := w.Backup(ctx)
		if err != nil {
			return release.Revision{}, err
		}
		if !entry.OK() {
			return release.Revision{}, fault.WithHint(fmt.Errorf("no backup of %s has been verified, so nothing says that one can be restored", c.config.Previews.From), "berth backup now")
		}
		stages.Ready = func(ctx context.Context) error {
			unfilled = progress.Run(r, "Restore backup "+entry.ID+", masked", func(step progress.Step) error {
				return c.fill(ctx, p.Environment, entry, step)
			})
			if unfilled == nil {
				unfilled = c.noteData(ctx, p, entry.ID)
			}
			return unfilled
		}
	case w.Seed == nil:
		stages.Ready = func(ctx context.Context) error { return c.noteData(ctx, p, string(config.EmptyData)) }
	}
	revision, err := c.deploy(ctx, w, p, stages, r)
	if unfilled != nil {
		err = unfilled // which is why there is nothing to serve
	}
	if err != nil || p.Data != "" || w.Seed == nil {
		return revision, err
	}
	if err := w.Seed(ctx, p); err != nil {
		return revision, fmt.Errorf("seed the preview: %w", err)
	}
	return revision, c.noteData(ctx, p, string(config.EmptyData))
}

// copies reports whether previews begin with a copy of data.
func (c *Client) copies() bool { return c.config.Previews.Data == config.CopiedData }

func (c *Client) release(ctx context.Context, w Wanted, p *Preview, stages release.Stages, r progress.Reporter) (release.Revision, error) {
	releases, err := release.New(c.cluster, c.config.Preview(p.Environment, p.Host))
	if err != nil {
		return release.Revision{}, err
	}
	return releases.Staged(stages).Deploy(ctx, p.Environment, w.Image, r)
}

func (c *Client) unlocked(ctx context.Context, p *Preview) error {
	releases, err := release.New(c.cluster, c.config.Preview(p.Environment, p.Host))
	if err != nil {
		return err
	}
	return releases.Free(ctx, p.Environment)
}

// restore fills the database of a preview. What that took, the bucket's keys among it, is
// gone before anything of the application runs there.
func (c *Client) restore(ctx context.Context, namespace string, entry *backup.Entry, step progress.Step) error {
	backups, err := platform.NewBackups(c.cluster, c.config, c.config.Previews.From)
	if err != nil {
		return err
	}
	database := backups.Copy(namespace)
	if err := c.allowRestore(ctx, namespace, database); err != nil {
		return err
	}
	if err := database.Restore(ctx, entry, c.config.Previews.Mask, step); err != nil {
		return err
	}
	return database.Forget(ctx)
}
