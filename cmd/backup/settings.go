package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"berth/internal/backup"
	"berth/internal/backup/sqlite"
	"berth/internal/bucket"
	"berth/internal/config"
	"berth/internal/fault"
)

// newJob reads the settings from the environment, which names the bucket and the
// database; docs/backups.md lists the variables. Commands that use the bucket alone
// ask for no database.
func newJob(logs io.Writer, withDatabase bool) (*backup.Job, error) {
	job := &backup.Job{
		Scratch: os.Getenv("BACKUP_SCRATCH"), Bin: os.Getenv("PG_BIN"),
		Engine: sqlite.Engine{}, Hints: backup.Hints{List: "backup list", Run: "backup run"},
		Log: slog.New(slog.NewJSONHandler(logs, nil)), Now: time.Now,
	}
	var err error
	if job.Bucket, err = newBucket(); err != nil {
		return nil, err
	}
	if withDatabase {
		if err := setDatabase(job); err != nil {
			return nil, err
		}
	}
	if recipients := strings.Fields(os.Getenv("BACKUP_AGE_RECIPIENTS")); len(recipients) > 0 {
		if job.Recipients, err = age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n"))); err != nil {
			return nil, fault.Usage("BACKUP_AGE_RECIPIENTS: %w", err)
		}
		job.RecipientNames = recipients
	}
	if path := os.Getenv("BACKUP_AGE_IDENTITY_FILE"); path != "" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fault.Usage("BACKUP_AGE_IDENTITY_FILE: %w", err)
		}
		defer file.Close()
		if job.Identities, err = age.ParseIdentities(file); err != nil {
			// The error would quote a line, which may be the key.
			return nil, fault.Usage("BACKUP_AGE_IDENTITY_FILE: %s holds no age identities", path)
		}
	}
	return job, nil
}

// newBucket is the bucket. What its variables leave open comes from s3cmd's .s3cfg.
func newBucket() (*bucket.Bucket, error) {
	o := bucket.Options{
		Endpoint: os.Getenv("BUCKET_ENDPOINT"), Region: os.Getenv("BUCKET_REGION"), Name: os.Getenv("BUCKET_NAME"),
		AccessKey: os.Getenv("BUCKET_ACCESS_KEY"), SecretKey: os.Getenv("BUCKET_SECRET_KEY"),
		Prefix: setting("BACKUP_PREFIX", "backups/"),
		Hints: bucket.Hints{
			Keys:   "check the bucket's access key and secret key: set BUCKET_ACCESS_KEY and BUCKET_SECRET_KEY, or put them into .s3cfg",
			Denied: "check what the bucket's key may do: read, write, list and delete",
			Name:   "check BUCKET_NAME, or make the bucket", Endpoint: "check BUCKET_ENDPOINT",
		},
	}
	if o.AccessKey == "" || o.SecretKey == "" || o.Endpoint == "" {
		if err := fromS3cfg(&o); err != nil {
			return nil, err
		}
	}
	var err error
	if o.Backoff, err = time.ParseDuration(setting("BUCKET_BACKOFF", "500ms")); err != nil {
		return nil, fault.Usage("BUCKET_BACKOFF must be a duration such as 500ms")
	}
	if path := os.Getenv("BUCKET_CA_FILE"); path != "" {
		if o.CA, err = os.ReadFile(path); err != nil {
			return nil, fault.Usage("BUCKET_CA_FILE: %w", err)
		}
	}
	return bucket.New(o)
}

// fromS3cfg reads the file that S3CFG names, or ./.s3cfg or ~/.s3cfg.
func fromS3cfg(o *bucket.Options) error {
	paths := []string{os.Getenv("S3CFG")}
	if paths[0] == "" {
		paths[0] = ".s3cfg"
		if home, err := os.UserHomeDir(); err == nil {
			paths = append(paths, filepath.Join(home, ".s3cfg"))
		}
	}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read .s3cfg: %w", err)
		}
		values, err := config.ParseS3cfg(source)
		if err != nil {
			return err
		}
		for _, field := range []struct {
			to   *string
			from string
		}{{&o.Endpoint, values.Endpoint}, {&o.Region, values.Region}, {&o.AccessKey, values.AccessKey}, {&o.SecretKey, values.SecretKey}} {
			if *field.to == "" {
				*field.to = field.from
			}
		}
		return nil
	}
	return nil
}

// setDatabase reads what is backed up, and how.
func setDatabase(job *backup.Job) (err error) {
	text := os.Getenv("DATABASE_URL")
	var isFile bool
	if job.File, isFile, err = backup.ParseFile(text); isFile || err != nil {
		return err
	}
	if job.Database, err = backup.ParseDatabase(text); err != nil {
		return err
	}
	job.Format, err = backup.ParseFormat(setting("BACKUP_FORMAT", string(backup.Plain)))
	if err != nil {
		return fmt.Errorf("BACKUP_FORMAT: %w", err)
	}
	return nil
}

func retention() (r backup.Retention, err error) {
	for _, count := range []struct {
		to             *int
		name, standard string
	}{{&r.Last, "BACKUP_KEEP_LAST", "7"}, {&r.Daily, "BACKUP_KEEP_DAILY", "14"}, {&r.Weekly, "BACKUP_KEEP_WEEKLY", "8"}, {&r.Monthly, "BACKUP_KEEP_MONTHLY", "12"}} {
		if *count.to, err = strconv.Atoi(setting(count.name, count.standard)); err != nil {
			return r, fault.Usage("%s must be a number", count.name)
		}
	}
	return r, nil
}

func setting(name, standard string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return standard
}
