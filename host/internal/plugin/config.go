package plugin

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Config holds the arguments of a component: bool, int, int64, float64, string, a
// slice of such, nil for an optional argument that is absent, or a Component. A
// string where a component is wanted names its type.
type Config map[string]any

// Component is a component given as an argument.
type Component struct {
	Ref    Ref
	Config Config
}

// String names the component's type, as a spec does.
func (c Component) String() string { return c.Ref.String() }

// bound is a Config checked against its schema.
type bound struct {
	schema     *Schema
	values     map[string]*pluginpb.Value // what the plugin is told
	components map[string]Component       // what it is not: which component each argument is
}

// bind checks a configuration and fills in components by default.
func bind(s *Schema, c Config) (*bound, error) {
	b := &bound{schema: s, values: map[string]*pluginpb.Value{}, components: map[string]Component{}}
	for _, name := range keys(c) {
		if s.Parameter(name) == nil {
			var names []string
			for _, p := range s.Parameters {
				names = append(names, p.Name)
			}
			d := diag.Errorf("unknown_argument", "the %s %q has no argument %q", s.Kind, s.Type, name).In(name)
			if len(names) == 0 {
				return nil, d.Hint("It has none at all; remove it.")
			}
			return nil, d.Hint("%sIts arguments are %s.", diag.DidYouMean(name, names), listOf(names))
		}
	}
	for i := range s.Parameters {
		p := &s.Parameters[i]
		x, given := c[p.Name]
		if !given && p.Required {
			return nil, diag.Errorf("missing_argument", "the %s %q needs the argument %q", s.Kind, s.Type, p.Name).In(p.Name).
				Hint("Add it. %s", p.Doc)
		}
		if !given || x == nil && p.Default != nil {
			x = p.Default
		}
		v, err := b.value(p, x)
		if err == nil {
			err = sdk.CheckValue(p.proto, v)
		}
		if err != nil {
			return nil, argumentDiagnostic(s, p.Name, err)
		}
		b.values[p.Name] = v
	}
	return b, nil
}

func argumentDiagnostic(s *Schema, name string, err error) diag.Diagnostic {
	d := diag.Errorf("invalid_argument", "%s %q: %w", s.Kind, s.Type, err).In(name)
	var a *sdk.AttributeError
	if errors.As(err, &a) {
		d = diag.Errorf("invalid_argument", "%s %q: %s: %s", s.Kind, s.Type, a.Attribute, a.Summary).In(a.Attribute)
		d.Detail = a.Detail
	}
	return d
}

func (b *bound) value(p *Parameter, x any) (*pluginpb.Value, error) {
	if x == nil {
		return &pluginpb.Value{}, nil
	}
	if p.Type == ComponentType {
		var c Component
		switch x := x.(type) {
		case Component:
			c = x
		case *Component:
			c = *x
		case string:
			c.Ref = parseRef(x)
		default:
			return nil, fmt.Errorf("wanted a %s, got %v", p.Kind, x)
		}
		b.components[p.Name] = c
		return &pluginpb.Value{Value: &pluginpb.Value_Component{}}, nil
	}
	v, err := scalarValue(x)
	if err != nil {
		return nil, err
	}
	if _, isList := v.Value.(*pluginpb.Value_List); p.List && !isList {
		v = &pluginpb.Value{Value: &pluginpb.Value_List{List: &pluginpb.List{Values: []*pluginpb.Value{v}}}}
	}
	if p.Type == Int {
		wholeNumbers(v)
	}
	return v, nil
}

// wholeNumbers turns floats without a fraction into ints, since HCL knows
// numbers alone.
func wholeNumbers(v *pluginpb.Value) {
	switch x := v.Value.(type) {
	case *pluginpb.Value_Float:
		if x.Float == math.Trunc(x.Float) && math.Abs(x.Float) < 1<<53 {
			v.Value = &pluginpb.Value_Int{Int: int64(x.Float)}
		}
	case *pluginpb.Value_List:
		for _, e := range x.List.Values {
			wholeNumbers(e)
		}
	}
}

func scalarValue(x any) (*pluginpb.Value, error) {
	switch x := x.(type) {
	case bool:
		return &pluginpb.Value{Value: &pluginpb.Value_Bool{Bool: x}}, nil
	case string:
		return &pluginpb.Value{Value: &pluginpb.Value_String_{String_: x}}, nil
	}
	switch v := reflect.ValueOf(x); v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &pluginpb.Value{Value: &pluginpb.Value_Int{Int: v.Int()}}, nil
	case reflect.Float32, reflect.Float64:
		return &pluginpb.Value{Value: &pluginpb.Value_Float{Float: v.Float()}}, nil
	case reflect.Slice:
		l := &pluginpb.List{}
		for i := range v.Len() {
			e, err := scalarValue(v.Index(i).Interface())
			if err != nil {
				return nil, err
			}
			if _, nested := e.Value.(*pluginpb.Value_List); nested {
				return nil, fmt.Errorf("a list within a list")
			}
			l.Values = append(l.Values, e)
		}
		return &pluginpb.Value{Value: &pluginpb.Value_List{List: l}}, nil
	}
	return nil, fmt.Errorf("a %T cannot be an argument", x)
}

func parseRef(s string) Ref {
	if p, t, ok := strings.Cut(s, "."); ok {
		return Ref{p, t}
	}
	return Ref{Type: s}
}
