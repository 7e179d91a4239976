package main

import (
	"context"
	"errors"

	"berth/internal/config"
	"berth/internal/progress"
	"berth/internal/provider"
	"berth/internal/provider/digitalocean"
	"berth/internal/provider/existing"
	"berth/internal/provider/local"
)

type authority struct{}

func (authority) Certificate([]string) ([]byte, []byte, error) { return nil, nil, errors.New("unused") }
func (authority) File() string                                 { return "/state/ca.crt" }

type fakeProvider struct{ *world }

// opened notes what berth.yaml says of a provider that stands in for its.
func (w *world) opened(c *config.Config, p provider.Provider) (provider.Provider, error) {
	w.config = c
	return p, nil
}

// Traits are those of the provider that it stands in for.
func (p fakeProvider) Traits() provider.Traits {
	switch p.config.Provider {
	case "digitalocean":
		return digitalocean.Traits(p.config)
	case "existing":
		return existing.Traits(p.config)
	}
	return local.Traits()
}

func (p fakeProvider) NeedsRoot() bool { return p.rooted }

func (p fakeProvider) Init(_ context.Context, r progress.Reporter) error {
	return progress.Run(r, "Make the cluster", func(progress.Step) error { return p.call("init") })
}

func (p fakeProvider) Cluster(context.Context) (*provider.Cluster, error) {
	if p.cluster == nil {
		return nil, provider.ErrNotUp
	}
	return p.cluster, nil
}

func (p fakeProvider) Publish(_ context.Context, b provider.Build, _ progress.Reporter) (string, error) {
	return "local/" + b.Name + ":1", p.call("publish")
}

func (p fakeProvider) Scale(_ context.Context, s provider.Scale, _ progress.Reporter) error {
	return p.call("scale " + s.Size)
}

func (p fakeProvider) Bucket(context.Context) (provider.Bucket, error) {
	return provider.Bucket{}, p.call("bucket")
}

func (p fakeProvider) Destroy(context.Context, progress.Reporter) ([]string, error) {
	return []string{"the packages"}, p.call("destroy")
}

func (p fakeProvider) Stop(context.Context, progress.Reporter) error { return p.call("stop") }

func (p fakeProvider) Purge(context.Context, progress.Reporter) ([]string, error) {
	return []string{"the packages"}, p.call("purge")
}

func (p fakeProvider) Check(context.Context) []provider.Check { return p.checks }
