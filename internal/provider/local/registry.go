package local

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

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
