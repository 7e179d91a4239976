package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"berth/internal/postgrestest"
	"berth/internal/s3test"
)

// A bench is the database, the bucket and the environment in which all ways are measured.
type bench struct {
	folder string
	s3     int // the S3 server's process
	env    []string
	bucket string
	seen   int64 // what takeStored has found of backups so far
}

// prepare fills the database and sets up the environment of the ways.
func (b *bench) prepare(ctx context.Context, postgres *postgrestest.Server, s3 *s3test.Server, scale int) error {
	database, err := postgres.CreateDatabase(ctx)
	if err != nil {
		return err
	}
	address, err := url.Parse(database)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(address.Path, "/")
	if b.bucket, err = s3.CreateBucket(ctx); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(b.folder, "backup"), "./cmd/backup")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the job: %w\n%s", err, output)
	}
	config := filepath.Join(b.folder, "s3cfg")
	text := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\nbucket_location = us-east-1\n",
		s3test.AccessKey, s3test.SecretKey, s3.Address, s3.Address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	b.env = []string{
		"PATH=" + b.folder + ":" + postgres.Bin + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + b.folder, "S3CMD=" + config,
		"LOG=" + filepath.Join(b.folder, "log"), "PLAIN=" + filepath.Join(b.folder, "plain.sql"), "PG_BIN=" + postgres.Bin,
		"DATABASE_URL=" + database, "DATABASE_NAME=" + name, "WAL_USER=" + address.User.Username(), "SERVER_URL=" + postgres.URL("postgres"), "RESTORED_URL=" + postgres.URL("restored"), "BENCH_SCALE=" + fmt.Sprint(scale),
		"BUCKET_ENDPOINT=http://" + s3.Address, "BUCKET_NAME=" + b.bucket, "BUCKET_REGION=us-east-1",
		"BUCKET_ACCESS_KEY=" + s3test.AccessKey, "BUCKET_SECRET_KEY=" + s3test.SecretKey,
	}
	fmt.Fprintln(os.Stderr, "filling the database")
	_, err = b.measure(ctx, way{script: `
		pgbench --initialize --quiet --scale="$BENCH_SCALE" "$DATABASE_URL" 2>/dev/null
		psql --quiet --dbname="$DATABASE_URL" --command="CREATE TABLE article AS
			SELECT n AS id, (SELECT string_agg(md5((n * 31 + w)::text), ' ') FROM generate_series(1, 30) w) AS body
			FROM generate_series(1, 3000 * $BENCH_SCALE) n" --command='VACUUM ANALYZE' --command=CHECKPOINT
		pg_dump --dbname="$DATABASE_URL" >/dev/null`})
	if err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	return nil
}

type measurement struct {
	wall, cpu, s3        time.Duration
	memory, disk, stored int64
}

// measure runs a way once and looks at its processes and its folder meanwhile.
func (b *bench) measure(ctx context.Context, w way) (m measurement, err error) {
	temporary := filepath.Join(b.folder, "tmp")
	if err := errors.Join(os.RemoveAll(temporary), os.Mkdir(temporary, 0o711)); err != nil {
		return m, err
	}
	shell := func(script string) *exec.Cmd {
		command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
		command.Env = append(b.env, "TMPDIR="+temporary)
		command.Stderr = os.Stderr
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return command
	}
	if w.prepare != "" {
		if err := shell(w.prepare).Run(); err != nil {
			return m, fmt.Errorf("prepare: %w", err)
		}
	}
	command := shell(w.script)
	s3 := cpuTime(b.s3)
	begun := time.Now()
	if err := command.Start(); err != nil {
		return m, err
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case err := <-done:
			m.wall, m.s3 = time.Since(begun), cpuTime(b.s3)-s3
			m.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
			if err != nil {
				log, _ := os.ReadFile(filepath.Join(b.folder, "log")) // there or not
				return m, fmt.Errorf("%w\n%s", err, log)
			}
			return m, nil
		case <-ticks.C:
			m.memory = max(m.memory, groupOf(command.Process.Pid).memory)
			m.disk = max(m.disk, sizeOf(temporary))
		}
	}
}

// takeStored is the size of what has come into the bucket since it was last
// asked. Of each way only the backup stays, for the restore to have one.
func (b *bench) takeStored(s3 *s3test.Server) (int64, error) {
	original := filepath.Join(s3.Folder, b.bucket, "dump.sql.gz")
	if size := sizeOf(original); size > 0 {
		return size, os.Remove(original)
	}
	size := sizeOf(filepath.Join(s3.Folder, b.bucket))
	b.seen, size = size, size-b.seen
	return size, nil
}

// loading is how long the restores took to load their dumps: the median, in seconds.
func (b *bench) loading() (float64, error) {
	all, err := b.said("restored, comparing")
	if err != nil {
		return 0, err
	}
	return median(all, func(e entry) float64 { return e.Seconds }), nil
}

// An entry is a line of the job's log.
type entry struct {
	Message    string  `json:"msg"`
	Seconds    float64 `json:"seconds"`
	PlainBytes int64   `json:"plainBytes"`
}

// said returns the lines of the job's log with a message.
func (b *bench) said(message string) (all []entry, err error) {
	log, err := os.ReadFile(filepath.Join(b.folder, "log"))
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(log) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the job's log: %w", err)
		}
		if e.Message == message {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the job does not say %q", message)
	}
	return all, nil
}

func median[T any](of []T, value func(T) float64) float64 {
	var all []float64
	for _, one := range of {
		all = append(all, value(one))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
