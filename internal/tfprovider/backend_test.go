package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-exec/tfexec"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"berth/internal/fakedo/fake"
	"berth/internal/s3test"
)

// The state can be in a Space, through a file beside the configuration's own. The
// lock is an object that is made if it is not there yet.
func TestStateInASpace(t *testing.T) {
	s := newStage(t, fake.Options{}, bare("1.36.2-do.0", "s-2vcpu-4gb", ""))
	bucket := newBucket(t)
	if err := os.Mkdir(s3.Folder+"/"+bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	access, secret := s.fake.NewSpacesKey("state")
	s.rewrite(map[string]string{"backend.tf": fmt.Sprintf(`
terraform {
  backend "s3" {
    bucket                      = %q
    key                         = "berth.tfstate"
    region                      = "us-east-1"
    endpoints                   = { s3 = %q }
    use_path_style              = true
    use_lockfile                = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
  }
}
`, bucket, s.fake.URL)})
	if err := s.Init(t.Context(), tfexec.BackendConfig("access_key="+access), tfexec.BackendConfig("secret_key="+secret), tfexec.Reconfigure(true)); err != nil {
		t.Fatal(err)
	}
	s.apply()
	s.wantNoChange()
	state, err := os.ReadFile(s3.Folder + "/" + bucket + "/berth.tfstate")
	if err != nil || !strings.Contains(string(state), s.account().Clusters[0].ID) {
		t.Errorf("the state in the Space is %.80s, %v", state, err)
	}
	if _, err := os.Stat(s3.Folder + "/" + bucket + "/berth.tfstate.tflock"); !os.IsNotExist(err) {
		t.Errorf("the lock is still there: %v", err)
	}

	spaces, err := minio.New(s3.Address, &minio.Options{Creds: credentials.NewStaticV4(s3test.AccessKey, s3test.SecretKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	lock := `{"ID": "other", "Who": "another"}`
	if _, err := spaces.PutObject(t.Context(), bucket, "berth.tfstate.tflock", strings.NewReader(lock), int64(len(lock)), minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	failed(t, s.Apply(t.Context()), "Error acquiring the state lock")
}
