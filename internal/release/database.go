package release

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	helmrelease "helm.sh/helm/v4/pkg/release/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider"
)

// Each major version of PostgreSQL is a server of its own in an environment, with a
// volume of its own; charts/postgres names them. Which one serves is what the Service
// selects, and nothing else: a revision that was interrupted may have switched already.

// componentLabel tells the pods and volumes of one server from another's.
const componentLabel = "app.kubernetes.io/component"

// DatabaseVersion is the major version of PostgreSQL that serves an environment; 0
// where none of berth's does.
func (c *Client) DatabaseVersion(ctx context.Context, environment string) (int, error) {
	service, err := c.kube.CoreV1().Services(environment).Get(ctx, c.config.Name+"-postgresql", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask which database serves: %w", err)
	}
	return versionOf(service.Spec.Selector[componentLabel]), nil
}

// The annotations of the volume of a server that does not serve.
const (
	// unfinishedAnnotation is of an upgrade's, until it serves.
	unfinishedAnnotation = "berth/unfinished-upgrade"
	// keptAnnotation says since when one that has served is kept, and imageAnnotation
	// what ran on it.
	keptAnnotation  = "berth/kept-since"
	imageAnnotation = "berth/image"
)

// A KeptServer is the volume of a server of PostgreSQL that does not serve any more.
type KeptServer struct {
	Version int
	// Since is when it was replaced; zero where that is not known.
	Since time.Time
	// Unfinished says that it has never served: its upgrade was interrupted.
	Unfinished bool

	claim, image string
}

// KeptServers are those of an environment, the newest first.
func (c *Client) KeptServers(ctx context.Context, environment string) ([]KeptServer, error) {
	serves, err := c.DatabaseVersion(ctx, environment)
	if err != nil {
		return nil, err
	}
	claims, err := c.databaseClaims(ctx, environment)
	if err != nil {
		return nil, err
	}
	var kept []KeptServer
	for _, claim := range claims {
		version := versionOf(claim.Labels[componentLabel])
		if version == serves {
			continue
		}
		since, _ := time.Parse(time.RFC3339, claim.Annotations[keptAnnotation]) // unknown is zero
		server := KeptServer{
			Version: version, Since: since, Unfinished: claim.Annotations[unfinishedAnnotation] != "",
			claim: claim.Name, image: claim.Annotations[imageAnnotation],
		}
		at := 0
		for at < len(kept) && !kept[at].Since.Before(since) {
			at++
		}
		kept = append(kept[:at], append([]KeptServer{server}, kept[at:]...)...)
	}
	return kept, nil
}

// databaseClaims are the volumes of an environment's servers of PostgreSQL.
func (c *Client) databaseClaims(ctx context.Context, environment string) (claims []core.PersistentVolumeClaim, err error) {
	list, err := c.kube.CoreV1().PersistentVolumeClaims(environment).List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=postgresql,app.kubernetes.io/instance=" + c.config.Name,
	})
	if err != nil {
		return nil, fmt.Errorf("look for the database's volumes: %w", err)
	}
	for _, claim := range list.Items {
		if version := versionOf(claim.Labels[componentLabel]); version != 0 && claim.Name == claimName(c.config.Name, version) {
			claims = append(claims, claim)
		}
	}
	return claims, nil
}

// versionOf reads it back; 0 stands for what is no server of PostgreSQL.
func versionOf(component string) int {
	if component == serverComponent(config.PostgresVersion) {
		return config.PostgresVersion
	}
	number, ok := strings.CutPrefix(component, "database-")
	version, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0
	}
	return version
}

// serverComponent is its value for a version.
func serverComponent(version int) string {
	if version == config.PostgresVersion {
		return "database"
	}
	return "database-" + strconv.Itoa(version)
}

// serverName is that of the StatefulSet of a version.
func serverName(app string, version int) string {
	if version == config.PostgresVersion {
		return app + "-postgresql"
	}
	return app + "-postgres" + strconv.Itoa(version)
}

// claimName is that of its volume.
func claimName(app string, version int) string { return "data-" + serverName(app, version) + "-0" }

// checkDatabase refuses to deploy another major version of PostgreSQL than the one that
// holds the data: it would be a server of its own, with nothing in it.
func (c *Client) checkDatabase(ctx context.Context, environment string, e config.Environment, r progress.Reporter) error {
	wanted := e.DatabaseVersion
	if e.Database != config.Postgres || wanted == 0 {
		return nil
	}
	holds, err := c.DatabaseVersion(ctx, environment)
	if err != nil {
		return err
	}
	if holds == 0 { // A release that was removed has left its volume.
		claims, err := c.databaseClaims(ctx, environment)
		if err != nil {
			return err
		}
		for _, claim := range claims {
			if holds = versionOf(claim.Labels[componentLabel]); holds == wanted {
				break
			}
		}
	}
	if holds == 0 || holds == wanted {
		return c.noteKept(ctx, environment, r)
	}
	return otherVersion(environment, holds, wanted)
}

// noteKept reminds of a server that has been kept for more than a day.
func (c *Client) noteKept(ctx context.Context, environment string, r progress.Reporter) error {
	kept, err := c.KeptServers(ctx, environment)
	for _, k := range kept {
		if !k.Unfinished && time.Since(k.Since) > 24*time.Hour {
			r.Note(fmt.Sprintf("%s still has the volume of PostgreSQL %d from before its upgrade: berth database upgrade %s --forget removes it",
				environment, k.Version, environment))
		}
	}
	return err
}

func otherVersion(environment string, holds, wanted int) error {
	err := fault.Usage("the database of %s is of PostgreSQL %d, and berth.yaml says %d, which cannot read its files", environment, holds, wanted)
	if wanted > holds {
		return fault.WithHint(err, "berth database upgrade %s --to %d", environment, wanted)
	}
	return fault.WithHint(err, "set the database's version in berth.yaml: environments.%s.databaseVersion: %d. After an upgrade, berth database upgrade %s --back returns to the old server",
		environment, holds, environment)
}

// sameDatabase refuses to go back to a revision of another version of PostgreSQL: what
// was written since is not in its server.
func (c *Client) sameDatabase(ctx context.Context, environment string, to *helmrelease.Release) error {
	serves, err := c.DatabaseVersion(ctx, environment)
	if err != nil || serves == 0 {
		return err
	}
	if then := databaseOf(to); then != 0 && then != serves {
		return fault.WithHint(fault.Usage("revision %d was on PostgreSQL %d, and the database is on %d now", to.Version, then, serves),
			"only its image: berth deploy %s --image %s; its database too, without later writes: berth database upgrade %s --back", environment, imageOf(to), environment)
	}
	return nil
}

// databaseOf is the version of PostgreSQL that a revision was made with; 0 for none.
func databaseOf(r *helmrelease.Release) int {
	settings, _ := r.Config["postgresql"].(map[string]any)
	if on, _ := settings["enabled"].(bool); !on {
		return 0
	}
	switch version := settings["version"].(type) {
	case int:
		return version
	case float64: // as it was stored
		return int(version)
	}
	return config.PostgresVersion
}

// databaseImage is the image of a version; empty takes the chart's.
func databaseImage(cluster *provider.Cluster, version int) string {
	switch image := cluster.PostgresOf[version]; {
	case image != "":
		return image
	case version == config.PostgresVersion || version == 0:
		return cluster.Postgres
	}
	return "postgres:" + strconv.Itoa(version)
}
