package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Schema describes a component.
type Schema struct {
	Kind       sdk.Kind
	Type       string
	Plugin     string // local name; of a built-in the plugin's own
	Doc        string
	Parameters []Parameter
	// MinInputs and MaxInputs bound a layer's inputs; MaxInputs 0 is any number.
	MinInputs, MaxInputs int
	// Powers are functions beyond those of the kind: exact, perturb, ...
	Powers []string
	// LowerIsBetter is of a metric.
	LowerIsBetter bool
}

// ValueType is the type of an argument, or of the elements of a list.
type ValueType string

// The types of arguments.
const (
	Bool          ValueType = "bool"
	Int           ValueType = "int"
	Float         ValueType = "float"
	String        ValueType = "string"
	ComponentType ValueType = "component"
)

// Parameter describes one argument of a component.
type Parameter struct {
	Name, Doc string
	Type      ValueType
	List      bool // a single value stands for a list of one
	Required  bool // the user must give it
	Optional  bool // absence means something of its own
	Default   any  // bool, int64, float64, string, []any or Component; nil where required or optional
	Runtime   bool // reaches the graph as a hyper of this name
	Min, Max  *Bound
	// MinLength and MaxLength bound a list; MaxLength 0 is any length.
	MinLength, MaxLength int
	Enum                 []string // the words a string may be; nil for any
	Kind                 sdk.Kind // of a component
	proto                *pluginpb.Parameter
}

// Bound is one end of the range of a number.
type Bound struct {
	Value     float64
	Exclusive bool
}

// Parameter returns the parameter of that name, or nil.
func (s *Schema) Parameter(name string) *Parameter {
	for i := range s.Parameters {
		if s.Parameters[i].Name == name {
			return &s.Parameters[i]
		}
	}
	return nil
}

// Has reports whether the component has a function beyond those of its kind.
func (s *Schema) Has(power string) bool { return slices.Contains(s.Powers, power) }

func readSchema(c *pluginpb.Component) (*Schema, error) {
	s := &Schema{
		Kind: sdk.KindFromProto(c.Kind), Type: c.Type, Doc: c.Doc, Powers: c.Powers,
		MinInputs: int(c.MinInputs), MaxInputs: int(c.MaxInputs), LowerIsBetter: c.Better == "min",
	}
	if err := graph.CheckPath(c.Type); err != nil || strings.ContainsAny(c.Type, ".[") {
		return nil, fmt.Errorf("a type is [a-z][a-z0-9_]*")
	}
	for _, p := range c.Parameters {
		q := Parameter{
			Name: p.Name, Doc: p.Doc, List: p.List, Required: p.Required, Optional: p.Optional, Runtime: p.Runtime,
			MinLength: int(p.MinLength), MaxLength: int(p.MaxLength), Enum: p.Enum, Kind: sdk.KindFromProto(p.Kind), proto: p,
		}
		if err := graph.CheckPath(p.Name); err != nil || strings.ContainsAny(p.Name, ".[") {
			return nil, fmt.Errorf("an argument is called %q", p.Name)
		}
		if s.Parameter(p.Name) != nil {
			return nil, fmt.Errorf("two arguments are called %q", p.Name)
		}
		switch p.Type {
		case pluginpb.ValueType_VALUE_TYPE_BOOL:
			q.Type = Bool
		case pluginpb.ValueType_VALUE_TYPE_INT:
			q.Type = Int
		case pluginpb.ValueType_VALUE_TYPE_FLOAT:
			q.Type = Float
		case pluginpb.ValueType_VALUE_TYPE_STRING:
			q.Type = String
		case pluginpb.ValueType_VALUE_TYPE_COMPONENT:
			q.Type = ComponentType
		default:
			return nil, fmt.Errorf("argument %q has the type %v", p.Name, p.Type)
		}
		if q.Type == ComponentType && (q.Kind == "" || q.List) {
			return nil, fmt.Errorf("argument %q is a component of no known kind, or a list", p.Name)
		}
		for _, b := range []struct {
			from *pluginpb.Bound
			to   **Bound
		}{{p.Min, &q.Min}, {p.Max, &q.Max}} {
			if b.from != nil {
				*b.to = &Bound{b.from.Value, b.from.Exclusive}
			}
		}
		if p.Default != nil {
			if p.Required || p.Optional {
				return nil, fmt.Errorf("argument %q has a default and does not need it", p.Name)
			}
			if err := sdk.CheckValue(p, p.Default); err != nil {
				return nil, fmt.Errorf("the default of %w", err)
			}
			q.Default = fromProto(p.Default)
		} else if !p.Required && !p.Optional {
			return nil, fmt.Errorf("argument %q has no default", p.Name)
		}
		s.Parameters = append(s.Parameters, q)
	}
	return s, nil
}

func fromProto(v *pluginpb.Value) any {
	switch x := v.GetValue().(type) {
	case *pluginpb.Value_Bool:
		return x.Bool
	case *pluginpb.Value_Int:
		return x.Int
	case *pluginpb.Value_Float:
		return x.Float
	case *pluginpb.Value_String_:
		return x.String_
	case *pluginpb.Value_Component:
		return Component{Ref: Ref{Type: x.Component}}
	case *pluginpb.Value_List:
		l := make([]any, len(x.List.GetValues()))
		for i, e := range x.List.GetValues() {
			l[i] = fromProto(e)
		}
		return l
	}
	return nil
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// listOf joins names for a message, at most 40 of them.
func listOf(names []string) string {
	if len(names) > 40 {
		return strings.Join(names[:40], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
