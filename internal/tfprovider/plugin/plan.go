package plugin

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// plan works out what a resource will be: the configuration, with defaults where
// it is silent, with what the resource has already where that is computed, and
// unknown where only the API can tell. It follows the library that the real
// plugin is written with.
func (r *resource) plan(prior, proposed object) (planned object, replace []*tftypes.AttributePath) {
	planned = copyOf(proposed)
	for name, value := range r.defaults {
		setDefault(planned, strings.Split(name, "."), value)
	}
	for name, nested := range r.schema.Block.Blocks {
		// A block that the API fills in keeps what it has.
		if slices.Contains(r.computedBlocks, name) && len(planned.blocks(name)) == 0 {
			if prior != nil {
				planned[name] = copyValue(prior[name])
			} else {
				planned[name] = unknown{}
			}
		}
		markUnknown(nested, planned, prior, name)
	}
	if prior == nil {
		for name, a := range r.schema.Block.Attributes {
			if a.Computed && planned[name] == nil {
				planned[name] = unknown{}
			}
		}
		return planned, nil
	}
	if r.suppress != nil {
		r.suppress(prior, planned)
	}
	for _, name := range r.forceNew {
		steps := strings.Split(name, ".")
		if before, after := valueAt(prior, steps), valueAt(planned, steps); !reflect.DeepEqual(before, after) {
			replace = append(replace, attributePath(steps))
		}
	}
	if r.replaces != nil {
		replace = append(replace, r.replaces(prior, planned)...)
	}
	return planned, replace
}

// markUnknown makes the computed attributes of new blocks unknown.
func markUnknown(nested *nestedBlock, planned, prior object, name string) {
	before := prior.blocks(name)
	for i, b := range planned.blocks(name) {
		var was object
		if i < len(before) && nested.Nesting == "list" {
			was = before[i]
		}
		for attribute, a := range nested.Block.Attributes {
			if a.Computed && b[attribute] == nil && was == nil {
				b[attribute] = unknown{}
			}
		}
		for inner, n := range nested.Block.Blocks {
			markUnknown(n, b, was, inner)
		}
	}
}

func setDefault(o object, steps []string, value any) {
	if len(steps) > 1 {
		for _, b := range o.blocks(steps[0]) {
			setDefault(b, steps[1:], value)
		}
		return
	}
	if o[steps[0]] == nil {
		o[steps[0]] = value
	}
}

// valueAt follows a path as "node_pool.0.size".
func valueAt(value any, steps []string) any {
	for _, step := range steps {
		switch v := value.(type) {
		case object:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func attributePath(steps []string) *tftypes.AttributePath {
	path := tftypes.NewAttributePath()
	for _, step := range steps {
		if i, err := strconv.Atoi(step); err == nil {
			path = path.WithElementKeyInt(i)
		} else {
			path = path.WithAttributeName(step)
		}
	}
	return path
}

// quiet makes null of what the API answers where the configuration is silent and
// the answer says nothing either, so that the next plan sees no difference.
func (r *resource) quiet(after, before object) object {
	quietBlock(r.schema.Block, r.defaults, "", after, before)
	return after
}

func quietBlock(b *block, defaults map[string]any, prefix string, after, before object) {
	for name, a := range b.Attributes {
		if _, ok := defaults[prefix+name]; !ok && a.Optional && !a.Computed && before[name] == nil && isZero(after[name]) {
			after[name] = nil
		}
	}
	for name, nested := range b.Blocks {
		if nested.Nesting == "single" {
			continue
		}
		was := before.blocks(name)
		for i, inner := range after.blocks(name) {
			var old object
			if i < len(was) {
				old = was[i]
			}
			quietBlock(nested.Block, defaults, prefix+name+".", inner, old)
		}
	}
}
