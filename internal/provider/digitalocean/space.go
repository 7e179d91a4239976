package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth/internal/bucket"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/provider"
)

// spaceTime bounds one question to Spaces.
const spaceTime = 30 * time.Second

// nearestSpaces is where the Space goes when the cluster's region has none:
// https://docs.digitalocean.com/platform/regional-availability/.
var nearestSpaces = map[string]string{"ams2": "ams3", "nyc1": "nyc3", "nyc2": "nyc3", "sfo1": "sfo3"}

func bucketRegion(region string) string {
	if near, ok := nearestSpaces[region]; ok {
		return near
	}
	return region
}

// spaceEndpoint is where Spaces' S3 API is: a host, or a URL from .env.
func spaceEndpoint(c *config.Config) string {
	region := bucketRegion(c.DigitalOcean.Region)
	if address := c.DotEnv[config.SpacesEndpointURL]; address != "" {
		// The plugin takes a template here.
		return strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(address, "{{.Region}}", region), "{{ .Region }}", region), "/")
	}
	return region + ".digitaloceanspaces.com"
}

// spaceKeys are the operator's own, which may make and remove Spaces.
func spaceKeys(c *config.Config) (access, secret string, err error) {
	access, secret = c.DotEnv[config.SpacesAccessKey], c.DotEnv[config.SpacesSecretKey]
	if access == "" || secret == "" {
		return "", "", fault.WithHint(fault.Usage("there are no keys for Spaces"),
			"make one with full access at https://cloud.digitalocean.com/spaces/access_keys and set %s and %s in .env",
			config.SpacesAccessKey, config.SpacesSecretKey)
	}
	return access, secret, nil
}

// openSpace opens a Space with the operator's keys.
func openSpace(c *config.Config, name string) (*bucket.Bucket, error) {
	access, secret, err := spaceKeys(c)
	if err != nil {
		return nil, err
	}
	b := provider.Bucket{Endpoint: spaceEndpoint(c), Region: bucketRegion(c.DigitalOcean.Region), Name: name, AccessKey: access, SecretKey: secret}
	return b.Open("", bucket.Hints{
		Keys:     fmt.Sprintf("check %s and %s in .env; they are made at https://cloud.digitalocean.com/spaces/access_keys", config.SpacesAccessKey, config.SpacesSecretKey),
		Denied:   "the name may be another customer's: set another one under digitalocean.bucket; or the key may not have full access",
		Endpoint: "check that " + spaceEndpoint(c) + " can be reached",
	})
}

// bucketExists reports whether the Space is there, and refuses one that is
// somebody else's.
func (p *Provider) bucketExists(ctx context.Context, name string) (bool, error) {
	space, err := openSpace(p.config, name)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, spaceTime)
	defer cancel()
	exists, err := space.Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for Space %s at %s: %w", name, spaceEndpoint(p.config), err)
	}
	return exists, nil
}

// removeBucket removes the Space with all that is in it, also what was deleted
// before and is kept as an older version.
func (p *Provider) removeBucket(ctx context.Context, report func(removed int)) error {
	name := p.config.DigitalOcean.Bucket
	if exists, err := p.bucketExists(ctx, name); err != nil || !exists {
		return err
	}
	space, err := openSpace(p.config, name)
	if err != nil {
		return err
	}
	return space.Remove(ctx, report)
}

// The Secret in which the cluster keeps the key of its Space, so that everybody
// who may reach the cluster may read backups, without Terraform and its state.
const (
	keyNamespace = "kube-system"
	keySecret    = "berth-bucket"
)

// storeKey puts the Space's own key into the cluster.
func storeKey(ctx context.Context, cluster *provider.Cluster, access, secret string) error {
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return err
	}
	key := kube.Secret{Namespace: keyNamespace, Name: keySecret, Data: map[string][]byte{
		"accessKey": []byte(access), "secretKey": []byte(secret),
	}}
	if err := key.Apply(ctx, client); err != nil {
		return fmt.Errorf("keep the Space's key in the cluster: %w", err)
	}
	return nil
}

// Bucket implements provider.Provider. The keys are those of .env, else those that
// the cluster has, which open only this Space. Without a cluster, as after a
// destroy, they are the operator's own.
func (p *Provider) Bucket(ctx context.Context) (provider.Bucket, error) {
	b := provider.Bucket{
		Endpoint: spaceEndpoint(p.config), Region: bucketRegion(p.config.DigitalOcean.Region), Name: p.config.DigitalOcean.Bucket,
		AccessKey: p.config.DotEnv[config.BucketAccessKey], SecretKey: p.config.DotEnv[config.BucketSecretKey],
		LogAccessKey: p.config.DotEnv[config.LogsBucketAccessKey], LogSecretKey: p.config.DotEnv[config.LogsBucketSecretKey],
	}
	if b.AccessKey != "" && b.SecretKey != "" {
		return b, nil
	}
	cluster, err := p.Cluster(ctx)
	if errors.Is(err, provider.ErrNotUp) {
		b.AccessKey, b.SecretKey, err = spaceKeys(p.config)
		return b, err
	}
	if err != nil {
		return b, err
	}
	client, err := kube.Connect(cluster.REST)
	if err != nil {
		return b, err
	}
	secret, err := client.CoreV1().Secrets(keyNamespace).Get(ctx, keySecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return b, fault.WithHint(fmt.Errorf("cluster %s has no key for Space %s", cluster.Name, b.Name), "berth init gives it one")
	}
	if err != nil {
		return b, fmt.Errorf("read the Space's key: %w", err)
	}
	b.AccessKey, b.SecretKey = string(secret.Data["accessKey"]), string(secret.Data["secretKey"])
	return b, nil
}
