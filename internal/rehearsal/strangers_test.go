package rehearsal

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/internal/postgrestest"
)

// unlike are databases that a release does nothing to, and nothing is found to have
// changed in.
var unlike = map[string]string{
	"columns named like what is asked for": `CREATE TABLE t (t text, c int, n int, a int NOT NULL); INSERT INTO t VALUES (NULL, 1, 1, 1)`,
	"rows of another server": `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1'); CREATE USER MAPPING FOR PUBLIC SERVER far;
		CREATE TABLE p (id bigserial PRIMARY KEY, i int) PARTITION BY RANGE (id); CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (9); INSERT INTO p VALUES (1, 1);
		CREATE TABLE q (i int, j serial) PARTITION BY LIST (i); CREATE FOREIGN TABLE f PARTITION OF q FOR VALUES IN (1) SERVER far; CREATE TABLE q0 PARTITION OF q DEFAULT; INSERT INTO q VALUES (2);
		CREATE TABLE parent (i int NOT NULL); CREATE FOREIGN TABLE child () INHERITS (parent) SERVER far; INSERT INTO parent VALUES (1); CREATE MATERIALIZED VIEW m AS SELECT * FROM f WITH NO DATA`,
	"a sequence at its end":     `CREATE TABLE t (id bigserial PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1); SELECT setval('t_id_seq', 9223372036854775807)`,
	"a rule, a view, a trigger": `CREATE TABLE t (a int NOT NULL); INSERT INTO t VALUES (1); CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING; CREATE TABLE u (a int); INSERT INTO u VALUES (1); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION f()`,
	"constraints that are put off": `CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED, b int NOT NULL); INSERT INTO t VALUES (1, 1);
		CREATE TABLE k (i int PRIMARY KEY, b int REFERENCES k DEFERRABLE INITIALLY DEFERRED); INSERT INTO k VALUES (1, 1)`,
	"row security of everybody": `CREATE TABLE t (a int NOT NULL); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (false)`,
}

func TestStrangersWithoutAChange(t *testing.T) {
	files, err := filepath.Glob("../../cmd/backup/testdata/strangers/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	check := func(t *testing.T, url string) {
		t.Helper()
		c := postgrestest.Connect(t, url)
		before, err := readContents(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		after, err := readContents(t.Context(), c, before)
		if err != nil {
			t.Fatal(err)
		}
		if changed := compareWrites(after.insertions, before.sequences, after.sequences); len(changed) > 0 {
			t.Errorf("taken otherwise: %+v", changed)
		}
		if changed := uncounted(compareTables(before, after)); len(changed) > 0 {
			t.Errorf("changed: %+v", changed)
		}
		var refused []string
		for _, i := range before.insertions {
			if i.refused != "" {
				refused = append(refused, i.table+": "+i.refused)
			}
		}
		t.Logf("tried %d tables, refused before: %s", len(before.insertions), strings.Join(refused, "; "))
	}
	for _, file := range files {
		// Rows are written as the application does, on its own path. Where that hides
		// PostgreSQL's tables, nothing can be asked.
		if filepath.Base(file) == "search_path.sql" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			url := postgres.Database(t)
			load := exec.Command(filepath.Join(postgres.Bin, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--dbname="+url, "--file="+file)
			if said, err := load.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			check(t, url)
		})
	}
	for name, sql := range unlike {
		t.Run(name, func(t *testing.T) {
			url := postgres.Database(t)
			run(t, url, sql)
			check(t, url)
		})
	}
}
