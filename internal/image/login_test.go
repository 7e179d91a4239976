package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The user's logins, for private base images, stay beside berth's own.
func TestMergeLoginsKeepsTheUsersOwn(t *testing.T) {
	const ours = `{"auths": {"10.118.0.1:5000": {"auth": "b3Vycw=="}}}`
	for _, test := range []struct{ name, user, want string }{
		{"none", "", ours},
		{"passwords", `{"auths": {"ghcr.io": {"auth": "dXNlcg=="}}}`,
			`{"auths": {"10.118.0.1:5000": {"auth": "b3Vycw=="}, "ghcr.io": {"auth": "dXNlcg=="}}}`},
		{"a store", `{"auths": {"ghcr.io": {}, "a.io": {}}, "credsStore": "pass", "credHelpers": {"a.io": "gcloud"}}`,
			`{"auths": {"10.118.0.1:5000": {"auth": "b3Vycw=="}, "ghcr.io": {}, "a.io": {}}, "credHelpers": {"ghcr.io": "pass", "a.io": "gcloud"}}`},
		{"an old login of ours", `{"auths": {"10.118.0.1:5000": {}}, "credsStore": "pass"}`, ours},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			if test.user != "" {
				write(t, userConfig(), test.user)
			}
			more := filepath.Join(t.TempDir(), "auth.json")
			write(t, more, ours)
			if err := mergeLogins(folder, more); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(filepath.Join(folder, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if json.Unmarshal(content, &got) != nil || json.Unmarshal([]byte(test.want), &want) != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %s, want %s", content, test.want)
			}
		})
	}
}
