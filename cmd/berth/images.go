package main

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"berth/internal/config"
	"berth/internal/fault"
	"berth/internal/provider"
	"berth/internal/source"
)

// image returns the image to release: the one that berth.yaml names, or one
// built from its Dockerfile.
func (a *app) image(ctx context.Context, c *config.Config, p provider.Provider) (string, error) {
	if c.Image != "" {
		return c.Image, nil
	}
	secrets, err := c.BuildSecrets()
	if err != nil {
		return "", err
	}
	build := provider.Build{
		Name: c.Name, Dockerfile: c.Path(c.Dockerfile), Context: c.Path(c.Context),
		Args: c.Build.Args, Secrets: secrets, Target: c.Build.Target, Platform: c.Build.Platform,
		Ignore: c.Ignored(),
	}
	return p.Publish(ctx, build, a.console.Reporter())
}

// serviceImages finds the images of the application's services: those that
// berth.yaml names, those that are built here, and otherwise the chart's.
func (a *app) serviceImages(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster) error {
	cluster.Services = map[string]string{}
	for _, kind := range slices.Sorted(maps.Values(c.Services)) {
		if cluster.Services[kind] != "" || c.Images[kind] == "" && !cluster.BuildsServices {
			continue
		}
		reference, err := a.platformImage(ctx, c, p, kind)
		if err != nil {
			return err
		}
		cluster.Services[kind] = reference
	}
	return nil
}

// databaseImages finds the images of other versions of PostgreSQL than the usual one that
// environments have, where they are built.
func (a *app) databaseImages(ctx context.Context, c *config.Config, p provider.Provider, cluster *provider.Cluster, environments ...string) error {
	for _, environment := range environments {
		e := c.Environments[environment]
		if e.Database != config.Postgres || e.DatabaseVersion == config.PostgresVersion || !cluster.BuildsServices || ownDatabaseImage(e) != "" {
			continue
		}
		reference, err := a.postgresImage(ctx, c, p, "postgres", e.DatabaseVersion)
		if err != nil {
			return err
		}
		if cluster.PostgresOf == nil {
			cluster.PostgresOf = map[int]string{}
		}
		cluster.PostgresOf[e.DatabaseVersion] = reference
	}
	return nil
}

// ownDatabaseImage is the one that berth.yaml names for an environment's database.
func ownDatabaseImage(e config.Environment) string {
	settings, _ := e.Values["postgresql"].(map[string]any)
	image, _ := settings["image"].(map[string]any)
	reference, _ := image["reference"].(string)
	return reference
}

// backupImage is the image of an environment's backups, with the programs of its
// database's version.
func (a *app) backupImage(ctx context.Context, c *config.Config, p provider.Provider, environment string) (string, error) {
	version := c.Environments[environment].DatabaseVersion
	if version == 0 || version == config.PostgresVersion || c.Images["backup"] != "" {
		return a.platformImage(ctx, c, p, "backup")
	}
	return a.postgresImage(ctx, c, p, "backup", version)
}

// suites are Debian's with the versions of PostgreSQL that images are built of.
var suites = map[int]string{15: "bookworm", 17: "trixie", 18: "forky"}

// postgresImage builds one of the platform's images for a version of PostgreSQL.
func (a *app) postgresImage(ctx context.Context, c *config.Config, p provider.Provider, name string, version int) (string, error) {
	suite, known := suites[version]
	if !known {
		var versions []string
		for _, v := range slices.Sorted(maps.Keys(suites)) {
			versions = append(versions, strconv.Itoa(v))
		}
		return "", fault.WithHint(fault.Usage("the image %s is built from Debian packages, which have PostgreSQL %s, not %d", name, strings.Join(versions, ", "), version),
			"name a prebuilt one: images.%s in berth.yaml", name)
	}
	root, err := source.Root()
	if err != nil {
		return "", fault.WithHint(err, "compile berth with make bin/berth, which includes the source")
	}
	build := provider.Build{
		Name: name, Dockerfile: filepath.Join(root, "images", name, "Dockerfile"), Context: root,
		Args: map[string]string{"POSTGRES": strconv.Itoa(version), "SUITE": suite},
	}
	if name == "postgres" { // it takes nothing of berth's source
		build.Context = filepath.Dir(build.Dockerfile)
	}
	return p.Publish(ctx, build, a.console.Reporter())
}

// platformImage returns one of the platform's images: the one that berth.yaml
// names, or one built from berth's source.
func (a *app) platformImage(ctx context.Context, c *config.Config, p provider.Provider, name string) (string, error) {
	if reference := c.Images[name]; reference != "" {
		return reference, nil
	}
	root, err := source.Root()
	if err != nil {
		return "", fault.WithHint(err, "compile berth with make bin/berth, which includes the source, or name a built image in berth.yaml: images.%s", name)
	}
	return p.Publish(ctx, provider.Build{
		Name: name, Dockerfile: filepath.Join(root, "images", name, "Dockerfile"), Context: root, Prebuilt: a.release,
	}, a.console.Reporter())
}
