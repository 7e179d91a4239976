package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// openSpaces connects to Spaces with the operator's keys.
func openSpaces(c *config.Config) (*minio.Client, error) {
	access, secret, err := spaceKeys(c)
	if err != nil {
		return nil, err
	}
	host, plain := strings.CutPrefix(spaceEndpoint(c), "http://")
	client, err := minio.New(strings.TrimPrefix(host, "https://"), &minio.Options{
		Creds:  credentials.NewStaticV4(access, secret, ""),
		Secure: !plain, Region: bucketRegion(c.DigitalOcean.Region), MaxRetries: 3,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to Spaces: %w", err)
	}
	return client, nil
}

// bucketExists reports whether the Space is there, and refuses one that is
// somebody else's.
func (p *Provider) bucketExists(ctx context.Context, name string) (bool, error) {
	spaces, err := openSpaces(p.config)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, spaceTime)
	defer cancel()
	exists, err := spaces.BucketExists(ctx, name)
	switch response := minio.ToErrorResponse(err); {
	case err == nil:
		return exists, nil
	case response.StatusCode == http.StatusForbidden && (response.Code == "SignatureDoesNotMatch" || response.Code == "InvalidAccessKeyId"):
		return false, fault.WithHint(fmt.Errorf("spaces does not accept the keys: %w", err),
			"check %s and %s in .env; they are made at https://cloud.digitalocean.com/spaces/access_keys", config.SpacesAccessKey, config.SpacesSecretKey)
	case response.StatusCode == http.StatusForbidden:
		return false, fault.WithHint(fmt.Errorf("look for Space %s: %w", name, err),
			"the name may be another customer's: set another one under digitalocean.bucket; or the key may lack full access")
	default:
		return false, fmt.Errorf("look for Space %s at %s: %w", name, spaceEndpoint(p.config), err)
	}
}

// removeBucket removes the Space with all that is in it, also what was deleted
// before and is kept as an older version.
func (p *Provider) removeBucket(ctx context.Context, report func(removed int)) error {
	spaces, err := openSpaces(p.config)
	if err != nil {
		return err
	}
	name := p.config.DigitalOcean.Bucket
	if exists, err := p.bucketExists(ctx, name); err != nil || !exists {
		return err
	}
	listing, stop := context.WithCancel(ctx)
	defer stop()
	removed := 0
	for object := range spaces.ListObjects(listing, name, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if object.Err != nil {
			return fmt.Errorf("list Space %s: %w", name, object.Err)
		}
		if err := spaces.RemoveObject(ctx, name, object.Key, minio.RemoveObjectOptions{VersionID: object.VersionID}); err != nil {
			return fmt.Errorf("remove %s from Space %s: %w", object.Key, name, err)
		}
		removed++
		report(removed)
	}
	for upload := range spaces.ListIncompleteUploads(listing, name, "", true) {
		if upload.Err != nil {
			return fmt.Errorf("list unfinished uploads of Space %s: %w", name, upload.Err)
		}
		if err := spaces.RemoveIncompleteUpload(ctx, name, upload.Key); err != nil {
			return fmt.Errorf("end the upload of %s: %w", upload.Key, err)
		}
	}
	if err := spaces.RemoveBucket(ctx, name); err != nil && minio.ToErrorResponse(err).Code != "NoSuchBucket" {
		return fmt.Errorf("remove Space %s: %w", name, err)
	}
	return nil
}

// The Secret in which the cluster keeps the key of its Space, so that whoever
// may reach the cluster may read backups, without Terraform and its state.
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

// Bucket implements provider.Provider. The keys are those of .env, else the
// one that the cluster was given, which opens this Space alone. Without a
// cluster, as after a destroy, they are the operator's own.
func (p *Provider) Bucket(ctx context.Context) (provider.Bucket, error) {
	b := provider.Bucket{
		Endpoint: spaceEndpoint(p.config), Region: bucketRegion(p.config.DigitalOcean.Region), Name: p.config.DigitalOcean.Bucket,
		AccessKey: p.config.DotEnv[config.BucketAccessKey], SecretKey: p.config.DotEnv[config.BucketSecretKey],
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
