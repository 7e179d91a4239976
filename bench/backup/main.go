// Command backup measures the backup job beside the way that it replaces, on
// one database, against one S3 server, in one run:
//
//	go run ./bench/backup
//
// "pg_dump" alone, thrown away, is the floor; "original" is pg_dump through
// gzip into a file and s3cmd; "backup run" is this job without its
// verification. Then a dump is restored by psql from a local file and by
// "backup restore" out of the bucket, into the same server. At last it measures what
// the write-ahead log costs that goes into the bucket as it is written.
//
// CPU is of the programs; that of the S3 server stands apart, though it shares
// the machine's cores, and PostgreSQL's is not counted. Memory is the largest sum of the
// resident sizes of a way's processes; disk is what lay in its temporary folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"

	"berth/internal/fault"
	"berth/internal/postgrestest"
	"berth/internal/s3test"
)

func main() {
	scale := flag.Int("scale", 60, "scale of pgbench: 15 MB each, and as much text as a fifth of that")
	rounds := flag.Int("rounds", 3, "how often each way is measured, in turns; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *scale, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}

// A way is one thing to measure: a shell script, in the environment of all.
type way struct{ name, prepare, script string }

var ways = []way{
	{name: "pg_dump alone", script: `pg_dump --dbname="$DATABASE_URL" >/dev/null`},
	{name: "original: pg_dump | gzip, s3cmd put",
		script: `pg_dump --dbname="$DATABASE_URL" | gzip >"$TMPDIR/dump.sql.gz"; s3cmd --quiet --config="$S3CMD" put "$TMPDIR/dump.sql.gz" "s3://$BUCKET_NAME/dump.sql.gz"`},
	{name: "backup run", script: `backup run --verify=false >/dev/null 2>>"$LOG"`},
	{name: "backup run, BACKUP_FORMAT=custom", script: `BACKUP_PREFIX=custom/ BACKUP_FORMAT=custom backup run --verify=false >/dev/null 2>>"$LOG"`},
	{name: "psql, from a local file",
		prepare: `[ -e "$PLAIN" ] || pg_dump --dbname="$DATABASE_URL" >"$PLAIN"; psql --quiet --dbname="$SERVER_URL" --command='DROP DATABASE IF EXISTS restored' --command='CREATE DATABASE restored'`,
		script:  `psql --no-psqlrc --quiet --output=/dev/null --dbname="$RESTORED_URL" --file="$PLAIN"`},
	{name: "backup restore, compared and swapped in",
		prepare: `psql --quiet --dbname="$SERVER_URL" --command='DROP DATABASE IF EXISTS restored' --command='CREATE DATABASE restored'`,
		script: `ID=$(backup list --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)
			DATABASE_URL="$RESTORED_URL" backup restore --yes --no-safety-backup --from="$DATABASE_NAME" "$ID" >/dev/null 2>>"$LOG"`},
}

func run(ctx context.Context, scale, rounds int) (err error) {
	if _, err := exec.LookPath("s3cmd"); err != nil {
		return fault.WithHint(errors.New("s3cmd is not installed"), "Install it: apt-get install s3cmd")
	}
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	// The scratch server runs as another user.
	if err := os.Chmod(folder, 0o711); err != nil {
		return err
	}
	postgres, err := postgrestest.Start("shared_buffers=256MB", "max_wal_size=4GB", "checkpoint_timeout=30min")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, postgres.Stop()) }()
	s3, err := s3test.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s3.Stop()) }()
	b := &bench{folder: folder, s3: s3.PID()}
	if err := b.prepare(ctx, postgres, s3, scale); err != nil {
		return err
	}

	results := make([][]measurement, len(ways))
	for round := range rounds {
		for i, w := range ways {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, w.name)
			m, err := b.measure(ctx, w)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			m.stored, err = b.takeStored(s3)
			if err != nil {
				return err
			}
			results[i] = append(results[i], m)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "wall s\tCPU s\tS3 server's CPU s\tmemory MB\tdisk MB\tin the bucket MB\t\t")
	for i, w := range ways {
		slices.SortFunc(results[i], func(a, b measurement) int { return int(a.wall - b.wall) })
		m := results[i][len(results[i])/2]
		fmt.Fprintf(table, "%.2f\t%.1f\t%.1f\t%d\t%d\t%d\t  %s\t\n", m.wall.Seconds(), m.cpu.Seconds(), m.s3.Seconds(), m.memory>>20, m.disk>>20, m.stored>>20, w.name)
	}
	loading, err := b.loading()
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "%.2f\t\t\t\t\t\t  of that, loading it\t\n", loading)
	if err := table.Flush(); err != nil {
		return err
	}
	return b.measureLog(ctx, rounds)
}
