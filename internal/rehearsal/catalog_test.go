package rehearsal

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/postgrestest"
)

var postgres *postgrestest.Server

func TestMain(m *testing.M) { postgrestest.Main(m, &postgres) }

// shop is a database with customers and their orders.
const shop = `
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, "what for" text, cents int NOT NULL DEFAULT 0);
CREATE INDEX orders_customer ON orders (customer);
CREATE TABLE empty (id int);
CREATE SCHEMA audit;
CREATE TABLE audit.entries (id int, entry text);
CREATE VIEW totals AS SELECT customer, sum(cents) FROM orders GROUP BY customer;
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 50) n;
INSERT INTO orders SELECT n, 1 + n % 50, 'a thing', n FROM generate_series(1, 500) n;
INSERT INTO audit.entries SELECT n, 'entry' FROM generate_series(1, 10) n;
`

// run runs statements in a session of their own, which ends. What they have counted
// is there for the next session: a server tells it when it comes to it, else.
func run(t *testing.T, url, sql string) {
	t.Helper()
	c := postgrestest.Connect(t, url)
	for _, statements := range []string{sql, "SELECT pg_stat_force_next_flush()"} {
		if _, err := c.Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func look(t *testing.T, url string) *contents {
	t.Helper()
	c := postgrestest.Connect(t, url)
	all, err := readCatalog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func dumped(t *testing.T, url string) string {
	t.Helper()
	dump, err := exec.Command(filepath.Join(postgres.Bin, "pg_dump"), "--schema-only", "--no-owner", "--no-privileges", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(dump)
}

func TestWhatAMigrationDoesToTables(t *testing.T) {
	for _, test := range []struct {
		name, sql, want string
	}{
		{"nothing", "SELECT 1", ""},
		{"a column with a constant", "ALTER TABLE orders ADD note text NOT NULL DEFAULT 'none'", ""},
		{"an index", "CREATE INDEX ON orders (cents)", ""},
		{"a new type", "DROP VIEW totals; ALTER TABLE orders ALTER cents TYPE bigint", "orders: 500, rewritten"},
		{"rows updated", "UPDATE orders SET cents = 1 WHERE id <= 20", "orders: 500, 20 updated"},
		{"rows deleted", "DELETE FROM orders WHERE id > 490", "orders: 490, were 500, 10 deleted"},
		{"as many deleted as inserted", "DELETE FROM orders WHERE id > 499; INSERT INTO orders VALUES (1000, 1, 'x', 1)", "orders: 500, 1 inserted, 1 deleted"},
		{"truncated", "TRUNCATE orders", "orders: 0, were 500"},
		{"dropped", "DROP TABLE audit.entries; DROP TABLE empty", "audit.entries: dropped with 10; empty: dropped with 0"},
		{"renamed", "ALTER TABLE customers RENAME TO people", "people: 50, was called customers"},
		{"made again under its name", "CREATE TABLE copy AS SELECT * FROM audit.entries; DROP TABLE audit.entries; ALTER TABLE copy RENAME TO entries; ALTER TABLE entries SET SCHEMA audit",
			"audit.entries: 10, 10 inserted, rewritten"},
		{"a new table", "CREATE TABLE tags AS SELECT 'x' FROM generate_series(1, 3)", "tags: 3, new, 3 inserted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := postgres.Database(t)
			run(t, url, shop)
			before := look(t, url)
			run(t, url, test.sql)
			after := look(t, url)
			r := &Report{Tables: compareTables(before, after)}
			if got := strings.Join(r.tableLines(), "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if after.log < before.log || after.bytes <= 0 {
				t.Errorf("the log went from %d to %d, the database takes %d", before.log, after.log, after.bytes)
			}
		})
	}
}

// What a release command that failed has written may be rolled back.
func TestWhatAMigrationThatFailsHasDone(t *testing.T) {
	url := postgres.Database(t)
	run(t, url, shop)
	before := look(t, url)
	run(t, url, "BEGIN; UPDATE orders SET cents = 0; ROLLBACK; DELETE FROM customers WHERE id > 49 AND id NOT IN (SELECT customer FROM orders); DELETE FROM audit.entries WHERE id = 1")
	r := &Report{Tables: uncounted(compareTables(before, look(t, url)))}
	if got, want := strings.Join(r.tableLines(), "; "), "audit.entries: 9, were 10"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatAMigrationDoesToTheSchema(t *testing.T) {
	url := postgres.Database(t)
	run(t, url, shop)
	before := dumped(t, url)
	run(t, url, `
ALTER TABLE orders ADD note text;
ALTER TABLE orders DROP "what for";
ALTER TABLE orders ALTER customer SET NOT NULL;
DROP VIEW totals;
ALTER TABLE orders ALTER cents TYPE bigint;
DROP INDEX orders_customer;
CREATE UNIQUE INDEX customers_name ON customers (name);
CREATE TABLE tags (tag text);
DROP TABLE audit.entries;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
`)
	golden(t, "schema.txt", strings.Join(compareSchemas(before, dumped(t, url)).lines(), "\n")+"\n")
	if got := compareSchemas(before, before).lines(); len(got) != 1 || got[0] != "as it was" {
		t.Errorf("a schema differs from itself: %q", got)
	}
}

// SQLite keeps the statement of a table as it was written, and adds columns at its end.
func TestColumnsOfAStatement(t *testing.T) {
	before := "-- Name: notes; Type: TABLE; Schema: main; Owner: -\n\nCREATE TABLE notes (\n\tid INTEGER NOT NULL, \n\ttext VARCHAR NOT NULL, \n\tPRIMARY KEY (id, text), UNIQUE (id), UNIQUE (text)\n, author VARCHAR DEFAULT 'a, (b');\n"
	after := "-- Name: notes; Type: TABLE; Schema: main; Owner: -\n\nCREATE TABLE \"notes\" (\n\tid INTEGER NOT NULL,\n\ttext VARCHAR NOT NULL, PRIMARY KEY (id, text), UNIQUE (id), UNIQUE (text), price NUMERIC(10, 2));\n"
	want := "+ column notes.price: NUMERIC(10, 2); - column notes.author"
	if got := strings.Join(compareSchemas(before, after).lines(), "; "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLocksThatAreHeldLong(t *testing.T) {
	url := postgres.Database(t)
	migration := postgrestest.Connect(t, url)
	defer migration.Close(context.WithoutCancel(t.Context()))
	if _, err := migration.Exec(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	before, err := readCatalog(t.Context(), migration)
	if err != nil {
		t.Fatal(err)
	}
	w := startWatch(t.Context(), postgrestest.Connect(t, url), before)
	for _, sql := range []string{
		"BEGIN", "LOCK TABLE customers IN SHARE MODE", "ALTER TABLE orders ADD note text",
		"CREATE TABLE tags (tag text)", "INSERT INTO audit.entries VALUES (11, 'written, which keeps nobody away')",
		"SELECT pg_sleep(1.3)", "COMMIT", "BEGIN", "LOCK TABLE empty", "COMMIT",
	} {
		if _, err := migration.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	locks, peak := w.end()
	locks = keepAway(locks, nil)
	var got []string
	for _, l := range locks {
		if l.Seconds < 1 || l.Seconds > 60 {
			t.Errorf("%s is held for %.1f s", l.Table, l.Seconds)
		}
		got = append(got, fmt.Sprintf("%s of %s (%d)", l.Mode, l.Table, l.Rows))
	}
	for _, want := range []string{"AccessExclusiveLock of orders (500)", "ShareLock of customers (50)"} {
		if !strings.Contains(strings.Join(got, "; "), want) || len(got) != 2 {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if peak < before.bytes {
		t.Errorf("at most it took %d bytes, and %d before", peak, before.bytes)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(pause) {
		var sessions int
		if err := migration.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").Scan(&sessions); err != nil {
			t.Fatal(err)
		}
		if sessions == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are open still", sessions)
		}
	}
}
