package existing

import (
	"context"
	"fmt"
	"time"

	"berth/internal/bucket"
	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
)

// bucketTime bounds how long the S3 endpoint has to answer, however often it is
// asked.
const bucketTime = 15 * time.Second

// Bucket returns the bucket that berth.yaml names, having checked that it
// answers to its keys.
func (p *Provider) Bucket(ctx context.Context) (provider.Bucket, error) {
	named := p.config.Existing.Bucket
	b := provider.Bucket{
		Endpoint: named.Endpoint, Region: named.Region, Name: named.Name,
		AccessKey:    p.config.DotEnv[config.BucketAccessKey],
		SecretKey:    p.config.DotEnv[config.BucketSecretKey],
		LogAccessKey: p.config.DotEnv[config.LogsBucketAccessKey], LogSecretKey: p.config.DotEnv[config.LogsBucketSecretKey],
	}
	if b.Name == "" {
		return b, fault.WithHint(fault.Usage("%w: berth.yaml names none", provider.ErrNoBucket), "set existing.bucket.name and existing.bucket.endpoint")
	}
	if b.AccessKey == "" || b.SecretKey == "" {
		return b, fault.WithHint(fault.Usage("there are no keys for bucket %s", b.Name),
			"set %s and %s in .env, or put a .s3cfg beside berth.yaml", config.BucketAccessKey, config.BucketSecretKey)
	}
	hint := "check the endpoint and region in berth.yaml and the keys in .env"
	opened, err := b.Open("", bucket.Hints{Keys: hint, Name: hint, Endpoint: hint})
	if err != nil {
		return b, fmt.Errorf("bucket %s at %s: %w", b.Name, b.Endpoint, err)
	}
	ctx, cancel := context.WithTimeout(ctx, bucketTime)
	defer cancel()
	exists, err := opened.Exists(ctx)
	if err != nil {
		return b, fault.WithHint(fmt.Errorf("reach bucket %s at %s: %w", b.Name, b.Endpoint, err), "%s", hint)
	}
	if !exists {
		return b, fault.WithHint(fmt.Errorf("there is no bucket %s at %s", b.Name, b.Endpoint),
			"make it where you have your account; berth makes none on an existing cluster")
	}
	return b, nil
}
