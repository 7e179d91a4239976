package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/internal/fault"
)

func TestS3cfgFillsWhatIsOpenAboutTheBucket(t *testing.T) {
	dir := folder(t, map[string]string{
		File:   minimal + "existing: {bucket: {name: backups}}\n",
		".env": "BUCKET_ACCESS_KEY=mine\n",
		".s3cfg": `[default]
access_key = theirs
secret_key = s3cr=t#%
host_base = fra1.digitaloceanspaces.com
host_bucket = %(bucket)s.fra1.digitaloceanspaces.com
bucket_location = fra1
; another account
[other]
secret_key = no
`})
	c, err := Load(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Bucket{Endpoint: "fra1.digitaloceanspaces.com", Region: "fra1", Name: "backups"}, c.Existing.Bucket); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"BUCKET_ACCESS_KEY": "mine", "BUCKET_SECRET_KEY": "s3cr=t#%"}, c.DotEnv); diff != "" {
		t.Error(diff)
	}
}

func TestTheEndpointOfS3cfg(t *testing.T) {
	for source, want := range map[string]string{
		"host_base = s3.example.com":                    "s3.example.com",
		"host_bucket = %(bucket)s.s3.example.com":       "s3.example.com",
		"host_base = 127.0.0.1:7070\nuse_https = False": "http://127.0.0.1:7070",
		"use_https = False":                             "",
	} {
		values, err := parseS3cfg([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		if got := endpoint(values); got != want {
			t.Errorf("%q: got %q, want %q", source, got, want)
		}
	}
	for _, source := range []string{"[default", "secret_key"} {
		if _, err := parseS3cfg([]byte(source)); !fault.IsUsage(err) {
			t.Errorf("%q: got %v", source, err)
		}
	}
}
