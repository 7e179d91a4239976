package fake

import (
	"net/http"
	"strings"

	"github.com/digitalocean/godo"
)

const ownerUUID = "b83a5bd0-9f42-4a5c-8f7e-3d5f6a1c2b10"

// Versions is what the fake offers of Kubernetes unless told otherwise.
var Versions = []string{"1.36.2-do.0", "1.36.1-do.1", "1.35.6-do.0", "1.34.9-do.0"}

// Sizes of Droplets, with the prices of DigitalOcean's list of 2026 in US dollars.
var Sizes = []godo.Size{
	droplet("s-1vcpu-2gb", 1, 2, 50, 12),
	droplet("s-2vcpu-2gb", 2, 2, 60, 18),
	droplet("s-2vcpu-4gb", 2, 4, 80, 24),
	droplet("s-4vcpu-8gb", 4, 8, 160, 48),
	droplet("s-8vcpu-16gb", 8, 16, 320, 96),
	droplet("g-2vcpu-8gb", 2, 8, 25, 63),
	droplet("c-4", 4, 8, 50, 84),
}

func droplet(slug string, cpus, gigabytes, disk int, monthly float64) godo.Size {
	return godo.Size{
		Slug: slug, Vcpus: cpus, Memory: gigabytes * 1024, Disk: disk, Transfer: 4,
		// A month is billed as 672 hours at most.
		PriceMonthly: monthly, PriceHourly: float64(int(monthly/672*100000)) / 100000,
		Regions: regionSlugs, Available: true, Description: "Basic",
	}
}

var regionSlugs = []string{"ams3", "blr1", "fra1", "lon1", "nyc1", "nyc3", "sfo3", "sgp1", "syd1", "tor1"}

var regionNames = map[string]string{
	"ams3": "Amsterdam 3", "blr1": "Bangalore 1", "fra1": "Frankfurt 1", "lon1": "London 1", "nyc1": "New York 1",
	"nyc3": "New York 3", "sfo3": "San Francisco 3", "sgp1": "Singapore 1", "syd1": "Sydney 1", "tor1": "Toronto 1",
}

func region(slug string) *godo.Region {
	sizes := make([]string, len(Sizes))
	for i, size := range Sizes {
		sizes[i] = size.Slug
	}
	return &godo.Region{
		Slug: slug, Name: regionNames[slug], Sizes: sizes, Available: true,
		Features: []string{"backups", "ipv6", "metadata", "storage"},
	}
}

func knownRegion(slug string) bool { return regionNames[slug] != "" }

func knownSize(slug string) bool {
	for _, size := range Sizes {
		if size.Slug == slug {
			return true
		}
	}
	return false
}

// routeCatalog answers for the account itself and for what can be bought.
func (f *Fake) routeCatalog() {
	f.handle("GET /v2/account", func(*http.Request) (int, any, error) {
		return http.StatusOK, map[string]any{"account": godo.Account{
			DropletLimit: 25, FloatingIPLimit: 3, ReservedIPLimit: 3, VolumeLimit: 100,
			Email: "owner@example.com", EmailVerified: true, UUID: ownerUUID, Status: "active",
			Team: &godo.TeamInfo{Name: "My Team", UUID: ownerUUID},
		}}, nil
	})
	f.handle("GET /v2/sizes", list("sizes", func(*http.Request) []godo.Size { return Sizes }))
	f.handle("GET /v2/regions", list("regions", func(*http.Request) []*godo.Region {
		regions := make([]*godo.Region, len(regionSlugs))
		for i, slug := range regionSlugs {
			regions[i] = region(slug)
		}
		return regions
	}))
	f.handle("GET /v2/kubernetes/options", func(*http.Request) (int, any, error) {
		var options godo.KubernetesOptions
		for _, version := range f.options.Versions {
			options.Versions = append(options.Versions, kubernetesVersion(version))
		}
		for _, slug := range regionSlugs {
			options.Regions = append(options.Regions, &godo.KubernetesRegion{Slug: slug, Name: regionNames[slug]})
		}
		for _, size := range Sizes {
			options.Sizes = append(options.Sizes, &godo.KubernetesNodeSize{Slug: size.Slug, Name: size.Slug})
		}
		return http.StatusOK, map[string]any{"options": options}, nil
	})
}

func kubernetesVersion(slug string) *godo.KubernetesVersion {
	number, _, _ := strings.Cut(slug, "-")
	return &godo.KubernetesVersion{
		Slug: slug, KubernetesVersion: number,
		SupportedFeatures: []string{"cluster-autoscaler", "docr-integration", "ha-control-plane", "token-authentication"},
	}
}
