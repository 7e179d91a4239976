package local

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/provider/local/supervisor"
)

const bucketName = "berth"

// Bucket implements provider.Provider. The bucket is up when the cluster is; as for
// the cluster, nobody is asked when nobody is there.
func (p *Provider) Bucket(context.Context) (provider.Bucket, error) {
	ca, err := os.ReadFile(p.layout.pki("kubernetes-ca.crt"))
	if err != nil || !supervisor.Running(p.layout.supervisor(), "s3-gateway") && !supervisor.Running(p.layout.supervisor(), "supervisor") {
		return provider.Bucket{}, fault.WithHint(provider.ErrNotUp, "bring it up with: berth up")
	}
	plane := controlPlane{layout: p.layout, network: p.network}
	access, secret, err := plane.bucketKeys()
	if err != nil {
		return provider.Bucket{}, err
	}
	return provider.Bucket{
		Endpoint: plane.bucketEndpoint(), Region: "us-east-1", Name: bucketName,
		AccessKey: access, SecretKey: secret, CA: ca,
	}, nil
}

func (p *Provider) makeBucket(ctx context.Context) error {
	b, err := p.Bucket(ctx)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(b.CA)
	client, err := minio.New(netip.AddrPortFrom(p.network.api(), bucketPort).String(), &minio.Options{
		Creds: credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""), Secure: true, Region: b.Region, Transport: transport,
	})
	if err != nil {
		return fmt.Errorf("connect to the bucket: %w", err)
	}
	err = poll(ctx, time.Minute, func(ctx context.Context) error {
		there, err := client.BucketExists(ctx, b.Name)
		if err != nil || there {
			return err
		}
		return client.MakeBucket(ctx, b.Name, minio.MakeBucketOptions{Region: b.Region})
	})
	if err != nil {
		return fault.WithHint(fmt.Errorf("make the bucket: %w", err),
			"the gateway's own words are in %s", p.layout.supervisor().Log("s3-gateway"))
	}
	return nil
}
