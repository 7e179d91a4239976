package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/platform"
	"berth/internal/progress"
	"berth/internal/session"
)

// store is the database of a copy.
type store interface {
	// sealed returns nil where pods of the namespace reach nothing outside of it.
	sealed(context.Context) error
	// read reads what is in it. What it had before says which rows are tried again; nil is
	// before.
	read(ctx context.Context, before *contents, step progress.Step) (*contents, error)
	// watch begins to look at what goes on in it, and unwatch ends that; see [watch].
	watch(ctx context.Context, before *contents) error
	unwatch() ([]Lock, int64)
	close()
}

// open opens the copy's database.
func (p *play) open(ctx context.Context) (store, error) {
	if p.config.Environments[p.environment].Database == config.SQLite {
		return &file{database: p.database}, nil
	}
	secret, err := kube.OwnSecret(ctx, p.kube, p.namespace, p.config.Name+"-postgresql")
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, fmt.Errorf("the copy's database has no Secret %s", p.config.Name+"-postgresql")
	}
	// The port lasts as long as the rehearsal does, not only this stage of it.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &server{sessions: p.sessions, stop: stop}
	address, err := p.forward(ctx, session.Forward{Database: true, Remote: 5432})
	if err == nil {
		s.config, err = connection(address, string(secret.Data["password"]))
	}
	if err == nil {
		s.connection, err = pgx.ConnectConfig(ctx, s.config)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("reach the copy's database: %w", err)
	}
	return s, nil
}

// owner is what charts/postgres calls the database and its owner.
const owner = "app"

// connection is how to get in, as the owner of the database.
func connection(address, password string) (*pgx.ConnConfig, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	c, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	c.Host, c.Port, c.User, c.Password, c.Database, c.Fallbacks = host, uint16(number), owner, password, owner, nil
	c.RuntimeParams = map[string]string{"application_name": "berth rehearse"}
	return c, nil
}

// server is a PostgreSQL.
type server struct {
	sessions   *session.Client
	config     *pgx.ConnConfig
	connection *pgx.Conn
	seen       *watch
	stop       context.CancelFunc
}

func (s *server) read(ctx context.Context, before *contents, step progress.Step) (*contents, error) {
	step.Detail("counting rows")
	connection := s.connection
	if before != nil {
		// As who connects from now on: settings of the database or its owner may be others.
		c, err := pgx.ConnectConfig(ctx, s.config)
		if err != nil {
			return nil, fmt.Errorf("reach the copy's database again: %w", err)
		}
		defer c.Close(context.WithoutCancel(ctx))
		connection = c
	}
	all, err := readContents(ctx, connection, before)
	if err != nil {
		return nil, err
	}
	step.Detail("reading the schema")
	var schema, said bytes.Buffer
	const dump = `exec pg_dump --schema-only --no-owner --no-privileges --host=127.0.0.1 --no-password --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"`
	if err := s.sessions.InDatabase(ctx, dump, session.Streams{Out: &schema, Err: &said}); err != nil {
		return nil, fmt.Errorf("read the schema: %w: %s", err, strings.TrimSpace(said.String()))
	}
	all.schema = schema.String()
	return all, nil
}

// The ways in which psql says that a connection cannot be made at all.
var unreachable = []string{"timeout expired", "timed out", "Connection refused", "No route to host", "unreachable", "Operation not permitted"}

// sealed tries to reach the cluster's own API, which is there in any cluster.
func (s *server) sealed(ctx context.Context) error {
	var said bytes.Buffer
	const try = `psql --no-psqlrc "host=$KUBERNETES_SERVICE_HOST port=$KUBERNETES_SERVICE_PORT dbname=x user=x password=x sslmode=disable connect_timeout=2" </dev/null 2>&1 || true`
	if err := s.sessions.InDatabase(ctx, try, session.Streams{Out: &said, Err: &said}); err != nil {
		return fmt.Errorf("try to leave the namespace: %w", err)
	}
	if !slices.ContainsFunc(unreachable, func(text string) bool { return strings.Contains(said.String(), text) }) {
		return fmt.Errorf("%w: %s", errOpen, strings.TrimSpace(said.String()))
	}
	return nil
}

// errOpen is why nothing is rehearsed on a cluster that could be left.
var errOpen = fault.WithHint(errors.New("a pod of the rehearsal can reach outside its namespace, so the release command could send mail or call other services"),
	"the cluster's network must enforce NetworkPolicies")

func (s *server) watch(ctx context.Context, before *contents) error {
	c, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return fmt.Errorf("watch the copy's database: %w", err)
	}
	s.seen = startWatch(context.WithoutCancel(ctx), c, before)
	return nil
}

func (s *server) unwatch() ([]Lock, int64) {
	if s.seen == nil {
		return nil, 0
	}
	locks, peak := s.seen.end()
	s.seen = nil
	return locks, peak
}

func (s *server) close() {
	s.unwatch()
	_ = s.connection.Close(context.Background())
	s.stop()
}

// file is a SQLite database. Jobs read it; nobody sees what is locked in it.
type file struct {
	database *platform.DatabaseCopy
	open     bool
}

func (f *file) read(ctx context.Context, _ *contents, step progress.Step) (*contents, error) {
	found, err := f.database.Contents(ctx, step)
	if err != nil {
		return nil, err
	}
	f.open = !found.Sealed
	all := &contents{schema: found.Schema, bytes: found.Bytes}
	for name, rows := range found.Rows {
		all.tables = append(all.tables, table{name: strings.TrimPrefix(name, "main."), rows: rows})
	}
	slices.SortFunc(all.tables, func(a, b table) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func (f *file) sealed(ctx context.Context) error {
	if _, err := f.read(ctx, nil, progress.Discard.Step("")); err != nil {
		return err
	}
	if f.open {
		return errOpen
	}
	return nil
}

func (f *file) watch(context.Context, *contents) error { return nil }
func (f *file) unwatch() ([]Lock, int64)               { return nil, 0 }
func (f *file) close()                                 {}
