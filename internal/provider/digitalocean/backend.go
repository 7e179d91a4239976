package digitalocean

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/hashicorp/go-version"

	"berth/internal/bucket"
	"berth/internal/config"
)

// backendFile says where Terraform keeps the state: in a Space, by the S3
// backend, https://developer.hashicorp.com/terraform/language/backend/s3.
const backendFile = "backend.tf"

// lockfiles is the first version of Terraform and of OpenTofu whose S3 backend
// locks by a file beside the state.
var lockfiles = version.Must(version.NewVersion("1.10.0"))

// backend is the Space that keeps a cluster's state for everybody.
type backend struct {
	space          *bucket.Bucket
	name, key, url string
}

func newBackend(c *config.Config) (*backend, error) {
	space, err := openSpace(c, c.DigitalOcean.State)
	if err != nil {
		return nil, err
	}
	url := spaceEndpoint(c)
	if !strings.Contains(url, "://") {
		url = "https://" + url
	}
	return &backend{space, c.DigitalOcean.State, "berth/" + c.DigitalOcean.Cluster + ".tfstate", url}, nil
}

// make makes the Space, private and versioned, when it is not there.
func (b *backend) make(ctx context.Context) error {
	exists, err := b.space.Exists(ctx)
	if err == nil && !exists {
		// A Space is where its endpoint is. This region stands for naming none.
		err = b.space.Make(ctx, "us-east-1")
	}
	if err == nil {
		err = b.space.EnableVersioning(ctx)
	}
	return wrap("make Space "+b.name+" for Terraform's state", err)
}

// locks reports whether the Space refuses to make an object that is there, by
// which a lock is taken.
func (b *backend) locks(ctx context.Context) (bool, error) {
	probe := b.key + ".probe"
	var refused bool
	for range 2 {
		made, err := b.space.PutNew(ctx, probe, []byte("x"))
		if err != nil && !errors.Is(err, bucket.ErrUnsupported) {
			return false, fmt.Errorf("try whether Space %s locks: %w", b.name, err)
		}
		refused = err == nil && !made
	}
	return refused, wrap("clean up Space "+b.name, b.space.Delete(ctx, probe))
}

// has reports whether there is a state already.
func (b *backend) has(ctx context.Context) (bool, error) {
	_, err := b.space.Stat(ctx, b.key)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	return err == nil, wrap("look for Terraform's state", err)
}

// breakOwnLock removes a lock that a killed command of the same user on this
// machine has left. No other can be at work: this one holds berth's own lock.
func (b *backend) breakOwnLock(ctx context.Context) error {
	text, err := b.space.Get(ctx, b.key+".tflock", 1<<20)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a lock on Terraform's state: %w", err)
	}
	var lock struct{ Who string }
	if err := json.Unmarshal(text, &lock); err != nil {
		return fmt.Errorf("read the lock on Terraform's state: %w", err)
	}
	if lock.Who != self() {
		return nil // Terraform waits for it, and says whose it is
	}
	return wrap("remove an old lock on Terraform's state", b.space.Delete(ctx, b.key+".tflock"))
}

// self is how Terraform names who holds a lock.
func self() string {
	name := ""
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// configuration is the backend's, in Terraform's language. Nothing in it is
// secret: the keys are in the environment.
func (b *backend) configuration(locks bool) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, `terraform {
  backend "s3" {
    bucket       = %q
    key          = %q
    endpoints    = { s3 = %q }
    use_lockfile = %t

    # Spaces are no part of AWS, whose regions and accounts mean nothing there.
    region                      = "us-east-1"
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    skip_s3_checksum            = true
  }
}
`, b.name, b.key, b.url, locks)
	return text.Bytes()
}
