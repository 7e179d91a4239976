package anonymize

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"berth/internal/fault"
	"berth/internal/postgrestest"
)

var postgres *postgrestest.Server

func TestMain(m *testing.M) { postgrestest.Main(m, &postgres) }

// people is a database with users, and whatever may go wrong with one.
const people = `
CREATE TABLE users (
	id serial PRIMARY KEY, email text NOT NULL UNIQUE, name varchar(80), "Phone; DROP TABLE users" text UNIQUE, born date,
	domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED
);
CREATE UNIQUE INDEX users_lower ON users (lower(email));
CREATE TABLE orders (id serial PRIMARY KEY, email text REFERENCES users (email), note text, details jsonb, scan bytea);
CREATE TABLE audit (entry text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (OLD.email); RETURN NEW; END $$;
INSERT INTO users (email, name, "Phone; DROP TABLE users", born)
	SELECT 'Person' || n || '@shop.example', CASE WHEN n % 3 > 0 THEN 'Name of ' || n END, '+49 30 ' || 100000 + n, '1990-01-01' FROM generate_series(1, 500) n;
INSERT INTO orders (email, note, details) SELECT email, 'two of each', '{"gift": true}' FROM users;
CREATE TRIGGER noted AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
CREATE MATERIALIZED VIEW newest AS SELECT email, name FROM users ORDER BY id DESC LIMIT 10;
CREATE MATERIALIZED VIEW unfilled AS SELECT email FROM users WITH NO DATA;
CREATE TABLE parts (id int, email text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
INSERT INTO parts SELECT id, email FROM users;
ANALYZE;
`

// all masks every column that people's database needs.
func all() Masks {
	return Masks{
		"users.email": Email, "users.name": "Somebody", "users.Phone; DROP TABLE users": "none", "users.born": Null,
		"public.orders.email": Email, "parts.email": Email,
	}
}

// database is a fresh one, with a session of its superuser.
func database(t *testing.T, sql string) *pgx.Conn {
	t.Helper()
	c := postgrestest.Connect(t, postgres.Database(t))
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return c
}

func one[T any](t *testing.T, c *pgx.Conn, query string) (value T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestWhoIsInACopyIsNobody(t *testing.T) {
	c := database(t, people)
	done, err := Apply(t.Context(), c, all())
	if err != nil {
		t.Fatal(err)
	}
	if done.Rows["users.email"] != 500 || done.Rows["users.name"] != 334 || done.Rows["users.born"] != 500 || done.Values < 1300 || done.Searched < 10_000 {
		t.Errorf("it has done %+v", done)
	}
	for what, query := range map[string]string{
		"addresses lead nowhere":               "SELECT bool_and(email ~ '^[0-9a-f]{20}@example\\.invalid$') FROM users",
		"addresses stay unique":                "SELECT count(DISTINCT lower(email)) = 500 FROM users",
		"equal ones stay equal elsewhere":      "SELECT count(*) = 500 FROM users JOIN orders USING (email) JOIN parts USING (email)",
		"a text is the same everywhere":        "SELECT bool_and(name = 'Somebody') FROM users WHERE name IS NOT NULL",
		"what was NULL is NULL":                "SELECT count(*) = 166 FROM users WHERE name IS NULL",
		"a text that must be unique is":        `SELECT count(DISTINCT "Phone; DROP TABLE users") = 500 AND bool_and("Phone; DROP TABLE users" LIKE 'none %') FROM users`,
		"null is NULL":                         "SELECT bool_and(born IS NULL) FROM users",
		"triggers did not act":                 "SELECT count(*) = 0 FROM audit",
		"materialized views were refreshed":    "SELECT bool_and(email LIKE '%@example.invalid') AND count(*) = 10 FROM newest",
		"what is made of a column was, too":    "SELECT bool_and(domain = 'example.invalid') FROM users",
		"statistics do not know anybody":       "SELECT NOT EXISTS (SELECT FROM pg_stats WHERE most_common_vals::text || histogram_bounds::text ILIKE '%shop.example%')",
		"what is not named stays as it is":     "SELECT bool_and(note = 'two of each') FROM orders",
		"triggers act again for who comes now": "SELECT current_setting('session_replication_role') = 'origin'",
	} {
		if !one[bool](t, c, query) {
			t.Errorf("not so: %s", what)
		}
	}
}

// Columns of other people's kinds. Each has a value of somebody, or of two.
func TestStrangers(t *testing.T) {
	const single, two = `INSERT INTO users VALUES ('Person1@shop.example')`, `INSERT INTO users VALUES ('Person1@shop.example'), ('Person2@shop.example')`
	for _, test := range []struct {
		name, sql string
		masks     Masks
		so        string // is true afterwards
	}{
		{"a citext and a text that it equals", `CREATE EXTENSION citext; CREATE TABLE users (e citext PRIMARY KEY); CREATE TABLE o (e citext REFERENCES users); INSERT INTO o VALUES ('person1@SHOP.example');`,
			Masks{"users.e": Email, "o.e": Email}, "SELECT count(*) = 1 FROM users JOIN o USING (e)"},
		{"a reference to a text", `CREATE TABLE users (e text PRIMARY KEY); CREATE TABLE o (e text REFERENCES users);` + two + `; INSERT INTO o SELECT * FROM users`,
			Masks{"users.e": "x", "o.e": "x"}, "SELECT count(*) = 2 FROM users JOIN o USING (e)"},
		{"an index of a partition", `CREATE TABLE users (e text, i int DEFAULT 1) PARTITION BY LIST (i); CREATE TABLE u1 PARTITION OF users DEFAULT; CREATE UNIQUE INDEX ON u1 (e);` + two,
			Masks{"users.e": "x"}, "SELECT count(DISTINCT e) = 2 FROM users"},
		{"an exclusion", `CREATE EXTENSION btree_gist; CREATE TABLE users (e text, EXCLUDE USING gist (e WITH =));` + two, Masks{"users.e": "x"}, "SELECT count(DISTINCT e) = 2 FROM users"},
		{"a trigger that always acts", `CREATE TABLE users (e text); CREATE TABLE log (x text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (OLD.e); RETURN NULL; END $$;
			CREATE TRIGGER a BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE users ENABLE ALWAYS TRIGGER a;
			CREATE TRIGGER r BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE users ENABLE REPLICA TRIGGER r;
			CREATE RULE u AS ON UPDATE TO users DO ALSO INSERT INTO log VALUES (OLD.e); ALTER TABLE users ENABLE ALWAYS RULE u;` + single,
			Masks{"users.e": Email}, "SELECT string_agg(tgenabled::text, '' ORDER BY tgname) = 'AR' AND (SELECT ev_enabled = 'A' FROM pg_rewrite WHERE rulename = 'u') AND NOT EXISTS (SELECT FROM log) FROM pg_trigger"},
		{"a child of a table", `CREATE TABLE users (e text); CREATE TABLE admins (x int) INHERITS (users); INSERT INTO admins VALUES ('Person1@shop.example', 1)`, Masks{"users.e": Email}, "SELECT bool_and(e LIKE '%.invalid') FROM admins"},
		{"functions on a path", `CREATE FUNCTION inner_(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'; CREATE FUNCTION outer_(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT inner_($1)';
			CREATE TABLE users (e text, g text GENERATED ALWAYS AS (outer_(e)) STORED); CREATE INDEX ON users (outer_(e)); ` + single + `; SET search_path = pg_catalog`,
			Masks{"users.e": Email}, "SELECT bool_and(g LIKE '%.invalid') FROM public.users"},
		{"names that differ in case", `CREATE TABLE "Users" ("Email" text); INSERT INTO "Users" VALUES ('Person1@shop.example')`, Masks{"Users.Email": Email}, `SELECT bool_and("Email" LIKE '%.invalid') FROM "Users"`},
		{"the widest table", `DO $$ BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('c' || n || ' int', ',') FROM generate_series(1, 1600) n) || ')'; END $$; CREATE TABLE none (); CREATE TABLE users (e text);` + single,
			Masks{"users.e": Email}, "SELECT true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sql := test.sql
			if strings.Contains(test.name, "citext") {
				sql = strings.Replace(sql, "CREATE TABLE o", single+"; CREATE TABLE o", 1)
			}
			c := database(t, sql)
			if _, err := Apply(t.Context(), c, test.masks); err != nil {
				t.Fatal(err, fault.Hint(err))
			}
			if !one[bool](t, c, test.so) {
				t.Errorf("not so: %s", test.so)
			}
		})
	}
	for _, test := range []struct {
		name, sql  string
		masks      Masks
		says, hint string
	}{
		{"another case", `CREATE TABLE "Users" ("Email" text)`, Masks{"users.email": Email}, "no such column", "did you mean public.Users.Email?"},
		{"another schema", `CREATE SCHEMA app; CREATE TABLE app.users (email text)`, Masks{"users.email": Email}, "no such column", "did you mean app.users.email?"},
		{"a view", `CREATE VIEW users AS SELECT 'x' AS e`, Masks{"users.e": Email}, "it is of a view", "tables that the view"},
		{"a foreign table", `CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE users (e text) SERVER f OPTIONS (filename '/none')`, Masks{"users.e": Email}, "it is of a foreign table", "leave it out"},
		{"a foreign partition", `CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; CREATE TABLE users (e text) PARTITION BY LIST (e); CREATE FOREIGN TABLE u PARTITION OF users DEFAULT SERVER f OPTIONS (filename '/none')`,
			Masks{"users.e": Email}, "a part of it is a foreign table", "detach"},
		{"a reference that would lead nowhere", `CREATE TABLE users (e text PRIMARY KEY); CREATE TABLE o (e text REFERENCES users)`, Masks{"users.e": Email, "o.e": "x"}, "public.o.e references public.users.e, and both must have the same mask", "name both"},
		{"a reference that is forgotten", `CREATE TABLE users (e text PRIMARY KEY); CREATE TABLE o (e text REFERENCES users)`, Masks{"users.e": Email}, "both must have the same mask", "name both"},
		{"a check", `CREATE TABLE users (e text CHECK (e LIKE '%shop.example'));` + single, Masks{"users.e": Email}, "users_e_check", "choose a mask"},
		{"a domain", `CREATE DOMAIN d AS text NOT NULL; CREATE TABLE users (e d);` + single, Masks{"users.e": Null}, "does not allow null", "choose a mask"},
		{"a materialized view", `CREATE TABLE users (e text);` + single + `; CREATE MATERIALIZED VIEW m AS SELECT 1 / position('shop' IN e) FROM users`, Masks{"users.e": Email}, "division by zero", "materialized view"},
		{"JSON of ASCII", `CREATE TABLE users (e text); INSERT INTO users VALUES ('Jürgen "Größmann"'); CREATE TABLE o (x json); INSERT INTO o VALUES ('{"a": "J\u00FCrgen \"Gr\u00f6\u00dfmann\""}')`, Masks{"users.e": "x"}, "public.o.x holds", "too"},
		{"JSON of UTF-8", `CREATE TABLE users (e text); INSERT INTO users VALUES ('Jürgen "Größmann"'); CREATE TABLE o (x jsonb); INSERT INTO o VALUES ('{"a": "Jürgen \"Größmann\""}')`, Masks{"users.e": "x"}, "public.o.x holds", "too"},
		{"a row", `CREATE TYPE r AS (a text, b int); CREATE TABLE users (e text); INSERT INTO users VALUES ('Anne "the" Person'); CREATE TABLE o (x r); INSERT INTO o VALUES (ROW('Anne "the" Person', 1))`, Masks{"users.e": "x"}, "public.o.x holds", "too"},
		{"capitals", `CREATE TABLE users (e text); INSERT INTO users VALUES ('Jürgen Ökonom'); CREATE TABLE o (x text); INSERT INTO o VALUES ('an JÜRGEN ÖKONOM!')`, Masks{"users.e": "x"}, "public.o.x holds", "too"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := database(t, test.sql)
			if _, err := Apply(t.Context(), c, test.masks); err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
		})
	}
}

// A value that is found anywhere else ends it, and the column is named.
func TestWhatIsFoundElsewhere(t *testing.T) {
	for _, test := range []struct {
		name, sql, column string
		rows              int64
	}{
		{"the same value", "UPDATE orders SET note = 'person7@SHOP.example' WHERE id IN (7, 8)", "public.orders.note", 2},
		{"within a text", "UPDATE orders SET note = 'ring +49 30 100007 please' WHERE id = 7", "public.orders.note", 1},
		{"within JSON", `UPDATE orders SET details = '{"to": ["Person9@shop.example"]}' WHERE id = 7`, "public.orders.details", 1},
		{"within bytes", `UPDATE orders SET scan = '\x00ff' || 'Person9@shop.example'::bytea WHERE id = 7`, "public.orders.scan", 1},
		{"in another schema", "CREATE SCHEMA old; CREATE TABLE old.users AS SELECT email AS address FROM users", "old.users.address", 500},
		{"in a large object", "SELECT lo_from_bytea(0, 'Person9@shop.example')", "large objects", 1},
		{"in an array", "CREATE TABLE lists (members text[]); INSERT INTO lists SELECT array_agg(email) FROM users", "public.lists.members", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := database(t, people+test.sql)
			_, err := Apply(t.Context(), c, all())
			var found *Found
			if !errors.As(err, &found) || len(found.Columns) != 1 || found.Columns[0].Column != test.column || found.Columns[0].Rows != test.rows {
				t.Fatalf("got %v, want %d rows of %s", err, test.rows, test.column)
			}
			if strings.Contains(strings.ToLower(err.Error()), "shop.example") || fault.Hint(err) == "" {
				t.Errorf("it says what it found, or not what to do: %v", err)
			}
		})
	}
}

// What is short is too common to tell anything, and a part of a mask is no secret.
func TestWhatIsNotSearchedFor(t *testing.T) {
	c := database(t, `CREATE TABLE users (name text); CREATE TABLE words (word text);
		INSERT INTO users VALUES ('Bob'), ('Somebody'), ('Miller'); INSERT INTO words VALUES ('Bob'), ('somebody'), ('a Miller');`)
	if _, err := Apply(t.Context(), c, Masks{"users.name": "Somebody Else"}); err != nil {
		t.Error(err)
	}
	c = database(t, `CREATE TABLE users (name text); CREATE TABLE words (word text); INSERT INTO users VALUES ('Miller'); INSERT INTO words VALUES ('miller');`)
	if _, err := Apply(t.Context(), c, Masks{"users.name": "Somebody"}); err == nil {
		t.Error("a short value that is all of a field is not found")
	}
}

func TestWhatCannotBeMasked(t *testing.T) {
	for _, test := range []struct{ column, mask, says string }{
		{"users.mail", Email, "mask users.mail: the database has no such column"},
		{"public.user.email", Email, "mask public.user.email: the database has no such column"},
		{"users", Email, "it must be table.column"},
		{"users.email", Null, "it cannot be null there"},
		{"users.born", "never", "the column holds no text"},
		{"users.domain", Email, "generated by the database"},
		{"users.name", strings.Repeat("x", 81), "mask users.name: ERROR: value too long"},
		{"users.email'; DROP TABLE users; --", Email, "the database has no such column"},
	} {
		c := database(t, people)
		if _, err := Apply(t.Context(), c, Masks{test.column: test.mask}); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", test.column, err, test.says)
		}
		if got := one[string](t, c, "SELECT email FROM users WHERE id = 1"); got != "Person1@shop.example" {
			t.Errorf("%s: what cannot be masked is left half masked: %s", test.column, got)
		}
	}
}
