package release

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/kube"
	"berth/internal/progress"
)

// saltAnnotation is on the Secret whose checksum goes into the pods' template.
// Without the salt somebody who may read pods but not Secrets could try values
// against the checksum. It is named as the annotations of the chart are not.
const saltAnnotation = "berth/salt"

// secretNames are the Secrets that the chart is told of; empty where there is
// none. Secrets are kept apart from the release, so that no secret is in its
// history.
type secretNames struct {
	env, postgresql, tls string
	// keys are the names of the variables in env.
	keys []string
	// upstream is the application's own certificate, behind the ingress.
	upstream string
	// pull is what images are pulled by that not everybody may pull.
	pull string
	// checksum changes when the application's secrets do.
	checksum string
}

// secrets makes the Secrets that a release needs. It returns their names, and
// a function that puts the application's secrets back to what they were. It
// notes which values it made up.
func (c *Client) secrets(ctx context.Context, environment, image string, e config.Environment, r progress.Reporter) (names secretNames, restore func(context.Context) error, err error) {
	names = c.secretNames(environment, e)
	restore = func(context.Context) error { return nil }
	if names.pull, err = c.pullSecret(ctx, environment, image); err != nil {
		return names, restore, err
	}
	if names.env != "" {
		before, err := kube.OwnSecret(ctx, c.kube, environment, names.env)
		if err != nil {
			return names, restore, err
		}
		data, made, err := envData(c.config, environment, before, c.cluster.MakesUpSecrets)
		if err != nil {
			return names, restore, err
		}
		for _, name := range made {
			r.Note(fmt.Sprintf("%s: made up a value for the secret %s, because .env has no %s; the cluster keeps it", environment, name, c.config.SecretEntry(name)))
		}
		salt := rand.Text()
		if before != nil {
			if kept := before.Annotations[saltAnnotation]; kept != "" {
				salt = kept
			}
			restore = func(ctx context.Context) error {
				return c.applySecret(ctx, environment, names.env, core.SecretTypeOpaque, before.Data, salt)
			}
		}
		if err := c.applySecret(ctx, environment, names.env, core.SecretTypeOpaque, data, salt); err != nil {
			return names, restore, err
		}
		names.checksum = checksum(salt, data)
	}
	if names.postgresql != "" {
		if err := c.passwordSecret(ctx, environment, names.postgresql); err != nil {
			return names, restore, err
		}
	}
	for service := range c.config.Services {
		if err := c.passwordSecret(ctx, environment, serviceSecret(c.config, service)); err != nil {
			return names, restore, err
		}
	}
	// With an Issuer it is cert-manager that fills the Secret.
	if names.tls != "" && c.cluster.Issuer == "" {
		if err := c.tlsSecret(ctx, environment, names.tls, e.Hosts); err != nil {
			return names, restore, err
		}
	}
	if names.upstream != "" {
		if err := c.upstreamSecret(ctx, environment, names.upstream); err != nil {
			return names, restore, err
		}
	}
	return names, restore, nil
}

// pullSecret makes the Secret that the release's images are pulled by, where they
// are not for everybody, and returns its name.
func (c *Client) pullSecret(ctx context.Context, environment, image string) (string, error) {
	if c.cluster.PullLogins == nil {
		return "", nil
	}
	references := []string{image}
	e := c.config.Environments[environment]
	if image := databaseImage(c.cluster, e.DatabaseVersion); image != "" && e.Database == config.Postgres {
		references = append(references, image)
	}
	references = slices.AppendSeq(references, maps.Values(c.cluster.Services))
	return kube.PullSecret(ctx, c.kube, kube.Secret{
		Namespace: environment, Name: c.pullName(),
		Labels: map[string]string{"app.kubernetes.io/instance": c.config.Name},
	}, func() ([]byte, error) { return c.cluster.PullLogins(ctx, references...) })
}

func (c *Client) pullName() string { return c.config.Name + "-pull" }

// secretNames are the Secrets of an environment; the checksum is left out.
func (c *Client) secretNames(environment string, e config.Environment) secretNames {
	var names secretNames
	if keys := c.config.SecretsOf(environment); len(keys) > 0 {
		names.keys = keys
		names.env = c.config.Name + "-env"
	}
	if e.Database == config.Postgres {
		names.postgresql = c.config.Name + "-postgresql"
	}
	if len(e.Hosts) > 0 && (c.cluster.Authority != nil || c.cluster.Issuer != "") {
		names.tls = c.config.Name + "-tls"
	}
	if e.UpstreamTLS {
		names.upstream = c.config.Name + "-upstream"
	}
	return names
}

// envData returns the application's secrets for an environment, and the names of
// those that were made up. An entry of the environment's own in .env goes before
// the common one; either may be empty. One that .env does not name keeps its
// value in the cluster. What is nowhere is made up, where it may be.
func envData(c *config.Config, environment string, before *core.Secret, makeUp bool) (data map[string][]byte, made []string, err error) {
	data = map[string][]byte{}
	var missing []string
	for _, name := range c.SecretsOf(environment) {
		value, ok := c.DotEnv[config.OwnSecret(environment, name)]
		if !ok {
			value, ok = c.DotEnv[name]
		}
		switch {
		case ok:
			data[name] = []byte(value)
		case before != nil && len(before.Data[name]) > 0:
			data[name] = before.Data[name]
		case makeUp:
			data[name] = []byte(randomHex())
			made = append(made, name)
		default:
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, nil, fault.WithHint(
			fault.Usage("%s: no value for the secret %s", environment, strings.Join(missing, ", ")),
			`add it to .env: echo "%s=$(openssl rand -hex 32)" >> .env`, missing[0])
	}
	return data, made, nil
}

// passwordSecret makes the password of a database or service once. It is never
// changed afterwards: the database took it when its volume was first filled.
func (c *Client) passwordSecret(ctx context.Context, environment, name string) error {
	found, err := kube.OwnSecret(ctx, c.kube, environment, name)
	if err != nil || found != nil && len(found.Data["password"]) > 0 {
		return err
	}
	return c.applySecret(ctx, environment, name, core.SecretTypeOpaque,
		map[string][]byte{"password": []byte(randomHex())}, "")
}

// tlsSecret makes the hosts' certificate, and renews it in time.
func (c *Client) tlsSecret(ctx context.Context, environment, name string, hosts []string) error {
	found, err := kube.OwnSecret(ctx, c.kube, environment, name)
	if err != nil {
		return err
	}
	if found != nil {
		why, err := staleCertificate(found.Data[core.TLSCertKey], hosts, c.cluster.Authority.File(), time.Now())
		if err != nil || why == "" {
			return err
		}
	}
	certificate, key, err := c.cluster.Authority.Certificate(hosts)
	if err != nil {
		return fmt.Errorf("make a certificate for %s: %w", strings.Join(hosts, ", "), err)
	}
	return c.applySecret(ctx, environment, name, core.SecretTypeTLS,
		map[string][]byte{core.TLSCertKey: certificate, core.TLSPrivateKeyKey: key}, "")
}

// checksum stands for data without telling anything of it.
func checksum(salt string, data map[string][]byte) string {
	sum := hmac.New(sha256.New, []byte(salt))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(sum, "%d %s %d %s\n", len(name), name, len(data[name]), data[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func randomHex() string {
	random := make([]byte, 32)
	rand.Read(random) // never fails, as crypto/rand documents
	return hex.EncodeToString(random)
}

// Secrets returns what must not be shown of an environment, as far as it can be
// read.
func (c *Client) Secrets(ctx context.Context, environment string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var all []string
	for _, name := range c.config.SecretsOf(environment) {
		all = append(all, c.config.DotEnv[name], c.config.DotEnv[config.OwnSecret(environment, name)])
	}
	secrets := []string{c.config.Name + "-env", c.config.Name + "-postgresql"}
	for service := range c.config.Services {
		secrets = append(secrets, serviceSecret(c.config, service))
	}
	for _, name := range secrets {
		secret, err := kube.OwnSecret(ctx, c.kube, environment, name)
		if err != nil || secret == nil {
			continue
		}
		for _, value := range secret.Data {
			all = append(all, string(value))
		}
	}
	return all
}
