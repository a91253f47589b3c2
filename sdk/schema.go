package sdk

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// The tags of fields are described in doc.go.

// field joins a parameter's description to the struct field that takes it.
type field struct {
	param *pluginpb.Parameter
	index []int
}

var (
	componentType = reflect.TypeFor[Component]()
	intType       = reflect.TypeFor[int]()
)

// describe fills schema and fields from the tags of the component's struct.
func (c *component) describe() error {
	if !isName(c.typ) {
		return fmt.Errorf("types are [a-z][a-z0-9_]*")
	}
	v := c.create()
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("a component must be a pointer to a struct, got %T", v)
	}
	fields, err := fieldsOf(t.Elem())
	if err != nil {
		return err
	}
	c.fields = fields
	c.schema = &pluginpb.Component{Kind: c.kind.Proto(), Type: c.typ, MinInputs: 1, MaxInputs: 1, Powers: powersOf(v)}
	if d, ok := v.(Documented); ok {
		c.schema.Doc = d.Doc()
	}
	if m, ok := v.(MultiInput); ok {
		lo, hi := m.Inputs()
		c.schema.MinInputs, c.schema.MaxInputs = uint32(max(lo, 1)), uint32(max(hi, 0))
	}
	if c.kind == MetricKind {
		c.schema.Better = "max"
		if m, ok := v.(LowerIsBetter); ok && m.LowerIsBetter() {
			c.schema.Better = "min"
		}
	}
	for _, f := range fields {
		c.schema.Parameters = append(c.schema.Parameters, f.param)
	}
	return nil
}

// powersOf names the functions that the component adds to those of its kind.
func powersOf(v any) []string {
	var out []string
	add := func(ok bool, names ...string) {
		if ok {
			out = append(out, names...)
		}
	}
	_, exact := v.(ExactMetric)
	_, globals := v.(GlobalsOptimizer)
	_, perturb := v.(Perturber)
	_, eval := v.(EvalParamser)
	_, gradient := v.(Differentiable)
	add(exact, "exact")
	add(globals, "partial", "combine", "finish")
	add(perturb, "perturb")
	add(eval, "eval_params")
	add(gradient, "gradient")
	return out
}

// Documented is the optional power of components that describe themselves to
// users in a sentence or two.
type Documented interface{ Doc() string }

func fieldsOf(t reflect.Type) ([]field, error) {
	var out []field
	seen := map[string]bool{}
	for _, sf := range reflect.VisibleFields(t) {
		tag, ok := sf.Tag.Lookup("hone")
		if !ok {
			continue
		}
		if !sf.IsExported() {
			return nil, fmt.Errorf("field %s is tagged but not exported", sf.Name)
		}
		p, err := parseTag(tag, sf)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", sf.Name, err)
		}
		if seen[p.Name] {
			return nil, fmt.Errorf("two fields are called %q", p.Name)
		}
		seen[p.Name] = true
		out = append(out, field{p, sf.Index})
	}
	return out, nil
}

func parseTag(tag string, sf reflect.StructField) (*pluginpb.Parameter, error) {
	parts := strings.Split(tag, ",")
	p := &pluginpb.Parameter{Name: parts[0], Doc: sf.Tag.Get("doc")}
	if !isName(p.Name) {
		return nil, fmt.Errorf("the name %q is not [a-z][a-z0-9_]*", p.Name)
	}
	pointer, err := setType(p, sf.Type)
	if err != nil {
		return nil, err
	}
	def, hasDefault := "", false
	for _, o := range parts[1:] {
		key, val, _ := strings.Cut(o, "=")
		var err error
		switch key {
		case "required":
			p.Required = true
		case "optional":
			p.Optional = true
		case "runtime":
			p.Runtime = true
		case "default":
			def, hasDefault = val, true
		case "min", "above":
			p.Min, err = parseBound(val, key == "above")
		case "max", "below":
			p.Max, err = parseBound(val, key == "below")
		case "enum":
			p.Enum = strings.Split(val, "|")
		case "kind":
			if p.Kind = Kind(val).Proto(); p.Kind == 0 {
				err = fmt.Errorf("unknown kind %q", val)
			}
		case "len":
			lo, hi, ranged := strings.Cut(val, "..")
			var a, b uint64
			if a, err = strconv.ParseUint(lo, 10, 31); err == nil && ranged {
				b, err = strconv.ParseUint(hi, 10, 31)
			} else {
				b = a
			}
			p.MinLength, p.MaxLength = uint32(a), uint32(b)
		default:
			err = fmt.Errorf("unknown option %q", o)
		}
		if err != nil {
			return nil, err
		}
	}
	if p.Type == pluginpb.ValueType_VALUE_TYPE_COMPONENT && !p.Required && !hasDefault {
		p.Optional = true
	}
	n := 0
	for _, b := range []bool{p.Required, p.Optional, hasDefault} {
		if b {
			n++
		}
	}
	switch {
	case n != 1:
		return nil, fmt.Errorf("say one of required, optional and default=V")
	case p.Optional && !pointer && !p.List && p.Type != pluginpb.ValueType_VALUE_TYPE_COMPONENT:
		return nil, fmt.Errorf("an optional argument needs a pointer, so that absence can be told from zero")
	case p.Runtime && (p.Type != pluginpb.ValueType_VALUE_TYPE_FLOAT || p.List):
		return nil, fmt.Errorf("runtime arguments are float64")
	case (p.Kind != 0) != (p.Type == pluginpb.ValueType_VALUE_TYPE_COMPONENT):
		return nil, fmt.Errorf("kind=K goes with fields of type Component, and with those alone")
	case len(p.Enum) > 0 && p.Type != pluginpb.ValueType_VALUE_TYPE_STRING:
		return nil, fmt.Errorf("enum goes with strings")
	case (p.MinLength > 0 || p.MaxLength > 0) && !p.List:
		return nil, fmt.Errorf("len goes with lists")
	}
	if hasDefault {
		if p.Default, err = parseDefault(p, def); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// setType fills the parameter's type from that of its field.
func setType(p *pluginpb.Parameter, t reflect.Type) (pointer bool, err error) {
	if t.Kind() == reflect.Pointer {
		pointer, t = true, t.Elem()
	} else if t.Kind() == reflect.Slice {
		p.List, t = true, t.Elem()
	}
	switch {
	case t == componentType && !pointer && !p.List:
		p.Type = pluginpb.ValueType_VALUE_TYPE_COMPONENT
	case t.Kind() == reflect.Bool && !p.List:
		p.Type = pluginpb.ValueType_VALUE_TYPE_BOOL
	case t == intType:
		p.Type = pluginpb.ValueType_VALUE_TYPE_INT
	case t.Kind() == reflect.Float64:
		p.Type = pluginpb.ValueType_VALUE_TYPE_FLOAT
	case t.Kind() == reflect.String:
		p.Type = pluginpb.ValueType_VALUE_TYPE_STRING
	default:
		return false, fmt.Errorf("arguments are bool, int, float64, string, lists of the last three, Component, or pointers to scalars; not %v", t)
	}
	return pointer, nil
}

func parseBound(s string, exclusive bool) (*pluginpb.Bound, error) {
	x, err := strconv.ParseFloat(s, 64)
	return &pluginpb.Bound{Value: x, Exclusive: exclusive}, err
}

func parseDefault(p *pluginpb.Parameter, s string) (*pluginpb.Value, error) {
	v, err := parseScalar(p, s)
	if p.List {
		l := &pluginpb.List{}
		for e := range strings.SplitSeq(s, "|") {
			if s == "" {
				break
			}
			if v, err = parseScalar(p, e); err != nil {
				return nil, err
			}
			l.Values = append(l.Values, v)
		}
		v, err = &pluginpb.Value{Value: &pluginpb.Value_List{List: l}}, nil
	}
	if err != nil {
		return nil, err
	}
	return v, CheckValue(p, v)
}

func parseScalar(p *pluginpb.Parameter, s string) (v *pluginpb.Value, err error) {
	switch p.Type {
	case pluginpb.ValueType_VALUE_TYPE_BOOL:
		var b bool
		b, err = strconv.ParseBool(s)
		v = &pluginpb.Value{Value: &pluginpb.Value_Bool{Bool: b}}
	case pluginpb.ValueType_VALUE_TYPE_INT:
		var i int64
		i, err = strconv.ParseInt(s, 10, 64)
		v = &pluginpb.Value{Value: &pluginpb.Value_Int{Int: i}}
	case pluginpb.ValueType_VALUE_TYPE_FLOAT:
		var f float64
		f, err = strconv.ParseFloat(s, 64)
		v = &pluginpb.Value{Value: &pluginpb.Value_Float{Float: f}}
	case pluginpb.ValueType_VALUE_TYPE_STRING:
		v = &pluginpb.Value{Value: &pluginpb.Value_String_{String_: s}}
	case pluginpb.ValueType_VALUE_TYPE_COMPONENT:
		v = &pluginpb.Value{Value: &pluginpb.Value_Component{Component: s}}
	}
	if err != nil {
		return nil, fmt.Errorf("default %q: %w", s, err)
	}
	return v, nil
}

// CheckValue reports why v is no value of p: its type, bounds, length or words.
// The host and the plugin both go by it.
func CheckValue(p *pluginpb.Parameter, v *pluginpb.Value) error {
	if v.GetValue() == nil {
		if p.Optional {
			return nil
		}
		return Invalid(p.Name, "a value is needed")
	}
	if !p.List {
		return checkScalar(p, p.Name, v)
	}
	l, ok := v.Value.(*pluginpb.Value_List)
	if !ok {
		return Invalid(p.Name, "wanted a list, got %s", valueText(v))
	}
	if n := uint32(len(l.List.Values)); n < p.MinLength || p.MaxLength > 0 && n > p.MaxLength {
		want := fmt.Sprintf("%d to %d", p.MinLength, p.MaxLength)
		if p.MinLength == p.MaxLength {
			want = strconv.Itoa(int(p.MinLength))
		} else if p.MaxLength == 0 {
			want = fmt.Sprintf("at least %d", p.MinLength)
		}
		return Invalid(p.Name, "has %d values, wanted %s", n, want)
	}
	for i, e := range l.List.Values {
		if err := checkScalar(p, fmt.Sprintf("%s[%d]", p.Name, i), e); err != nil {
			return err
		}
	}
	return nil
}

func checkScalar(p *pluginpb.Parameter, at string, v *pluginpb.Value) error {
	var number float64
	var ok, isNumber bool
	switch x := v.GetValue().(type) {
	case *pluginpb.Value_Bool:
		ok = p.Type == pluginpb.ValueType_VALUE_TYPE_BOOL
	case *pluginpb.Value_Int:
		number, isNumber, ok = float64(x.Int), true, p.Type == pluginpb.ValueType_VALUE_TYPE_INT || p.Type == pluginpb.ValueType_VALUE_TYPE_FLOAT
	case *pluginpb.Value_Float:
		number, isNumber, ok = x.Float, true, p.Type == pluginpb.ValueType_VALUE_TYPE_FLOAT
	case *pluginpb.Value_String_:
		ok = p.Type == pluginpb.ValueType_VALUE_TYPE_STRING
		if ok && len(p.Enum) > 0 && !slices.Contains(p.Enum, x.String_) {
			return &AttributeError{at, fmt.Sprintf("%q is not one of its words", x.String_), "Choose one of " + strings.Join(p.Enum, ", ") + "."}
		}
	case *pluginpb.Value_Component:
		ok = p.Type == pluginpb.ValueType_VALUE_TYPE_COMPONENT
	}
	if !ok {
		return Invalid(at, "wanted %s, got %s", typeText(p), valueText(v))
	}
	if !isNumber {
		return nil
	}
	if math.IsNaN(number) {
		return Invalid(at, "is not a number")
	}
	if b := p.Min; b != nil && (number < b.Value || b.Exclusive && number == b.Value) {
		return Invalid(at, "is %v, must be %s %v", number, map[bool]string{true: "above", false: "at least"}[b.Exclusive], b.Value)
	}
	if b := p.Max; b != nil && (number > b.Value || b.Exclusive && number == b.Value) {
		return Invalid(at, "is %v, must be %s %v", number, map[bool]string{true: "below", false: "at most"}[b.Exclusive], b.Value)
	}
	return nil
}

func typeText(p *pluginpb.Parameter) string {
	switch p.Type {
	case pluginpb.ValueType_VALUE_TYPE_BOOL:
		return "true or false"
	case pluginpb.ValueType_VALUE_TYPE_INT:
		return "a whole number"
	case pluginpb.ValueType_VALUE_TYPE_FLOAT:
		return "a number"
	case pluginpb.ValueType_VALUE_TYPE_STRING:
		return "a string"
	}
	return "a component"
}

func valueText(v *pluginpb.Value) string {
	switch x := v.GetValue().(type) {
	case nil:
		return "null"
	case *pluginpb.Value_Bool:
		return strconv.FormatBool(x.Bool)
	case *pluginpb.Value_Int:
		return strconv.FormatInt(x.Int, 10)
	case *pluginpb.Value_Float:
		return strconv.FormatFloat(x.Float, 'g', -1, 64)
	case *pluginpb.Value_String_:
		return strconv.Quote(x.String_)
	case *pluginpb.Value_List:
		return "a list"
	}
	return "a component"
}
