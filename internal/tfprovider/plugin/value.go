package plugin

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// object is a resource as plain Go values: string, bool, float64, []any for lists
// and sets, object for objects and maps, nil for null, and unknown.
type object map[string]any

// unknown is a value that is known after the apply.
type unknown struct{}

// decodeObject reads a value of the protocol; null is nil.
func decodeObject(value *tfprotov5.DynamicValue, t tftypes.Type) (object, error) {
	if value == nil {
		return nil, nil
	}
	decoded, err := value.Unmarshal(t)
	if err != nil {
		return nil, fmt.Errorf("decode a value: %w", err)
	}
	return plainObject(decoded)
}

func plainObject(value tftypes.Value) (object, error) {
	plain, err := toPlain(value)
	if err != nil || plain == nil {
		return nil, err
	}
	o, ok := plain.(object)
	if !ok {
		return nil, errors.New("a value is no object")
	}
	return o, nil
}

// encodeObject is the inverse of decodeObject.
func encodeObject(o object, t tftypes.Type) (*tfprotov5.DynamicValue, error) {
	var plain any
	if o != nil {
		plain = o
	}
	value, err := fromPlain(plain, t)
	if err != nil {
		return nil, fmt.Errorf("encode a value: %w", err)
	}
	encoded, err := tfprotov5.NewDynamicValue(t, value)
	return &encoded, err
}

func toPlain(value tftypes.Value) (any, error) {
	if !value.IsKnown() {
		return unknown{}, nil
	}
	if value.IsNull() {
		return nil, nil
	}
	switch t := value.Type(); {
	case t.Is(tftypes.String):
		var s string
		err := value.As(&s)
		return s, err
	case t.Is(tftypes.Bool):
		var b bool
		err := value.As(&b)
		return b, err
	case t.Is(tftypes.Number):
		var n big.Float
		err := value.As(&n)
		f, _ := n.Float64()
		return f, err
	case t.Is(tftypes.List{}), t.Is(tftypes.Set{}):
		var elements []tftypes.Value
		if err := value.As(&elements); err != nil {
			return nil, err
		}
		plain := make([]any, len(elements))
		for i, element := range elements {
			var err error
			if plain[i], err = toPlain(element); err != nil {
				return nil, err
			}
		}
		return plain, nil
	default:
		var fields map[string]tftypes.Value
		if err := value.As(&fields); err != nil {
			return nil, err
		}
		plain := object{}
		for name, field := range fields {
			var err error
			if plain[name], err = toPlain(field); err != nil {
				return nil, err
			}
		}
		return plain, nil
	}
}

func fromPlain(plain any, t tftypes.Type) (tftypes.Value, error) {
	if _, ok := plain.(unknown); ok {
		return tftypes.NewValue(t, tftypes.UnknownValue), nil
	}
	if plain == nil {
		return tftypes.NewValue(t, nil), nil
	}
	element := func(t tftypes.Type) tftypes.Type {
		switch t := t.(type) {
		case tftypes.List:
			return t.ElementType
		case tftypes.Set:
			return t.ElementType
		case tftypes.Map:
			return t.ElementType
		}
		return nil
	}
	switch v := plain.(type) {
	case []any:
		elements := make([]tftypes.Value, len(v))
		for i := range v {
			var err error
			if elements[i], err = fromPlain(v[i], element(t)); err != nil {
				return tftypes.Value{}, err
			}
		}
		return newValue(t, elements)
	case object:
		fields := map[string]tftypes.Value{}
		if o, ok := t.(tftypes.Object); ok {
			// What the resource says nothing of is null.
			for name, fieldType := range o.AttributeTypes {
				var err error
				if fields[name], err = fromPlain(v[name], fieldType); err != nil {
					return tftypes.Value{}, fmt.Errorf("%s: %w", name, err)
				}
			}
			return newValue(t, fields)
		}
		for name := range v {
			var err error
			if fields[name], err = fromPlain(v[name], element(t)); err != nil {
				return tftypes.Value{}, err
			}
		}
		return newValue(t, fields)
	case float64:
		return newValue(t, big.NewFloat(v))
	default:
		return newValue(t, v)
	}
}

func newValue(t tftypes.Type, v any) (tftypes.Value, error) {
	if err := tftypes.ValidateValue(t, v); err != nil {
		return tftypes.Value{}, err
	}
	return tftypes.NewValue(t, v), nil
}

// copyOf copies an object deeply.
func copyOf(o object) object {
	if o == nil {
		return nil
	}
	out := object{}
	for name, value := range o {
		out[name] = copyValue(value)
	}
	return out
}

func copyValue(value any) any {
	switch v := value.(type) {
	case object:
		return copyOf(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copyValue(v[i])
		}
		return out
	}
	return value
}

// The readers below take null, unknown and what is missing for the zero value, as
// the real plugin's library does.

func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

func (o object) flag(name string) bool {
	b, _ := o[name].(bool)
	return b
}

func (o object) number(name string) int {
	f, _ := o[name].(float64)
	return int(f)
}

func (o object) texts(name string) []string {
	var all []string
	values, _ := o[name].([]any)
	for _, value := range values {
		if s, ok := value.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func (o object) blocks(name string) []object {
	var all []object
	values, _ := o[name].([]any)
	for _, value := range values {
		if b, ok := value.(object); ok {
			all = append(all, b)
		}
	}
	return all
}

// one returns the only block of a name, or nil.
func (o object) one(name string) object {
	if all := o.blocks(name); len(all) > 0 {
		return all[0]
	}
	return nil
}

func list[T any](values []T) []any {
	out := make([]any, len(values))
	for i, value := range values {
		out[i] = value
	}
	return out
}

// isZero reports whether a value says no more than null does.
func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case object:
		return len(v) == 0
	}
	return false
}

// settle makes null of what is still unknown after a failed creation.
func settle(o object) object {
	for name, value := range o {
		switch v := value.(type) {
		case unknown:
			o[name] = nil
		case object:
			settle(v)
		case []any:
			for _, element := range v {
				if inner, ok := element.(object); ok {
					settle(inner)
				}
			}
		}
	}
	return o
}
