package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	// pgbench's clients run for seconds at a time, as fast as the database takes it.
	seconds, clients = 20, 8
	// behind is how much log a stream that has caught up may have before it: the
	// segment that is being filled, and one.
	behind = 32 << 20
)

// throughput runs pgbench once and prints its transactions a second.
const throughput = `pgbench --no-vacuum --client=%d --jobs=2 --time=%d "$DATABASE_URL" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'`

// receivers are what takes the log from the database meanwhile.
var receivers = []string{"nothing", "pg_receivewal alone", "backup stream"}

// measureLog measures the write-ahead log: what the stream of it takes from the
// database, in turns with nothing and with pg_receivewal alone, which keeps what it
// gets; and how fast a base is made and the log replayed, beside pg_basebackup alone.
// Here the database, its clients, the stream and the bucket share the processors and
// the disk.
func (b *bench) measureLog(ctx context.Context, rounds int) error {
	log, err := os.OpenFile(filepath.Join(b.folder, "log"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// The first stream makes a base, which is measured apart.
	first, err := b.receiver(ctx, log, "backup stream")
	if err != nil {
		return err
	}
	if err := errors.Join(b.baseMade(), first.stop()); err != nil {
		return err
	}
	type result struct{ tps, cpu, s3 float64 }
	results := map[string][]result{}
	for round := range rounds {
		for _, name := range receivers {
			fmt.Fprintf(os.Stderr, "round %d of %d: pgbench, its log received by %s\n", round+1, rounds, name)
			r, err := b.receiver(ctx, log, name)
			if err != nil {
				return err
			}
			cpu, s3 := r.cpu(), cpuTime(b.s3)
			tps, err := b.number(ctx, fmt.Sprintf(throughput, clients, seconds))
			results[name] = append(results[name], result{tps, (r.cpu() - cpu).Seconds() / seconds, (cpuTime(b.s3) - s3).Seconds() / seconds})
			if err := errors.Join(err, r.stop(), b.forgetAlone(ctx)); err != nil {
				return err
			}
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\ntransactions/s\tof nothing\tits cores\tS3 server's cores\t  pgbench with %d clients, its log received by\t\n", clients)
	for _, name := range receivers {
		var ratios []float64
		for i, r := range results[name] {
			ratios = append(ratios, r.tps/results[receivers[0]][i].tps)
		}
		of := func(value func(result) float64) float64 { return median(results[name], value) }
		fmt.Fprintf(table, "%.0f\t%.3f\t%.2f\t%.2f\t  %s\t\n", of(func(r result) float64 { return r.tps }),
			median(ratios, func(f float64) float64 { return f }), of(func(r result) float64 { return r.cpu }), of(func(r result) float64 { return r.s3 }), name)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return b.measureBase(ctx, log)
}

// baseMade waits until the first base is there.
func (b *bench) baseMade() (err error) {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		if _, err = b.said("base made"); err == nil {
			return nil
		}
	}
	return err
}

func (b *bench) measureBase(ctx context.Context, log *os.File) error {
	fmt.Fprintln(os.Stderr, "a base, pg_basebackup alone, and a replay")
	stream, err := b.receiver(ctx, log, "backup stream")
	if err != nil {
		return err
	}
	defer stream.stop()
	run := func(script string) error {
		_, err := b.measure(ctx, way{script: script})
		return err
	}
	before, err := b.said("base made")
	if err != nil {
		return err
	}
	if err := run(`psql --quiet --dbname="$DATABASE_URL" --command=CHECKPOINT; BACKUP_CONTINUOUS=true backup run --verify=false >/dev/null 2>>"$LOG"`); err != nil {
		return fmt.Errorf("make a base: %w", err)
	}
	alone, err := b.measure(ctx, way{script: `pg_basebackup --dbname="$DATABASE_URL" --pgdata=- --format=tar --wal-method=none --checkpoint=fast >/dev/null 2>&1`})
	if err != nil {
		return fmt.Errorf("pg_basebackup alone: %w", err)
	}
	const position = `psql --tuples-only --no-align --dbname="$DATABASE_URL" --command="SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"`
	from, err := b.number(ctx, position)
	if err != nil {
		return err
	}
	if _, err := b.number(ctx, fmt.Sprintf(throughput, clients, 2*seconds)); err != nil {
		return err
	}
	to, err := b.number(ctx, position)
	if err != nil {
		return err
	}
	if err := b.caughtUp(ctx); err != nil {
		return err
	}
	if err := run(`BACKUP_CONTINUOUS=true backup run >/dev/null 2>>"$LOG"`); err != nil {
		return fmt.Errorf("replay the log: %w", err)
	}
	bases, err := b.said("base made")
	if err != nil {
		return err
	}
	replays, err := b.said("replayed the log")
	if err != nil {
		return err
	}
	made := bases[len(before)] // those before are the stream's
	plain := float64(made.PlainBytes) / 1e6
	fmt.Printf("base of %.0f MB: %.0f MB/s into the bucket, pg_basebackup alone, thrown away, %.0f MB/s\n", plain, plain/made.Seconds, plain/alone.wall.Seconds())
	fmt.Printf("replay of %.0f MB of log: %.0f MB/s\n", (to-from)/1e6, (to-from)/1e6/replays[0].Seconds)
	return nil
}

// number runs a script that prints one.
func (b *bench) number(ctx context.Context, script string) (float64, error) {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Env = b.env
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", script, err, &said)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// A receiver takes the log from the database; nil is none.
type receiver struct{ command *exec.Cmd }

// receiver starts the one of a name and waits until it has caught up.
func (b *bench) receiver(ctx context.Context, log *os.File, name string) (*receiver, error) {
	script := ""
	switch name {
	case "backup stream":
		script = "exec backup stream"
	case "pg_receivewal alone":
		// As the stream has it, with a slot of its own.
		script = `mkdir -p received; psql --quiet --dbname="$DATABASE_URL" --command="SELECT pg_create_physical_replication_slot('alone', true)" >/dev/null
			exec pg_receivewal --dbname="$DATABASE_URL" --directory=received --slot=alone --synchronous --no-loop --status-interval=1 2>/dev/null`
	default:
		return nil, nil
	}
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir, command.Env = b.folder, append(b.env, "TMPDIR="+b.folder)
	command.Stderr = log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	r := &receiver{command}
	if err := b.caughtUp(ctx); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// forgetAlone removes the slot and the log of pg_receivewal alone, if there are any.
func (b *bench) forgetAlone(ctx context.Context) error {
	_, err := b.number(ctx, `rm -rf "$HOME/received"; psql --tuples-only --no-align --dbname="$DATABASE_URL" --command="SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE slot_name = 'alone'"`)
	return err
}

func (b *bench) caughtUp(ctx context.Context) error {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		left, err := b.number(ctx, `psql --tuples-only --no-align --dbname="$DATABASE_URL" --command="SELECT COALESCE(min(pg_current_wal_lsn() - restart_lsn) FILTER (WHERE active), 1e12) FROM pg_replication_slots"`)
		if err != nil {
			return err
		}
		if left < behind {
			return nil
		}
	}
	return errors.New("the stream does not catch up within five minutes")
}

func (r *receiver) cpu() time.Duration {
	if r == nil {
		return 0
	}
	return groupOf(r.command.Process.Pid).cpu
}

func (r *receiver) stop() error {
	if r == nil {
		return nil
	}
	if err := r.command.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := r.command.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
