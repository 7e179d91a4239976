package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/internal/fault"
	"berth/internal/progress"
)

// awaitRegistry returns once the registry answers. While Init is at work it
// waits as long as that takes.
func (p *Provider) awaitRegistry(ctx context.Context) error {
	for patience := p.patience(30*time.Second, registryPart); ; {
		client, err := p.registry().open()
		if err == nil {
			err = client.Ping(ctx)
		}
		if err == nil {
			return nil
		}
		switch making := p.making.Load(); {
		case !making && errors.Is(err, fs.ErrNotExist):
			return fault.WithHint(errors.New("the cluster has no registry: an earlier version of berth made it"), "bring it up to date: berth up")
		case !making && patience.spent():
			return fault.WithHint(fmt.Errorf("the registry does not answer: %w", err),
				"see its log: %s", p.layout.supervisor().Log(registryPart))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// importArchives takes over the images of a cluster that an earlier version of
// berth made, which kept them as archives, and removes those.
func (r registry) importArchives(ctx context.Context, step progress.Step) error {
	archives, err := filepath.Glob(filepath.Join(r.layout.archives(), "*@*.tar"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		name, tag, _ := strings.Cut(strings.TrimSuffix(filepath.Base(archive), ".tar"), "@")
		step.Detail(name + ":" + tag)
		images, err := oci.NewFromTar(ctx, archive)
		if err != nil {
			return fmt.Errorf("read image archive %s: %w", archive, err)
		}
		repository, err := r.repository(name)
		if err != nil {
			return err
		}
		if _, err := oras.Copy(ctx, images, registryName+"/"+name+":"+tag, repository, tag, oras.DefaultCopyOptions); err != nil {
			return fmt.Errorf("import image archive %s: %w", archive, err)
		}
		if err := os.Remove(archive); err != nil {
			return fmt.Errorf("remove image archive: %w", err)
		}
	}
	return os.RemoveAll(r.layout.archives())
}

// tag gives an image a name to be listed by. What has none is swept up.
func (r registry) tag(ctx context.Context, name, digest, tag string) error {
	repository, err := r.repository(name)
	if err != nil {
		return err
	}
	found, err := repository.Resolve(ctx, digest)
	if err == nil {
		err = repository.Tag(ctx, found, tag)
	}
	if err != nil {
		return fmt.Errorf("name image %s: %w", name, err)
	}
	return nil
}

// find returns the digest of an image by its name and its tag or digest, or ""
// when the registry does not have it.
func (r registry) find(ctx context.Context, name, tagOrDigest string) (string, error) {
	repository, err := r.repository(name)
	if err != nil {
		return "", err
	}
	found, err := repository.Resolve(ctx, tagOrDigest)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for image %s: %w", name, err)
	}
	return found.Digest.String(), nil
}

// repository returns a client of one image's repository.
func (r registry) repository(name string) (*remote.Repository, error) {
	client, err := r.open()
	if err != nil {
		return nil, err
	}
	repository, err := remote.NewRepository(r.address() + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("connect to the registry: %w", err)
	}
	repository.Client = client.Client
	return repository, nil
}

// open returns a client of the registry.
func (r registry) open() (*remote.Registry, error) {
	password, err := r.password()
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(r.caFile())
	if err != nil {
		return nil, fmt.Errorf("read the registry's authority: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.IdleConnTimeout = 10 * time.Second
	transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
	transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca)
	client, err := remote.NewRegistry(r.address())
	if err != nil {
		return nil, fmt.Errorf("connect to the registry: %w", err)
	}
	client.Client = &auth.Client{
		Client: &http.Client{Transport: transport},
		Header: http.Header{"Authorization": {"Basic " + basic(password)}},
	}
	return client, nil
}
