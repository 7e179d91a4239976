package bucket

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"berth/internal/s3test"
)

// The key of the log agent writes logs. Who steals it reads and removes nothing.
func TestLetWrite(t *testing.T) {
	own, proxy := open(t, s3test.Behaviour{})
	own.options.Prefix = ""
	for _, name := range []string{"backups/1", "logs/1"} {
		if err := own.Put(t.Context(), name, []byte("whole")); err != nil {
			t.Fatal(err)
		}
	}
	agent, err := New(Options{
		Endpoint: proxy.URL, Region: "us-east-1", Name: own.options.Name,
		AccessKey: s3test.UserAccessKey, SecretKey: s3test.UserSecretKey, Backoff: time.Millisecond, Hints: hints,
	})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, size int) func() error {
		return func() error {
			// As the agent does, which looks at nothing afterwards.
			_, err := agent.core.Client.PutObject(t.Context(), own.options.Name, name, bytes.NewReader(noise(size)), int64(size), minio.PutObjectOptions{PartSize: 5 << 20})
			return err
		}
	}
	if write("logs/2", 1)() == nil {
		t.Fatal("it may write before it was let")
	}
	for range 2 { // berth up sets it each time
		if err := own.LetWrite(t.Context(), s3test.UserAccessKey, "logs/"); err != nil {
			t.Fatal(err)
		}
	}
	for what, try := range map[string]struct {
		do   func() error
		lets bool
	}{
		"write a log":           {write("logs/2024/a", 100), true},
		"write a log in parts":  {write("logs/2024/b", 11<<20), true},
		"write a backup":        {write("backups/2", 100), false},
		"write beside the logs": {write("logs", 100), false},
		"overwrite a backup":    {write("backups/1", 100), false},
		"read a backup":         {func() error { _, err := agent.Get(t.Context(), "backups/1", 100); return err }, false},
		"read a log":            {func() error { _, err := agent.Get(t.Context(), "logs/1", 100); return err }, false},
		"remove a backup":       {func() error { return agent.Delete(t.Context(), "backups/1") }, false},
		"remove a log":          {func() error { return agent.Delete(t.Context(), "logs/1") }, false},
		"list":                  {func() error { return listed(t, agent) }, false},
		"let itself do more":    {func() error { return agent.LetWrite(t.Context(), s3test.UserAccessKey, "") }, false},
	} {
		if err := try.do(); (err == nil) != try.lets {
			t.Errorf("the log agent may %s: %v", what, err)
		}
	}
	if content, err := own.Get(t.Context(), "backups/1", 100); err != nil || string(content) != "whole" {
		t.Errorf("the backup is %q, %v", content, err)
	}
}

func listed(t *testing.T, b *Bucket) error {
	for object, err := range b.List(t.Context(), ListOptions{}) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(object.Name, "backups/") {
			t.Errorf("%s is listed", object.Name)
		}
	}
	return nil
}
