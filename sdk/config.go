package sdk

import (
	"fmt"
	"math"
	"reflect"

	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// configure returns a new component with its fields set from the defaults and
// the given arguments, and the values of its runtime numbers. In the fields
// those are NaN, so that a component that takes one as a plain number instead of
// a hyper is found out.
func (c *component) configure(config map[string]*pluginpb.Value) (any, map[string]float64, error) {
	known := map[string]bool{}
	runtime := map[string]float64{}
	v := c.create()
	s := reflect.ValueOf(v).Elem()
	for _, f := range c.fields {
		p := f.param
		known[p.Name] = true
		val, given := config[p.Name]
		if !given {
			if p.Required {
				return nil, nil, Invalid(p.Name, "is required")
			}
			val = p.Default
		}
		if val.GetValue() == nil && p.Default != nil {
			val = p.Default
		}
		if l, ok := val.GetValue().(*pluginpb.Value_List); p.List && val.GetValue() != nil && (!ok || l.List == nil) {
			val = &pluginpb.Value{Value: &pluginpb.Value_List{List: &pluginpb.List{Values: []*pluginpb.Value{val}}}}
		}
		if err := CheckValue(p, val); err != nil {
			return nil, nil, err
		}
		setField(s.FieldByIndex(f.index), p, val)
	}
	for name := range config {
		if !known[name] {
			return nil, nil, Invalid(name, "%s %q has no argument of that name", c.kind, c.typ)
		}
	}
	if err := validate(v); err != nil {
		return nil, nil, err
	}
	for _, f := range c.fields {
		if !f.param.Runtime {
			continue
		}
		x := s.FieldByIndex(f.index)
		if x.Kind() == reflect.Pointer {
			if x.IsNil() {
				continue
			}
			x = x.Elem()
		}
		runtime[f.param.Name] = x.Float()
		x.SetFloat(math.NaN())
	}
	return v, runtime, nil
}

func validate(v any) error {
	if c, ok := v.(Validator); ok {
		return c.Validate()
	}
	return nil
}

func setField(f reflect.Value, p *pluginpb.Parameter, v *pluginpb.Value) {
	if v.GetValue() == nil {
		f.SetZero()
		return
	}
	if f.Kind() == reflect.Pointer {
		f.Set(reflect.New(f.Type().Elem()))
		f = f.Elem()
	}
	switch x := v.Value.(type) {
	case *pluginpb.Value_Bool:
		f.SetBool(x.Bool)
	case *pluginpb.Value_Int:
		if f.Kind() == reflect.Float64 {
			f.SetFloat(float64(x.Int))
		} else {
			f.SetInt(x.Int)
		}
	case *pluginpb.Value_Float:
		f.SetFloat(x.Float)
	case *pluginpb.Value_String_:
		f.SetString(x.String_)
	case *pluginpb.Value_Component:
		f.Set(reflect.ValueOf(Component{ref: "arg:" + p.Name}))
	case *pluginpb.Value_List:
		l := reflect.MakeSlice(f.Type(), len(x.List.Values), len(x.List.Values))
		for i, e := range x.List.Values {
			setField(l.Index(i), p, e)
		}
		f.Set(l)
	}
}

// Defaults fills the tagged fields of c, a pointer to a component's struct, with
// their defaults and returns c: the starting point for a component that another
// one uses. Components become references to the built-ins of those names. It
// panics on malformed tags, which only the author's own code can contain.
//
//	conv := sdk.Defaults(&layers.Conv2D{})
//	conv.Filters, conv.KernelSize = 64, []int{3}
//	x = b.Layer("conv1", conv, x)
func Defaults[T any](c *T) *T {
	s := reflect.ValueOf(c).Elem()
	fields, err := fieldsOf(s.Type())
	if err != nil {
		panic(fmt.Sprintf("sdk: %T: %v", c, err))
	}
	for _, f := range fields {
		v := s.FieldByIndex(f.index)
		if d, ok := f.param.Default.GetValue().(*pluginpb.Value_Component); ok {
			v.Set(reflect.ValueOf(Named(d.Component)))
		} else if f.param.Default != nil {
			setField(v, f.param, f.param.Default)
		}
	}
	return c
}
