// Package plugin replaces the Terraform provider plugin digitalocean/digitalocean in
// tests, where the real one cannot be downloaded. It has the real schema of the
// resources that berth's configuration uses, and the real behaviour, above all the
// awkward parts: which changes replace a cluster, what a time-out leaves behind, what an
// import does not find. It talks to the API through godo as the real one does, so it
// works on the real API as well.
package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// server speaks Terraform's plugin protocol of version 5.
type server struct {
	unsupported
	schemas   *schemas
	answer    *tfprotov5.GetProviderSchemaResponse
	resources map[string]*resource
	clients   *clients
}

// NewServer returns the plugin.
func NewServer() (tfprotov5.ProviderServer, error) {
	loaded, err := loadSchemas()
	if err != nil {
		return nil, err
	}
	s := &server{schemas: loaded, resources: resources(), answer: &tfprotov5.GetProviderSchemaResponse{
		ResourceSchemas: map[string]*tfprotov5.Schema{}, DataSourceSchemas: map[string]*tfprotov5.Schema{},
	}}
	if s.answer.Provider, err = loaded.Provider.protocol(); err != nil {
		return nil, fmt.Errorf("the provider's schema: %w", err)
	}
	for name, r := range s.resources {
		r.schema = loaded.Resources[name]
		if s.answer.ResourceSchemas[name], err = r.schema.protocol(); err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", name, err)
		}
		r.typ = s.answer.ResourceSchemas[name].ValueType()
	}
	for name, schema := range loaded.DataSources {
		if s.answer.DataSourceSchemas[name], err = schema.protocol(); err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", name, err)
		}
	}
	return s, nil
}

func (s *server) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return s.answer, nil
}

func (s *server) PrepareProviderConfig(_ context.Context, r *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (s *server) ConfigureProvider(_ context.Context, r *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	config, err := decodeObject(r.Config, s.answer.Provider.ValueType())
	if err == nil {
		s.clients, err = newClients(config)
	}
	return &tfprotov5.ConfigureProviderResponse{Diagnostics: diagnostics(err)}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func (s *server) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (s *server) UpgradeResourceState(_ context.Context, r *tfprotov5.UpgradeResourceStateRequest) (*tfprotov5.UpgradeResourceStateResponse, error) {
	kind := s.resources[r.TypeName]
	value, err := r.RawState.UnmarshalWithOpts(kind.typ, tfprotov5.UnmarshalOpts{ValueFromJSONOpts: tftypes.ValueFromJSONOpts{IgnoreUndefinedAttributes: true}})
	if err != nil {
		return &tfprotov5.UpgradeResourceStateResponse{Diagnostics: diagnostics(err)}, nil
	}
	upgraded, err := tfprotov5.NewDynamicValue(kind.typ, value)
	return &tfprotov5.UpgradeResourceStateResponse{UpgradedState: &upgraded, Diagnostics: diagnostics(err)}, nil
}

func (s *server) ReadResource(ctx context.Context, r *tfprotov5.ReadResourceRequest) (*tfprotov5.ReadResourceResponse, error) {
	kind := s.resources[r.TypeName]
	state, err := decodeObject(r.CurrentState, kind.typ)
	if err != nil {
		return &tfprotov5.ReadResourceResponse{Diagnostics: diagnostics(err)}, nil
	}
	read, err := kind.read(ctx, s.clients, copyOf(state))
	if err != nil {
		return &tfprotov5.ReadResourceResponse{NewState: r.CurrentState, Diagnostics: diagnostics(err)}, nil
	}
	if read != nil {
		read = kind.quiet(read, state)
	}
	encoded, err := encodeObject(read, kind.typ)
	return &tfprotov5.ReadResourceResponse{NewState: encoded, Diagnostics: diagnostics(err)}, nil
}

func (s *server) PlanResourceChange(_ context.Context, r *tfprotov5.PlanResourceChangeRequest) (*tfprotov5.PlanResourceChangeResponse, error) {
	//lint:ignore SA1019 The real plugin's library declares itself imprecise, and Terraform does not check it as it does others.
	answer := &tfprotov5.PlanResourceChangeResponse{UnsafeToUseLegacyTypeSystem: true}
	kind := s.resources[r.TypeName]
	prior, err := decodeObject(r.PriorState, kind.typ)
	if err != nil {
		answer.Diagnostics = diagnostics(err)
		return answer, nil
	}
	proposed, err := decodeObject(r.ProposedNewState, kind.typ)
	if err != nil || proposed == nil {
		answer.PlannedState, answer.Diagnostics = r.ProposedNewState, diagnostics(err)
		return answer, nil
	}
	planned, replace := kind.plan(prior, proposed)
	answer.RequiresReplace = replace
	answer.PlannedState, err = encodeObject(planned, kind.typ)
	answer.Diagnostics = diagnostics(err)
	return answer, nil
}

func (s *server) ApplyResourceChange(ctx context.Context, r *tfprotov5.ApplyResourceChangeRequest) (*tfprotov5.ApplyResourceChangeResponse, error) {
	//lint:ignore SA1019 As in the plan.
	answer := &tfprotov5.ApplyResourceChangeResponse{UnsafeToUseLegacyTypeSystem: true, NewState: r.PriorState}
	kind := s.resources[r.TypeName]
	prior, err := decodeObject(r.PriorState, kind.typ)
	if err != nil {
		answer.Diagnostics = diagnostics(err)
		return answer, nil
	}
	planned, err := decodeObject(r.PlannedState, kind.typ)
	if err != nil {
		answer.Diagnostics = diagnostics(err)
		return answer, nil
	}
	var after object
	var failed error
	switch {
	case planned == nil:
		if failed = kind.remove(ctx, s.clients, prior); failed != nil {
			after = prior
		}
	case prior == nil:
		after, failed = kind.create(ctx, s.clients, copyOf(planned))
	default:
		if after, failed = kind.update(ctx, s.clients, copyOf(prior), copyOf(planned)); failed != nil && after == nil {
			after = prior
		}
	}
	if after != nil {
		after = kind.quiet(settle(after), planned)
	}
	encoded, err := encodeObject(after, kind.typ)
	if err != nil {
		answer.Diagnostics = diagnostics(err)
		return answer, nil
	}
	answer.NewState, answer.Diagnostics = encoded, diagnostics(failed)
	return answer, nil
}

func (s *server) ImportResourceState(ctx context.Context, r *tfprotov5.ImportResourceStateRequest) (*tfprotov5.ImportResourceStateResponse, error) {
	kind := s.resources[r.TypeName]
	if kind.imported == nil {
		return &tfprotov5.ImportResourceStateResponse{Diagnostics: diagnostics(fmt.Errorf("resource %s doesn't support import", r.TypeName))}, nil
	}
	state, err := kind.imported(ctx, s.clients, r.ID)
	if err != nil {
		return &tfprotov5.ImportResourceStateResponse{Diagnostics: diagnostics(err)}, nil
	}
	// Terraform wants lists of blocks, not null.
	for name, nested := range kind.schema.Block.Blocks {
		if nested.Nesting != "single" && state[name] == nil {
			state[name] = []any{}
		}
	}
	encoded, err := encodeObject(state, kind.typ)
	return &tfprotov5.ImportResourceStateResponse{
		ImportedResources: []*tfprotov5.ImportedResource{{TypeName: r.TypeName, State: encoded}}, Diagnostics: diagnostics(err),
	}, nil
}

func (s *server) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (s *server) ReadDataSource(ctx context.Context, r *tfprotov5.ReadDataSourceRequest) (*tfprotov5.ReadDataSourceResponse, error) {
	t := s.answer.DataSourceSchemas[r.TypeName].ValueType()
	config, err := decodeObject(r.Config, t)
	if err != nil {
		return &tfprotov5.ReadDataSourceResponse{Diagnostics: diagnostics(err)}, nil
	}
	// There is one kind of data source.
	read, err := readVersions(ctx, s.clients, config)
	if err != nil {
		return &tfprotov5.ReadDataSourceResponse{Diagnostics: diagnostics(err)}, nil
	}
	encoded, err := encodeObject(read, t)
	return &tfprotov5.ReadDataSourceResponse{State: encoded, Diagnostics: diagnostics(err)}, nil
}

func diagnostics(err error) []*tfprotov5.Diagnostic {
	if err == nil {
		return nil
	}
	text := err.Error()
	// The real plugin begins its errors with a capital.
	return []*tfprotov5.Diagnostic{{Severity: tfprotov5.DiagnosticSeverityError, Summary: strings.ToUpper(text[:1]) + text[1:]}}
}

// resources are those that the fake implements.
func resources() map[string]*resource {
	return map[string]*resource{
		"digitalocean_container_registry":   registryResource(),
		"digitalocean_database_cluster":     databaseResource(),
		"digitalocean_database_db":          databaseDBResource(),
		"digitalocean_database_firewall":    databaseFirewallResource(),
		"digitalocean_domain":               domainResource(),
		"digitalocean_kubernetes_cluster":   clusterResource(),
		"digitalocean_kubernetes_node_pool": nodePoolResource(),
		"digitalocean_project":              projectResource(),
		"digitalocean_project_resources":    projectResourcesResource(),
		"digitalocean_record":               recordResource(),
		"digitalocean_spaces_bucket":        bucketResource(),
		"digitalocean_spaces_key":           spacesKeyResource(),
		"digitalocean_vpc":                  vpcResource(),
	}
}
