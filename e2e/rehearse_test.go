//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aRelease changes the Flask application, and what a rehearsal says of it.
type aRelease struct {
	name string
	// migration is the body of the third migration's upgrade.
	migration []string
	// app and models are what is replaced in their files, by what.
	app, models []string
	config      func(object)
	status      int
	says        []string
}

// withoutAuthor is an application that does not know the column any more.
var withoutAuthor = []string{"    author = Column(String, nullable=False, server_default=\"anonymous\")\n", ""}

var releases = []aRelease{
	{
		name: "harmless", says: []string{"Nothing speaks against", "+ column notes.mood", "present image, after it", "4 2xx"},
		migration: []string{`op.add_column("notes", sa.Column("mood", sa.String))`},
	},
	{
		name: "twenty harmless changes at once", says: []string{"Nothing speaks against", "+ index jobs_payload_too", "+ type mood"},
		migration: []string{
			`for change in """`, `CREATE TYPE mood AS ENUM ('good')`, `CREATE TABLE tags (id serial PRIMARY KEY, tag text NOT NULL)`, `INSERT INTO tags (tag) VALUES ('a')`,
			`ALTER TABLE notes ADD stars int`, `ALTER TABLE notes ADD shown boolean NOT NULL DEFAULT true`, `ALTER TABLE notes ADD mood mood`,
			`CREATE INDEX jobs_payload_too ON jobs (payload)`, `CREATE INDEX notes_author ON notes (author)`, `ALTER INDEX notes_author RENAME TO notes_of`,
			`ALTER TABLE notes ADD CONSTRAINT sane CHECK (length(text) > 0) NOT VALID`, `ALTER TABLE notes VALIDATE CONSTRAINT sane`,
			`COMMENT ON TABLE notes IS 'what people say'`, `UPDATE notes SET stars = 3`, `ALTER TABLE jobs ALTER taken SET DEFAULT 1`, `ALTER TABLE jobs ALTER taken TYPE bigint`,
			`CREATE VIEW authors AS SELECT DISTINCT author FROM notes`, `CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `CREATE SEQUENCE invoices`,
			`CREATE TABLE stars (note int REFERENCES notes ON DELETE CASCADE)`, `ALTER TABLE notes ENABLE ROW LEVEL SECURITY`, `ANALYZE notes`,
			`""".strip().splitlines():`, `    op.execute(change)`,
		},
	},
	{
		name: "three faults at once", status: 1,
		says: []string{
			"GET /notes: the present image answers 500 on the migrated database", "- column notes.author",
			"it loses 7 rows of the table jobs, which had 20 and has 13", "GET /ticks: the new image answers 500, the present one 200",
		},
		migration: []string{`op.drop_column("notes", "author")`, `op.execute("DELETE FROM jobs WHERE id > 13")`},
		models:    withoutAuthor,
		app:       []string{`, "author": note.author`, "", "def ticks():\n", "def ticks():\n    abort(500)\n"},
	},
	{
		name: "a migration that fails half-way", status: 1, says: []string{"the release command failed after", "division by zero"},
		migration: []string{`op.execute("UPDATE notes SET text = 'lost'")`, `op.execute("SELECT 1 / 0")`},
	},
	{
		name: "a column that the present image reads", status: 1, says: []string{"going back would not help"},
		migration: []string{`op.drop_column("notes", "author")`}, models: withoutAuthor, app: []string{`, "author": note.author`, ""},
	},
	{
		name: "lost rows", status: 1, says: []string{"it loses 7 rows of the table jobs"},
		migration: []string{`op.execute("DELETE FROM jobs WHERE id > 13")`},
	},
	{
		name: "a dropped table", status: 1, says: []string{"it drops the table jobs with its 20 rows"},
		migration: []string{`op.drop_table("jobs")`},
	},
	{
		name: "a column that the present image does not write", status: 1,
		says:      []string{"the table notes does not take a row any more that it took before", `null value in column "mood"`},
		migration: []string{`op.add_column("notes", sa.Column("mood", sa.String, nullable=False, server_default="good"))`, `op.alter_column("notes", "mood", server_default=None)`},
	},
	{
		name: "the busiest table is locked", status: 1, says: []string{"nobody can read or write the table notes"},
		migration: []string{`op.execute("LOCK TABLE notes; SELECT pg_sleep(6)")`},
	},
	{
		name: "a truncated table", status: 1, says: []string{"it loses 20 rows of the table jobs"},
		migration: []string{`op.execute("TRUNCATE jobs")`},
	},
	{
		name: "a renamed table", status: 1, says: []string{"GET /ticks: the present image answers 500", "was called ticks"},
		migration: []string{`op.rename_table("ticks", "clicks")`},
	},
	{
		name: "a unique index on what is there twice", status: 1, says: []string{"the release command failed after", "could not create unique index"},
		migration: []string{`op.execute("CREATE UNIQUE INDEX ON jobs ((length(payload) < 0))")`},
	},
	{
		name: "a narrower type", status: 1, says: []string{"value too long for type character varying(3)"},
		migration: []string{`op.execute("ALTER TABLE notes ALTER text TYPE varchar(3) USING left(text, 3)")`},
	},
	{
		name: "a default that is gone", status: 1, says: []string{`null value in column "author"`},
		migration: []string{`op.execute("ALTER TABLE notes ALTER author DROP DEFAULT")`},
	},
	{
		name: "a check that new rows do not pass", status: 1, says: []string{`violates check constraint "long"`},
		migration: []string{`op.execute("ALTER TABLE notes ADD CONSTRAINT long CHECK (length(text) > 10000) NOT VALID")`},
	},
	{
		name: "a sequence that begins again", status: 1, says: []string{"the table jobs does not take a row any more", "the next value of id is 1"},
		migration: []string{`op.execute("ALTER SEQUENCE jobs_id_seq RESTART")`},
	},
	{
		name: "a trigger that deletes", status: 1, says: []string{"who writes a row to the table notes deletes rows of jobs now"},
		migration: []string{
			`op.execute("CREATE FUNCTION purge() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM jobs; RETURN NULL; END'")`,
			`op.execute("CREATE TRIGGER purge AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION purge()")`,
		},
	},
	{
		name: "more disk than there is", status: 1, says: []string{"for the database and its log, and the volume of production has 5.4 GB"},
		migration: []string{`op.execute("CREATE TABLE filler AS SELECT repeat('x', 1900) AS text FROM generate_series(1, 1700000)")`},
	},
	{
		name: "an error on three routes", status: 1,
		says: []string{"GET /notes: the new image answers 500", "GET /jobs: the new image answers 500", "GET /ticks: the new image answers 500"},
		app:  []string{"def notes():\n", "def notes():\n    abort(500)\n", "def jobs():\n", "def jobs():\n    abort(500)\n", "def ticks():\n", "def ticks():\n    abort(500)\n"},
	},
	{
		name: "three times slower", status: 1, says: []string{"GET /jobs: the new image takes"},
		app: []string{"def jobs():\n", "def jobs():\n    import time; time.sleep(0.4)\n"},
	},
	{
		name: "it crashes", status: 1, says: []string{"the new image does not become healthy", "no such setting"},
		app: []string{"app = Flask(__name__)\n", "raise SystemExit('no such setting')\n"},
	},
	{
		name: "it sends mail", status: 1, says: []string{"the release command failed after"},
		migration: []string{`import smtplib; smtplib.SMTP("93.184.215.14", 25, timeout=5).sendmail("a@example.com", "b@example.com", "hello")`},
	},
	{
		name: "it never ends", status: 1, says: []string{"the release command failed after", "it took longer than 15s"},
		migration: []string{`import time; time.sleep(3600)`},
		config:    func(config object) { set(config, "15s", "release", "timeout") },
	},
}

// harmless are changes of a database that nothing speaks against, each a release.
var harmless = []string{
	`CREATE TYPE mood AS ENUM ('good')`,
	`CREATE TABLE tags (id serial PRIMARY KEY, tag text NOT NULL); INSERT INTO tags (tag) VALUES ('a')`,
	`ALTER TABLE notes ADD stars int; UPDATE notes SET stars = 3`,
	`ALTER TABLE notes ADD shown boolean NOT NULL DEFAULT true`,
	`ALTER TABLE notes ALTER author DROP NOT NULL`,
	`ALTER TABLE notes ALTER author SET DEFAULT 'nobody'`,
	`ALTER TABLE notes ADD CONSTRAINT sane CHECK (length(text) > 0) NOT VALID; ALTER TABLE notes VALIDATE CONSTRAINT sane`,
	`ALTER TABLE notes ENABLE ROW LEVEL SECURITY`,
	`ALTER TABLE notes ALTER text SET STATISTICS 500; ANALYZE notes`,
	`ALTER TABLE jobs ALTER taken TYPE bigint`,
	`CREATE INDEX jobs_payload_too ON jobs (payload)`,
	`CREATE INDEX notes_author ON notes (lower(author)); ALTER INDEX notes_author RENAME TO notes_of`,
	`COMMENT ON TABLE notes IS 'what people say'`,
	`CREATE VIEW authors AS SELECT DISTINCT author FROM notes`,
	`CREATE MATERIALIZED VIEW lengths AS SELECT id, length(text) FROM notes`,
	`CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
	`CREATE SEQUENCE invoices; SELECT nextval('invoices')`,
	`CREATE TABLE stars (note int REFERENCES notes ON DELETE CASCADE)`,
	`CREATE SCHEMA reports; CREATE TABLE reports.daily (day date PRIMARY KEY)`,
	`CREATE TABLE noted AS SELECT * FROM notes; DROP TABLE noted`,
}

// rehearsals is the namespace of the rehearsals.
const rehearsals = "production-flask-rehearsal"

// A release is tried on a copy of production, which does not notice.
func testRehearse(t *testing.T) {
	c := running(t)
	folder := flask(t)
	edit(t, folder, func(config object) {
		set(config, "postgres", "environments", "production", "database")
		set(config, object{}, "processes")
		set(config, "gunicorn --bind 0.0.0.0:$PORT --workers 2 --access-logfile - app:app", "command")
		set(config, "0 3 * * *", "environments", "production", "backup", "schedule")
	})
	mustBerth(t, "-C", folder, "deploy", "production")
	// Other steps may have left some.
	mustBerth(t, "-C", folder, "psql", "production", "--write", "-c", "TRUNCATE jobs RESTART IDENTITY")
	notes := newSite(t, "flask.localhost")
	fresh := unique("rehearsed")
	var jobs struct{ Total int }
	for notes.call(t, "GET", "/jobs", nil, &jobs); jobs.Total < 20; jobs.Total++ {
		notes.call(t, "POST", "/jobs", object{"payload": fmt.Sprint(fresh, jobs.Total)}, nil)
	}
	notes.call(t, "POST", "/notes", object{"text": fresh}, nil)
	notes.call(t, "GET", "/notes", nil, nil)
	notes.call(t, "GET", "/ticks", nil, nil)
	mustBerth(t, "-C", folder, "backup", "now", "--env", "production")
	before := dumpOf(t, folder)
	reads := watchReads(t, notes)

	killed := begin(t, "-C", folder, "rehearse", "production")
	killed.until("• Restore backup")
	killed.signal(syscall.SIGKILL)
	killed.end()
	if _, err := c.CoreV1().Namespaces().Get(t.Context(), rehearsals, metav1.GetOptions{}); err != nil {
		t.Errorf("a killed rehearsal leaves nothing to be removed: %v", err)
	}
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) { r.try(t, c, folder) })
	}
	for _, change := range harmless {
		r := aRelease{says: []string{"Nothing speaks against"}, migration: []string{fmt.Sprintf("op.execute(%q)", change)}}
		t.Run(change, func(t *testing.T) { r.try(t, c, folder) })
	}
	reads.end(t)
	if after := dumpOf(t, folder); after != before {
		t.Errorf("production was\n%s\nand is\n%s", before, after)
	}
}

// try rehearses a release.
func (r aRelease) try(t *testing.T, c *cluster, of string) {
	folder := flask(t)
	write(t, filepath.Join(folder, "berth.yaml"), readFile(t, filepath.Join(of, "berth.yaml")))
	write(t, filepath.Join(folder, ".env"), readFile(t, filepath.Join(of, ".env")))
	if r.config != nil {
		edit(t, folder, r.config)
	}
	if len(r.migration) > 0 {
		file := filepath.Join(folder, "migrations", "versions", "3_rehearsed.py")
		write(t, file, fmt.Sprintf(
			"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = \"3\"\ndown_revision = \"2\"\n\n\ndef upgrade():\n    %s\n", strings.Join(r.migration, "\n    ")))
		if err := os.Chmod(file, 0o644); err != nil { // the image's user is another
			t.Fatal(err)
		}
	}
	for file, changes := range map[string][]string{"app.py": r.app, "models.py": r.models} {
		path := filepath.Join(folder, file)
		text := strings.NewReplacer(changes...).Replace(readFile(t, path))
		if len(changes) > 0 && text == readFile(t, path) {
			t.Fatalf("%s has nothing of %q", file, changes)
		}
		write(t, path, text)
	}
	o := berth(t, "-C", folder, "rehearse", "production")
	o.wants(t, r.status, r.says...)
	t.Logf("it took %s and says:\n%s", o.took.Round(100*time.Millisecond), o.printed)
	if _, err := c.CoreV1().Namespaces().Get(t.Context(), rehearsals, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is left: %v", err)
	}
	volumes, err := c.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == rehearsals {
			t.Errorf("the volume %s is left", v.Name)
		}
	}
}

// dumpOf is production's database as pg_dump has it.
func dumpOf(t *testing.T, folder string) string {
	t.Helper()
	status, out, errs := piped(t, nil, "-C", folder, "exec", "production", "--pod", "flask-postgresql-0", "--", "pg_dump", "-U", "app", "app")
	if status != 0 || len(out) == 0 {
		t.Fatalf("pg_dump: status %d: %s", status, errs)
	}
	var dump strings.Builder
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) { // a dump's own
			dump.WriteString(line)
		}
	}
	return dump.String()
}

// reads asks for notes until it is ended.
type reads struct {
	stop      chan struct{}
	done      chan struct{}
	all, lost atomic.Int64
}

func watchReads(t *testing.T, of *site) *reads {
	t.Helper()
	r := &reads{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			r.all.Add(1)
			response, err := of.client.Get(of.url("/notes"))
			if err != nil || response.StatusCode != http.StatusOK {
				r.lost.Add(1)
			}
			if err == nil {
				response.Body.Close()
			}
		}
	}()
	return r
}

func (r *reads) end(t *testing.T) {
	t.Helper()
	close(r.stop)
	<-r.done
	if r.lost.Load() > 0 || r.all.Load() < 100 {
		t.Errorf("%d of %d requests were lost", r.lost.Load(), r.all.Load())
	}
}
