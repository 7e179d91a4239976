package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"berth/internal/fault"
	"berth/internal/image"
	"berth/internal/provider"
)

// Check looks at everything that berth needs of the account and of this
// machine, and changes nothing.
func (p *Provider) Check(ctx context.Context) []provider.Check {
	var checks []provider.Check
	verdict := func(name string, err error) {
		check := provider.Check{Name: name}
		if err != nil {
			check.Problem, check.Remedy = err.Error(), fault.Hint(err)
		}
		checks = append(checks, check)
	}
	d := p.config.DigitalOcean
	options, _, err := p.api.Kubernetes.GetOptions(ctx)
	verdict("token", explain(err))
	if err == nil {
		verdict("region "+d.Region, offers("region", d.Region, options.Regions, func(r *godo.KubernetesRegion) string { return r.Slug }))
		verdict("size "+d.Size, offers("size", d.Size, options.Sizes, func(s *godo.KubernetesNodeSize) string { return s.Slug }))
		if d.Version != "" {
			verdict("Kubernetes "+d.Version, offers("version", d.Version, options.Versions, func(v *godo.KubernetesVersion) string { return minorOf(v.KubernetesVersion) }))
		}
		cluster, err := p.findCluster(ctx)
		verdict("cluster's name "+d.Cluster, err)
		if cluster != nil && isBroken(cluster) {
			verdict("cluster "+d.Cluster, notUsable(cluster))
		}
	}
	if err == nil {
		missing, doubtful, err := p.tryScopes(ctx)
		if missing = append(missing, doubtful...); err == nil && len(missing) > 0 {
			err = scopesMissing(strings.Join(missing, " "), errors.New("DigitalOcean refuses to try it"))
		}
		verdict("scopes of the token", err)
	}
	_, err = p.bucketExists(ctx, d.Bucket)
	verdict("Space "+d.Bucket, err)
	verdict("Terraform", findTerraform())
	if p.config.Image == "" {
		_, err := image.Find(ctx)
		verdict("image builder", err)
	}
	return checks
}

// offers reports what is on offer where a value is not.
func offers[T any](key, value string, on []T, slug func(T) string) error {
	var slugs []string
	for _, one := range on {
		slugs = append(slugs, slug(one))
	}
	if slices.Contains(slugs, value) {
		return nil
	}
	slices.Sort(slugs)
	return fault.WithHint(errors.New("DigitalOcean does not offer it"),
		"set digitalocean.%s in berth.yaml to one of: %s", key, strings.Join(slices.Compact(slugs), ", "))
}

// minorOf is the minor release of a version, as 1.34 of 1.34.1.
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// findTerraform says what has to be there: Terraform, OpenTofu, or what
// compiles it.
func findTerraform() error {
	for _, program := range []string{"terraform", "tofu", "go"} {
		if _, err := exec.LookPath(program); err == nil {
			return nil
		}
	}
	return fault.WithHint(fmt.Errorf("there is neither terraform nor tofu, nor Go to compile it"),
		"install one: https://developer.hashicorp.com/terraform/install, https://opentofu.org/docs/intro/install")
}
