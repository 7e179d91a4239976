package scaffold

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"berth/internal/config"
)

// samples are the names of a sample of .env.
var samples = []string{".env.sample", ".env.example", ".env.template", ".env.dist", ".env.production.example", "env.example", "env.sample", "example.env", "sample.env"}

// readDotEnv takes the names of .env and of its sample. What the sample has is
// public, so that its values may go into berth.yaml; those of .env may not.
func (d *Draft) readDotEnv() error {
	sample, text, err := d.source(samples...)
	if err != nil {
		return err
	}
	examples, _ := entries(string(text))
	own, text, err := d.source(".env")
	if err != nil {
		return err
	}
	secrets, problem := entries(string(text))
	if problem != nil {
		d.note(own, "%v; berth refuses the file until that is corrected", problem)
	}
	if info, err := os.Stat(filepath.Join(d.dir, ".env")); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.note(own, "others than its owner can reach it: chmod 600 .env")
	}
	for _, v := range secrets {
		d.fromEnv = append(d.fromEnv, v.Name)
	}
	if len(d.Sources) == 0 {
		return nil // they alone describe no application
	}
	examples = expanded(examples)
	addresses := newAddresses(d.storesAmong(examples), examples, true)
	for _, v := range examples {
		if reference, leads := addresses.reference(v.Name, v.Value); leads {
			d.refer(v.Name, reference)
		} else {
			d.takeVariable(sample, v.Name, v.Value)
		}
	}
	addresses = newAddresses(d.storesAmong(secrets), secrets, false)
	var plain, made []string
	for _, v := range secrets {
		if reference, leads := addresses.reference(v.Name, v.Value); leads {
			d.refer(v.Name, reference)
			continue
		}
		d.takePort(v.Name, v.Value)
		if d.database(own, v.Name, v.Value) || others.MatchString(v.Name) || d.knows(v.Name) && !slices.Contains(d.Secrets, v.Name) || slices.Contains(d.BuildSecrets, v.Name) {
			continue
		}
		if len(referred(v.Value, secrets)) > 0 {
			made = append(made, v.Name)
		}
		if slices.Contains(d.Secrets, v.Name) {
			continue
		}
		if hostList.MatchString(v.Name) {
			d.HostVariables = append(d.HostVariables, v.Name)
			continue
		}
		// Whatever it is, the value of .env is what works now.
		d.addSecret(v.Name)
		if !looksSecret(v.Name, "") {
			plain = append(plain, v.Name)
		}
	}
	if len(plain) > 0 {
		d.note(own, "under secrets, so that their values stay in .env; move to env what is no secret: %s", strings.Join(plain, ", "))
	}
	if len(made) > 0 {
		d.note(own, "berth takes values as they stand, so write out what these are made of: %s", strings.Join(made, ", "))
	}
	if len(examples) > 0 {
		d.Sources = append(d.Sources, sample)
	}
	if len(secrets) > 0 {
		d.Sources = append(d.Sources, own)
	}
	return nil
}

// storesAmong returns the servers that variables may name, by their names: those of
// compose.yaml, or those on the developer's own machine.
func (d *Draft) storesAmong(variables []config.Variable) map[string]string {
	if d.stores != nil {
		return d.stores
	}
	stores := map[string]string{}
	for _, v := range variables {
		u, err := url.Parse(v.Value)
		server := ""
		if err == nil && u.Host != "" {
			server = u.Hostname()
		}
		scheme, _, _ := strings.Cut(strings.Split(v.Value, ":")[0], "+")
		switch {
		case kinds[scheme] == "valkey" && mostlyLocal(server), redisHost.MatchString(v.Name) && mostlyLocal(v.Value):
			stores[d.addService("cache")] = "valkey"
			for _, name := range []string{"redis", "valkey"} {
				stores[name] = "valkey"
			}
		case engineName.MatchString(v.Name) && postgresEngine.MatchString(v.Value), kinds[scheme] == "postgres" && mostlyLocal(server),
			strings.HasSuffix(v.Name, "PORT") && v.Value == "5432":
			fill(&d.Database, "postgres")
		}
	}
	if len(d.Services) > 0 && len(stores) == 0 {
		stores["redis"] = "valkey"
	}
	if d.Database == "postgres" {
		for _, name := range []string{"postgres", "postgresql", "db", "database"} {
			stores[name] = "postgres"
		}
	}
	return stores
}

var (
	redisHost      = regexp.MustCompile(`(^|_)(REDIS|VALKEY)_(HOST|HOSTNAME|SERVER)$`)
	engineName     = regexp.MustCompile(`(CONNECTION|ENGINE|DIALECT|CLIENT|DRIVER|ADAPTER|BACKEND|TYPE)$`)
	postgresEngine = regexp.MustCompile(`^(pgsql|pg|postgres|postgresql|postgis|django\.db\.backends\.postgresql)$`)
)

// mostlyLocal reports whether a host is the developer's own machine, or a container's
// usual name.
func mostlyLocal(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	return isLocal(host) || slices.Contains([]string{"redis", "valkey", "cache", "postgres", "postgresql", "db", "database"}, host)
}
