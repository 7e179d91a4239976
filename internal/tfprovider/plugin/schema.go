package plugin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// schemaJSON is what Terraform prints of the real plugin's schema, cut to what
// the fake implements.
//
//go:embed schema.json
var schemaJSON []byte

// schemas is the plugin's schema in Terraform's own JSON form, that of
// `terraform providers schema -json`.
type schemas struct {
	Provider    *schema            `json:"provider"`
	Resources   map[string]*schema `json:"resource_schemas"`
	DataSources map[string]*schema `json:"data_source_schemas"`
}

type schema struct {
	Version int64  `json:"version"`
	Block   *block `json:"block"`
}

type block struct {
	Attributes  map[string]*attribute   `json:"attributes"`
	Blocks      map[string]*nestedBlock `json:"block_types"`
	Description string                  `json:"description"`
	Deprecated  bool                    `json:"deprecated"`
}

type attribute struct {
	Type        json.RawMessage `json:"type"`
	Description string          `json:"description"`
	Required    bool            `json:"required"`
	Optional    bool            `json:"optional"`
	Computed    bool            `json:"computed"`
	Sensitive   bool            `json:"sensitive"`
	Deprecated  bool            `json:"deprecated"`
}

type nestedBlock struct {
	Nesting  string `json:"nesting_mode"`
	Block    *block `json:"block"`
	MinItems int64  `json:"min_items"`
	MaxItems int64  `json:"max_items"`
}

func loadSchemas() (*schemas, error) {
	var s schemas
	if err := json.Unmarshal(schemaJSON, &s); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	return &s, nil
}

var nestings = map[string]tfprotov5.SchemaNestedBlockNestingMode{
	"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov5.SchemaNestedBlockNestingModeList,
	"set":    tfprotov5.SchemaNestedBlockNestingModeSet,
}

// protocol turns a schema into the protocol's form.
func (s *schema) protocol() (*tfprotov5.Schema, error) {
	b, err := s.Block.protocol()
	if err != nil {
		return nil, err
	}
	return &tfprotov5.Schema{Version: s.Version, Block: b}, nil
}

func (b *block) protocol() (*tfprotov5.SchemaBlock, error) {
	out := &tfprotov5.SchemaBlock{Description: b.Description, Deprecated: b.Deprecated}
	for _, name := range sorted(b.Attributes) {
		a := b.Attributes[name]
		//lint:ignore SA1019 Terraform prints types in this form alone, and nothing else reads it.
		t, err := tftypes.ParseJSONType(a.Type)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		out.Attributes = append(out.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: t, Description: a.Description, Required: a.Required, Optional: a.Optional,
			Computed: a.Computed, Sensitive: a.Sensitive, Deprecated: a.Deprecated,
		})
	}
	for _, name := range sorted(b.Blocks) {
		n := b.Blocks[name]
		inner, err := n.Block.protocol()
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", name, err)
		}
		nesting, ok := nestings[n.Nesting]
		if !ok {
			return nil, fmt.Errorf("block %s: unknown nesting %q", name, n.Nesting)
		}
		out.BlockTypes = append(out.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: nesting, MinItems: n.MinItems, MaxItems: n.MaxItems,
		})
	}
	return out, nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
