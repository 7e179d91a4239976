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

// A Server is one of an environment's servers of PostgreSQL: each has a volume of its
// own, as no major version reads another's files, and what is restored as a whole goes
// beside what serves. charts/postgres names them. Which one serves is what the Service
// selects, and nothing else: a revision that was interrupted may have switched already.
// The zero value is none.
type Server struct {
	// Version is the major version.
	Version int
	// Letter tells several of one version apart; the first has none.
	Letter string
}

// String is what it is called, such as PostgreSQL 17, or PostgreSQL 17b.
func (s Server) String() string { return "PostgreSQL " + s.number() }

func (s Server) number() string { return strconv.Itoa(s.Version) + s.Letter }

// original is the one whose name has no number.
var original = Server{Version: config.PostgresVersion}

// componentLabel tells the pods and volumes of one server from another's.
const componentLabel = "app.kubernetes.io/component"

// Database is the server that serves an environment; the zero value where none of
// berth's does.
func (c *Client) Database(ctx context.Context, environment string) (Server, error) {
	service, err := c.kube.CoreV1().Services(environment).Get(ctx, c.config.Name+"-postgresql", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Server{}, nil
	}
	if err != nil {
		return Server{}, fmt.Errorf("ask which database serves: %w", err)
	}
	return serverOf(service.Spec.Selector[componentLabel]), nil
}

// The annotations of the volume of a server that does not serve.
const (
	// unfinishedAnnotation is of one that is being made, until it serves.
	unfinishedAnnotation = "berth/unfinished-upgrade"
	// keptAnnotation says since when one that has served is kept, and imageAnnotation
	// what ran on it.
	keptAnnotation  = "berth/kept-since"
	imageAnnotation = "berth/image"
)

// A KeptServer is the volume of a server of PostgreSQL that does not serve any more.
type KeptServer struct {
	Server
	// Since is when it was replaced; zero where that is not known.
	Since time.Time
	// Unfinished says that it has never served: what made it was interrupted.
	Unfinished bool

	claim, image string
}

// KeptServers are those of an environment, the newest first.
func (c *Client) KeptServers(ctx context.Context, environment string) ([]KeptServer, error) {
	serves, err := c.Database(ctx, environment)
	if err != nil {
		return nil, err
	}
	claims, err := c.databaseClaims(ctx, environment)
	if err != nil {
		return nil, err
	}
	var kept []KeptServer
	for _, claim := range claims {
		of := serverOf(claim.Labels[componentLabel])
		if of == serves {
			continue
		}
		since, _ := time.Parse(time.RFC3339, claim.Annotations[keptAnnotation]) // unknown is zero
		server := KeptServer{
			Server: of, Since: since, Unfinished: claim.Annotations[unfinishedAnnotation] != "",
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
		if of := serverOf(claim.Labels[componentLabel]); of != (Server{}) && claim.Name == of.claim(c.config.Name) {
			claims = append(claims, claim)
		}
	}
	return claims, nil
}

// component is the value of componentLabel.
func (s Server) component() string {
	if s == original {
		return "database"
	}
	return "database-" + s.number()
}

// serverOf reads it back; the zero value stands for what is no server of PostgreSQL.
func serverOf(component string) Server {
	if component == original.component() {
		return original
	}
	number, ok := strings.CutPrefix(component, "database-")
	digits := strings.TrimRight(number, letters)
	version, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return Server{}
	}
	return Server{version, number[len(digits):]}
}

// letters are those that a Server may have.
const letters = "bcdefghijklmnopqrstuvwxyz"

// name is that of the StatefulSet.
func (s Server) name(app string) string {
	if s == original {
		return app + "-postgresql"
	}
	return app + "-postgres" + s.number()
}

// claim is the name of the volume.
func (s Server) claim(app string) string { return "data-" + s.name(app) + "-0" }

// checkDatabase returns the server that holds an environment's data. It refuses to deploy
// another major version than that one's: it would be a server of its own, with nothing
// in it.
func (c *Client) checkDatabase(ctx context.Context, environment string, e config.Environment, r progress.Reporter) (Server, error) {
	wanted := e.DatabaseVersion
	if e.Database != config.Postgres || wanted == 0 {
		return Server{}, nil
	}
	holds, err := c.Database(ctx, environment)
	if err == nil && holds == (Server{}) { // A release that was removed has left its volume.
		holds, err = c.left(ctx, environment, wanted)
	}
	if err != nil {
		return Server{}, err
	}
	if holds != (Server{}) && holds.Version != wanted {
		return Server{}, otherVersion(environment, holds.Version, wanted)
	}
	return holds, c.noteKept(ctx, environment, r)
}

// left is the server that served last, by the volumes that are there: of a version if
// there is one.
func (c *Client) left(ctx context.Context, environment string, wanted int) (holds Server, err error) {
	claims, err := c.databaseClaims(ctx, environment)
	if err != nil {
		return holds, err
	}
	for _, aside := range []bool{false, true} { // Only where there is no other.
		for _, claim := range claims {
			if is := claim.Annotations[unfinishedAnnotation] != "" || claim.Annotations[keptAnnotation] != ""; is == aside && holds.Version != wanted {
				holds = serverOf(claim.Labels[componentLabel])
			}
		}
		if holds != (Server{}) {
			break
		}
	}
	return holds, nil
}

// noteKept reminds of a server that has been kept for more than a day.
func (c *Client) noteKept(ctx context.Context, environment string, r progress.Reporter) error {
	kept, err := c.KeptServers(ctx, environment)
	for _, k := range kept {
		if !k.Unfinished && time.Since(k.Since) > 24*time.Hour {
			r.Note(fmt.Sprintf("%s still has the volume of %s, which serves no more: berth database upgrade %s --forget removes it",
				environment, k.Server, environment))
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

// sameDatabase refuses to go back to a revision of another server: what was written since
// is not in it.
func (c *Client) sameDatabase(ctx context.Context, environment string, to *helmrelease.Release) error {
	serves, err := c.Database(ctx, environment)
	if err != nil || serves == (Server{}) {
		return err
	}
	if then := databaseOf(to); then != (Server{}) && then != serves {
		return fault.WithHint(fault.Usage("revision %d was on %s, and the database is on %s now", to.Version, then, serves.number()),
			"only its image: berth deploy %s --image %s; its database too, without later writes: berth database upgrade %s --back", environment, imageOf(to), environment)
	}
	return nil
}

// databaseOf is the server that a revision was made with.
func databaseOf(r *helmrelease.Release) Server {
	settings, _ := r.Config["postgresql"].(map[string]any)
	if on, _ := settings["enabled"].(bool); !on {
		return Server{}
	}
	of := original
	switch version := settings["version"].(type) {
	case int:
		of.Version = version
	case float64: // as it was stored
		of.Version = int(version)
	}
	of.Letter, _ = settings["server"].(string)
	return of
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
