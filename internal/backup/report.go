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

// A Report is what one scheduled run has come to.
type Report struct {
	Started  time.Time
	Finished time.Time
	// Manifest is nil if no backup was made, Verification if none was verified.
	Manifest     *Manifest
	Verification *Verification
	Pruned       *Pruned
	Err          error
}

// Cycle is the scheduled run: a backup, its verification unless verify is
// false, and pruning, which only a success before it allows.
func (j *Job) Cycle(ctx context.Context, verify bool, keep Retention) Report {
	r := Report{Started: j.Now()}
	r.Err = func() (err error) {
		if r.Manifest, err = j.Run(ctx); err != nil {
			return err
		}
		if verify {
			if r.Verification, err = j.Verify(ctx, r.Manifest.ID); err != nil {
				return err
			}
		}
		r.Pruned, err = j.Prune(ctx, keep)
		return err
	}()
	r.Finished = j.Now()
	return r
}

// Metrics is the report in the text format of Prometheus. What did not come
// about is left out, so that a last success is not overwritten by nothing.
func (r Report) Metrics() []byte {
	var b bytes.Buffer
	gauge := func(name, help string, value float64) {
		fmt.Fprintf(&b, "# HELP backup_%s %s\n# TYPE backup_%s gauge\nbackup_%s %g\n", name, help, name, name, value)
	}
	success := 0.0
	if r.Err == nil {
		success = 1
	}
	gauge("last_run_success", "Whether the last run came through.", success)
	gauge("last_run_timestamp_seconds", "When the last run ended.", float64(r.Finished.Unix()))
	gauge("last_run_duration_seconds", "How long it took.", r.Finished.Sub(r.Started).Seconds())
	if m := r.Manifest; m != nil {
		gauge("last_success_timestamp_seconds", "When the last backup was begun.", float64(m.Started.Unix()))
		gauge("dump_duration_seconds", "How long dumping and uploading took.", m.Seconds)
		gauge("dump_bytes", "Size of the last dump in the bucket.", float64(m.Dump.Bytes))
		gauge("dump_plain_bytes", "Size of its SQL.", float64(m.Dump.PlainBytes))
		gauge("database_bytes", "Size of the database on the server.", float64(m.Database.Bytes))
		gauge("rows", "Rows in the last backup.", float64(m.Rows()))
	}
	if v := r.Verification; v != nil && v.OK {
		gauge("last_verified_timestamp_seconds", "When a backup was last restored and found equal.", float64(v.Time.Unix()))
		gauge("verify_duration_seconds", "How long that took.", v.Seconds)
	}
	return b.Bytes()
}

// WriteMetrics replaces a file with the metrics, for a collector of text files.
func (r Report) WriteMetrics(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".metrics-")
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	defer os.Remove(file.Name()) // gone by then, if all is well
	_, err = file.Write(r.Metrics())
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
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

// Notify tells of a failure to a webhook that takes Slack's JSON.
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
