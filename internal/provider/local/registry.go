package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/internal/fault"
	"berth/internal/progress"
	"berth/internal/provider/local/supervisor"
)

const (
	// registryName is the host part of local images' names. No DNS server
	// knows it: every node's containerd is told which address it stands for,
	// so the names stay when the network changes.
	registryName = "berth.local"
	registryPart = "registry"
	registryUser = "berth"
)

// registry holds the images of the cluster. It is a process on the machine's
// own address, for this machine and its nodes alone.
type registry struct {
	layout  layout
	network network
}

func (p *Provider) registry() registry { return registry{p.layout, p.network} }

// address is where the registry listens, host:port.
func (r registry) address() string { return netip.AddrPortFrom(r.network.api(), registryPort).String() }

// caFile is the authority of its certificate.
func (r registry) caFile() string { return r.layout.pki("kubernetes-ca.crt") }

// authFile holds the password as docker's config.json does, which every
// builder reads.
func (r registry) authFile() string { return r.layout.etc("registry-auth.json") }

func (r registry) htpasswd() string { return r.layout.etc("registry-htpasswd") }

func (r registry) passwordFile() string { return r.layout.pki("registry-password.key") }

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

// configure writes the registry's files and those of its clients.
func (r registry) configure(by *authority) error {
	if err := os.MkdirAll(r.layout.registry(), 0o700); err != nil {
		return fmt.Errorf("make folder of the registry: %w", err)
	}
	if err := by.issue(r.layout.pki("registry.crt"), "registry", "", "localhost", r.network.api().String()); err != nil {
		return err
	}
	password, err := onceRandom(r.passwordFile())
	if err != nil {
		return err
	}
	login, err := json.Marshal(map[string]any{"auths": map[string]any{
		r.address(): map[string]string{"auth": basic(password)},
	}})
	if err != nil {
		return err
	}
	if err := replaceFile(r.authFile(), login, 0o600); err != nil {
		return fmt.Errorf("write the registry's configuration: %w", err)
	}
	// A hash of the same password is right as it is.
	if line, err := os.ReadFile(r.htpasswd()); err == nil {
		_, hash, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil {
			return nil
		}
	}
	// The registry compares with every request. What makes hashing slow
	// protects passwords that can be guessed, which 256 random bits cannot.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return fmt.Errorf("hash the registry's password: %w", err)
	}
	if err := replaceFile(r.htpasswd(), fmt.Appendf(nil, "%s:%s\n", registryUser, hash), 0o600); err != nil {
		return fmt.Errorf("write the registry's configuration: %w", err)
	}
	return nil
}

// part is the registry's process. It reads its certificate at its start alone.
func (r registry) part(kubernetes string) (supervisor.Part, error) {
	certificate := r.layout.pki("registry.crt")
	hash, err := hashFile(certificate)
	return supervisor.Part{
		Name: registryPart,
		Args: []string{kubernetes, "registry", "--root", r.layout.registry(), "--listen", r.address(),
			"--cert", certificate, "--key", keyFile(certificate), "--htpasswd", r.htpasswd()},
		Env: []string{"PATH=" + os.Getenv("PATH"), hash},
	}, err
}

// hosts is a hosts.toml for containerd: where images named berth.local/… are,
// and the password for them. It is a file of root's alone, as the password
// opens every image.
func (r registry) hosts() (string, error) {
	password, err := r.password()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`server = "https://%s"
capabilities = ["pull", "resolve"]
ca = %q

[header]
  Authorization = "Basic %s"

[host] # no mirrors; containerd 1.6 insists on the table
`, r.address(), r.caFile(), basic(password)), nil
}

// password is made by configure.
func (r registry) password() (string, error) {
	content, err := os.ReadFile(r.passwordFile())
	if err != nil {
		return "", fmt.Errorf("read the registry's password: %w", err)
	}
	return string(content), nil
}

func basic(password string) string {
	return base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + password))
}
