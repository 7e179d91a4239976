package local

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"berth/internal/bucket"
	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/provider/local/supervisor"
)

const bucketName = "berth"

func (p *Provider) makeBucket(ctx context.Context) error {
	b, err := p.Bucket(ctx)
	if err != nil {
		return err
	}
	b.Endpoint = "https://" + netip.AddrPortFrom(p.network.api(), bucketPort).String()
	opened, err := b.Open("", bucket.Hints{})
	if err != nil {
		return fmt.Errorf("connect to the bucket: %w", err)
	}
	err = poll(ctx, p.patience(time.Minute, "s3-gateway"), func(ctx context.Context) error {
		there, err := opened.Exists(ctx)
		if err == nil && !there {
			err = opened.Make(ctx, b.Region)
		}
		if err != nil {
			return err
		}
		return opened.LetWrite(ctx, b.LogAccessKey, provider.LogPrefix+"/")
	})
	if err != nil {
		return fault.WithHint(fmt.Errorf("make the bucket: %w", err),
			"see the gateway's log: %s", p.layout.supervisor().Log("s3-gateway"))
	}
	return nil
}

// Bucket implements provider.Provider. The bucket is up when the cluster is; as for
// the cluster, nobody is asked when nobody is there.
func (p *Provider) Bucket(context.Context) (provider.Bucket, error) {
	ca, err := os.ReadFile(p.layout.pki("kubernetes-ca.crt"))
	if err != nil || !supervisor.Running(p.layout.supervisor(), "s3-gateway") && !supervisor.Running(p.layout.supervisor(), "supervisor") {
		return provider.Bucket{}, fault.WithHint(provider.ErrNotUp, "bring it up with: berth up")
	}
	plane := controlPlane{layout: p.layout, network: p.network}
	access, secret, err := plane.bucketKeys("bucket")
	if err != nil {
		return provider.Bucket{}, err
	}
	logAccess, logSecret, err := plane.bucketKeys("logs")
	if err != nil {
		return provider.Bucket{}, err
	}
	return provider.Bucket{
		Endpoint: plane.bucketEndpoint(), Region: "us-east-1", Name: bucketName,
		AccessKey: access, SecretKey: secret, LogAccessKey: logAccess, LogSecretKey: logSecret, CA: ca,
	}, nil
}
