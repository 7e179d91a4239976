package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Report is the result of one scheduled run.
type Report struct {
	Started  time.Time
	Finished time.Time
	// Manifest is nil if no backup was made, Verification if none was verified.
	Manifest     *Manifest
	Verification *Verification
	Pruned       *Pruned
	// LastBackup and LastVerified are when the newest backup of this database was
	// begun that is not damaged, and when one was last verified, as the bucket says
	// at the end; 0 for never, nil if the bucket could not be asked.
	LastBackup, LastVerified *int64
	// Err is why there is no good backup of this run. PruneErr is why old ones could
	// not be pruned, which makes none of them worse.
	Err, PruneErr error
}

// Cycle is the scheduled run: a backup, its verification unless verify is false,
// and pruning. It prunes even when the backup turns out to be damaged, because
// everything newer than the newest verified backup stays in any case.
func (j *Job) Cycle(ctx context.Context, verify bool, keep Retention) Report {
	r := Report{Started: j.Now()}
	if r.Manifest, r.Err = j.Run(ctx); r.Err == nil && verify {
		r.Verification, r.Err = j.Verify(ctx, r.Manifest.ID)
	}
	if r.Manifest != nil && ctx.Err() == nil {
		r.Pruned, r.PruneErr = j.Prune(ctx, keep)
	}
	r.look(ctx, j)
	r.Finished = j.Now()
	return r
}

// look asks the bucket what there is of the database after all.
func (r *Report) look(ctx context.Context, j *Job) {
	if ctx.Err() != nil {
		return
	}
	entries, err := j.List(ctx)
	if err != nil {
		return // The run has failed for that already, or the next one will.
	}
	var made, verified int64
	for _, e := range entries {
		if !j.owns(e) || e.Damaged() || !e.Moment.IsZero() {
			continue
		}
		made = max(made, e.Started.Unix())
		if e.OK() {
			verified = max(verified, e.Verified.Time.Unix())
		}
	}
	r.LastBackup, r.LastVerified = &made, &verified
}

// WriteMetrics updates a file of metrics for a textfile collector. Values that the
// report does not have stay as they were, so that an alert on the age of the last
// success still works when the bucket is away.
func (r Report) WriteMetrics(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".metrics-")
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	defer os.Remove(file.Name()) // gone by then, if all is well
	metrics := r.Metrics()
	if before, err := os.ReadFile(path); err == nil {
		metrics = append(metrics, others(before, metrics)...)
	}
	_, err = file.Write(metrics)
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// others returns the lines of metrics that are not among those of now.
func others(before, now []byte) (kept []byte) {
	for line := range bytes.Lines(before) {
		fields := strings.Fields(string(line))
		name := ""
		switch {
		case len(fields) > 2 && fields[0] == "#":
			name = fields[2]
		case len(fields) == 2:
			name = fields[0]
		}
		if strings.HasPrefix(name, "backup_") && !bytes.Contains(now, []byte("# TYPE "+name+" ")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// PushMetrics sends the metrics to a Prometheus Pushgateway. POST replaces
// those that are sent and leaves the others of the group.
func (r Report) PushMetrics(ctx context.Context, gateway, database string) error {
	target := strings.TrimSuffix(gateway, "/") + "/metrics/job/backup/database/" + url.PathEscape(database)
	if err := post(ctx, target, "text/plain; version=0.0.4", r.Metrics()); err != nil {
		return fmt.Errorf("push metrics: %w", err)
	}
	return nil
}

// Metrics is the report in the text format of Prometheus. The time of the last
// success is included after a failure too, so that an alert on its age fires; 0
// means never.
func (r Report) Metrics() []byte {
	var b bytes.Buffer
	gauge := func(name, help string, value float64) {
		fmt.Fprintf(&b, "# HELP backup_%s %s\n# TYPE backup_%s gauge\nbackup_%s %g\n", name, help, name, name, value)
	}
	success := 0.0
	if r.Err == nil {
		success = 1
	}
	gauge("last_run_success", "Whether the last run succeeded.", success)
	gauge("last_run_timestamp_seconds", "When the last run ended.", float64(r.Finished.Unix()))
	gauge("last_run_duration_seconds", "How long it took.", r.Finished.Sub(r.Started).Seconds())
	if r.LastBackup != nil {
		gauge("last_success_timestamp_seconds", "When the last backup that is not damaged was begun.", float64(*r.LastBackup))
		gauge("last_verified_timestamp_seconds", "When a backup was last restored and found equal.", float64(*r.LastVerified))
	}
	if r.Pruned != nil || r.PruneErr != nil {
		pruned := 1.0
		if r.PruneErr != nil {
			pruned = 0
		}
		gauge("last_prune_success", "Whether old backups could be pruned.", pruned)
	}
	if m := r.Manifest; m != nil {
		gauge("dump_duration_seconds", "How long dumping and uploading took.", m.Seconds)
		gauge("dump_bytes", "Size of the last dump in the bucket.", float64(m.Dump.Bytes))
		gauge("dump_plain_bytes", "Size of its SQL.", float64(m.Dump.PlainBytes))
		gauge("database_bytes", "Size of the database on the server.", float64(m.Database.Bytes))
		gauge("rows", "Rows in the last backup.", float64(m.Rows()))
	}
	if v := r.Verification; v != nil && v.OK {
		gauge("verify_duration_seconds", "How long verifying it took.", v.Seconds)
	}
	return b.Bytes()
}

// Notify reports a failure to a webhook that accepts Slack's JSON.
func (r Report) Notify(ctx context.Context, webhook, database string) error {
	text := fmt.Sprintf("Backup of %s failed: %v", database, r.Err)
	if m := r.Manifest; m != nil {
		text = fmt.Sprintf("Backup %s of %s was made, but: %v", m.ID, database, r.Err)
	}
	body, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		return err
	}
	if err := post(ctx, webhook, "application/json", body); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// post sends a body. Its errors leave out the URL, which may be a secret.
func post(ctx context.Context, target, contentType string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be used")
	}
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	return nil
}
