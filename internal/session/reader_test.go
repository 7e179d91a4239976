package session

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"berth/internal/postgrestest"
)

// The role reads what there is, and no setting of its session lets it write.
func TestTheReaderCannotWrite(t *testing.T) {
	server, err := postgrestest.Start("fsync=off", "synchronous_commit=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	url := server.Database(t)
	statements, err := readerSQL("a password")
	if err != nil {
		t.Fatal(err)
	}
	psql := func(input string, more ...string) (string, error) {
		command := exec.Command(filepath.Join(server.Bin, "psql"), append([]string{"--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url}, more...)...)
		command.Stdin = strings.NewReader(input)
		said, err := command.CombinedOutput()
		return string(said), err
	}
	const table = "CREATE TABLE article (title text); INSERT INTO article VALUES ('one'); ALTER TABLE article ENABLE ROW LEVEL SECURITY;"
	for _, script := range []string{table, statements, statements} { // and once more, on what is there
		if said, err := psql(script); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password = reader, "a password"
	connection, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	var rows int
	if err := connection.QueryRow(t.Context(), "SELECT count(*) FROM article").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("it reads %d rows, %v", rows, err)
	}
	if _, err := connection.Exec(t.Context(), "CREATE TEMP TABLE own (n int)"); err == nil || !strings.Contains(err.Error(), "read-only transaction") {
		t.Errorf("by default a transaction is not read-only: %v", err)
	}
	if _, err := connection.Exec(t.Context(), "SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	const insufficientPrivilege = "SQLSTATE 42501"
	for _, statement := range []string{
		"INSERT INTO article VALUES ('two')", "DELETE FROM article", "TRUNCATE article", "DROP TABLE article",
		"CREATE TABLE own (n int)", "CREATE ROLE other", "ALTER ROLE " + reader + " SUPERUSER",
		"SET ROLE " + postgrestest.Role, "SET SESSION AUTHORIZATION " + postgrestest.Role,
		"COPY article TO PROGRAM 'cat'", "COPY article TO '/tmp/article'", "SELECT pg_read_file('/etc/passwd')",
	} {
		if _, err := connection.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), insufficientPrivilege) {
			t.Errorf("%s: %v", statement, err)
		}
	}
}
