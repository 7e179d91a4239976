package wal

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/internal/s3test"
)

// To a moment from a laptop with PostgreSQL, s3cmd and zstd, by the commands of
// docs/backups.md.
func TestReplaysWithPlainTools(t *testing.T) {
	s := newSite(t)
	s.stream()
	s.await(s.now())
	s.write(1, 100)
	s.exec("SELECT pg_switch_wal()")
	s.write(101, 200)
	at := s.now()
	s.exec("DELETE FROM articles")
	w := s.await(s.now())

	documented, err := os.ReadFile("../../docs/backups.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(documented), "### A moment, too\n")
	_, section, _ = strings.Cut(section, "```sh\n")
	commands, _, found := strings.Cut(section, "```")
	if !found {
		t.Fatal("docs/backups.md has no commands for a moment")
	}
	base := strings.TrimSuffix(filepath.Base(s.objects("base-*.tar.zst")[0]), ".tar.zst")
	commands = strings.NewReplacer(
		"s3://BUCKET/PREFIX/", "s3://"+s.bucket+"/backups/", "CHAIN", w.Chain, "base-ID", base, "s3cmd get", "s3cmd --config=s3cfg --quiet get",
		"2026-03-01 14:03:00+00", at.UTC().Format("2006-01-02 15:04:05.999999+00"), "unix_socket_directories=/tmp", `unix_socket_directories="$PWD" &`,
	).Replace(commands)
	commands += `server=$!
trap 'kill -INT $server; wait $server' EXIT
until psql --no-psqlrc --host="$PWD" --username=berth --dbname=postgres --tuples-only --no-align --command='SELECT count(*) FROM articles' 2>/dev/null; do
	kill -0 $server && sleep 0.1
done
`
	// PostgreSQL does not run as root: the server's folder is its user's.
	folder, err := os.MkdirTemp(s.server.Folder, "plain-")
	if err != nil {
		t.Fatal(err)
	}
	s3cfg := "[default]\naccess_key = " + s3test.AccessKey + "\nsecret_key = " + s3test.SecretKey +
		"\nhost_base = " + s3.Address + "\nhost_bucket = " + s3.Address + "\nuse_https = False\nbucket_location = us-east-1\n"
	for name, text := range map[string]string{"s3cfg": s3cfg, "script": commands} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	arguments := []string{"bash", "-euo", "pipefail", "script"}
	if os.Geteuid() == 0 {
		if err := exec.Command("chown", "-R", "postgres", folder).Run(); err != nil {
			t.Fatal(err)
		}
		arguments = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}, arguments...)
	}
	script := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
	script.Dir, script.WaitDelay = folder, 10*time.Second
	script.Env = append(os.Environ(), "PATH="+s.server.Bin+":"+os.Getenv("PATH"), "HOME="+folder)
	var said strings.Builder
	script.Stderr = &said
	output, err := script.Output()
	if err != nil || !strings.HasSuffix(string(output), "\n200\n") {
		t.Errorf("it counts %q, want 200; %v (the test needs s3cmd and zstd):\n%s", output, err, said.String())
	}
}
