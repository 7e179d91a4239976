package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth/internal/backup"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
)

var errNoDatabase = errors.New("there is no PostgreSQL")

// SQL is a session with the environment's PostgreSQL.
type SQL struct {
	// Write logs in as the database's owner, who may do everything. Otherwise
	// it is a role that may read everything and write nothing.
	Write bool
	// Args are more arguments of psql.
	Args []string
}

// reader is the role of sessions that do not write.
const reader = "berth_reader"

// Psql runs psql in a new pod beside the database. The pod has only the password of
// the role that it logs in as, so a reading session cannot become a writing one.
func (c *Client) Psql(ctx context.Context, q SQL, s Streams, r progress.Reporter) error {
	database, err := c.database(ctx)
	if errors.Is(err, errNoDatabase) {
		return fault.WithHint(fmt.Errorf("%s has no PostgreSQL that berth runs", c.environment),
			"environments.%s.database in berth.yaml says what it has; docs/sessions.md tells how SQLite and databases elsewhere are reached", c.environment)
	}
	if err != nil {
		return err
	}
	role := value(database, "POSTGRES_USER")
	secret := passwordSecret(database)
	ready := make(chan error, 1)
	if q.Write {
		ready <- nil
	} else {
		role, secret = reader, c.app+"-reader"
		// The role is made while the pod starts; the pod needs its Secret first.
		password, err := c.readerSecret(ctx, secret)
		if err != nil {
			return err
		}
		go func() { ready <- c.makeReader(ctx, database, password) }()
	}
	made := plan{name: c.app + "-psql", owner: owner("apps/v1", "StatefulSet", database.ObjectMeta),
		spec: psqlSpec(database, c.app+"-postgresql", role, secret), limit: sqlLimit}
	return c.oneOff(ctx, made, r, func(ctx context.Context, pod *core.Pod) error {
		if err := <-ready; err != nil {
			return err
		}
		command := append([]string{"psql", "--no-password"}, q.Args...)
		return c.execute(ctx, pod.Name, pod.Spec.Containers[0].Name, command, s)
	})
}

// sqlLimit is how long a session with psql may last.
const sqlLimit = 24 * time.Hour

// psqlSpec is a pod of the database's image that runs no server.
func psqlSpec(database *apps.StatefulSet, host, role, secret string) core.PodSpec {
	of := database.Spec.Template.Spec.DeepCopy()
	options := ""
	if role == reader {
		// The role has it as its default; here it is visible.
		options = "-c default_transaction_read_only=on"
	}
	env := func(name, value string) core.EnvVar { return core.EnvVar{Name: name, Value: value} }
	return core.PodSpec{
		ServiceAccountName: of.ServiceAccountName, AutomountServiceAccountToken: of.AutomountServiceAccountToken,
		EnableServiceLinks: of.EnableServiceLinks, ImagePullSecrets: of.ImagePullSecrets, SecurityContext: of.SecurityContext,
		NodeSelector: of.NodeSelector, Tolerations: of.Tolerations,
		Volumes: []core.Volume{{Name: "tmp", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}},
		Containers: []core.Container{{
			Name: "psql", Image: of.Containers[0].Image, ImagePullPolicy: of.Containers[0].ImagePullPolicy,
			SecurityContext: of.Containers[0].SecurityContext, WorkingDir: "/tmp",
			VolumeMounts: []core.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
			// psql holds a whole result before it shows it.
			Resources: core.ResourceRequirements{
				Requests: core.ResourceList{core.ResourceCPU: resource.MustParse("10m"), core.ResourceMemory: resource.MustParse("32Mi")},
				Limits:   core.ResourceList{core.ResourceMemory: resource.MustParse("512Mi")},
			},
			Env: []core.EnvVar{
				env("PGHOST", host), env("PGUSER", role), env("PGDATABASE", value(database, "POSTGRES_DB")),
				env("PGOPTIONS", options), env("PGAPPNAME", "berth psql"), env("HOME", "/tmp"), env("PAGER", "cat"),
				{Name: "PGPASSWORD", ValueFrom: &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{
					LocalObjectReference: core.LocalObjectReference{Name: secret}, Key: "password",
				}}},
			},
		}},
	}
}

// value is what a variable of the database's container is set to.
func value(database *apps.StatefulSet, name string) string {
	for _, variable := range database.Spec.Template.Spec.Containers[0].Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// passwordSecret is the Secret with the password of the database's owner.
func passwordSecret(database *apps.StatefulSet) string {
	for _, volume := range database.Spec.Template.Spec.Volumes {
		if volume.Name == "password" && volume.Secret != nil {
			return volume.Secret.SecretName
		}
	}
	return database.Name
}

// readerSecret returns the reading role's password, which is made once.
func (c *Client) readerSecret(ctx context.Context, name string) (string, error) {
	found, err := kube.OwnSecret(ctx, c.kube, c.environment, name)
	if err != nil {
		return "", err
	}
	if found != nil && len(found.Data["password"]) > 0 {
		return string(found.Data["password"]), nil
	}
	password := rand.Text()
	return password, kube.Secret{
		Namespace: c.environment, Name: name, Data: map[string][]byte{"password": []byte(password)},
		Labels: map[string]string{instanceLabel: c.app},
	}.Apply(ctx, c.kube)
}

// makeReader makes the reading role, or brings it up to date, as the database's
// owner in the database's own pod.
func (c *Client) makeReader(ctx context.Context, database *apps.StatefulSet, password string) error {
	statements, err := readerSQL(password)
	if err != nil {
		return err
	}
	const client = `PGOPTIONS="-c client_min_messages=warning" ` +
		`exec psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"`
	var said bytes.Buffer
	err = c.inDatabase(ctx, database, client, Streams{In: strings.NewReader(statements), Out: &said, Err: &said})
	if err != nil {
		return fmt.Errorf("make the role %s: %w: %s", reader, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// readerSQL makes a role that may read everything, past row-level security too,
// and write nothing. The password is in it as what the server keeps of it.
func readerSQL(password string) (string, error) {
	verifier, err := backup.Verifier(password)
	if err != nil {
		return "", err
	}
	return `BEGIN;
SELECT pg_advisory_xact_lock(hashtext('` + reader + `'));
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '` + reader + `') AS missing \gset
\if :missing
CREATE ROLE ` + reader + `;
\endif
ALTER ROLE ` + reader + ` LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS CONNECTION LIMIT 10 PASSWORD '` + verifier + `';
GRANT pg_read_all_data TO ` + reader + `;
ALTER ROLE ` + reader + ` SET default_transaction_read_only = on;
COMMIT;
`, nil
}
