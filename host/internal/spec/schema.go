package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Schema says which arguments a component takes.
type Schema struct {
	Kind   string // the sort of component for messages: "layer", "data source"
	Type   string // its type: "dense"
	Params []Param
}

// Param describes one argument. Exactly one of Required, Optional and Default says what
// happens without it.
type Param struct {
	Name string
	Doc  string // one sentence, shown when the argument is wrong
	Kind ValueKind
	List bool // of values of that kind; a single value stands for a list of one
	// Component is the sort of component that is wanted where Kind is ComponentValue: "initializer".
	Component string
	Required  bool
	Optional  bool
	Default   cty.Value // cty.NilVal for none; a component's is its type, a string
	Min, Max  *Bound    // of a number, or of each number of a list
	MinLength int       // elements of a list
	MaxLength int       // likewise; 0 is any number
	Enum      []string  // the words that a string may be; nil allows all
	// Runtime marks a number that can change between steps without tracing anew. It means nothing here.
	Runtime bool
}

// Bound is an end of a range of numbers.
type Bound struct {
	Value     float64
	Exclusive bool // the value itself is outside
}

// ValueKind is the kind of an argument's value, or of its elements.
type ValueKind uint8

const (
	FloatValue ValueKind = iota + 1
	IntValue
	BoolValue
	TextValue
	PathValue // a string, resolved against the folder that it starts from
	ComponentValue
)

// Value is a decoded argument. The field of its kind holds one element, or those of a list; the
// methods return the first.
type Value struct {
	Param      *Param
	Given      bool       // by the user; otherwise it is the default, or Null
	Null       bool       // absent, and optional
	Range      diag.Range // where it was given
	Sensitive  bool
	Floats     []float64
	Ints       []int64
	Bools      []bool
	Texts      []string
	Paths      []Path
	Components []Component
}

// Values are the arguments of a component in the order of its schema, those with defaults included.
type Values []Value

// Get returns the value of a parameter of the schema. One that the schema does not have is Null.
func (vs Values) Get(name string) Value {
	for _, v := range vs {
		if v.Param.Name == name {
			return v
		}
	}
	return Value{Null: true}
}

func first[T any](list []T) (zero T) {
	if len(list) > 0 {
		return list[0]
	}
	return zero
}

// Float and its siblings return the value of a parameter of that kind, or the zero value where it is Null.
func (v Value) Float() float64       { return first(v.Floats) }
func (v Value) Int() int64           { return first(v.Ints) }
func (v Value) Bool() bool           { return first(v.Bools) }
func (v Value) Text() string         { return first(v.Texts) }
func (v Value) Path() Path           { return first(v.Paths) }
func (v Value) Component() Component { return first(v.Components) }

// DecodeArgs checks arguments against a schema and converts them. Node and path are those of the
// component: where to point when an argument is missing. Every diagnostic is an error, and
// without one all required values are there.
func DecodeArgs(args Args, schema Schema, node Node, path string) (Values, diag.Diagnostics) {
	d := decoder{schema: &schema, node: node, path: path}
	known := make([]string, len(schema.Params))
	for i := range schema.Params {
		known[i] = schema.Params[i].Name
	}
	seen := map[string]*Argument{}
	for i := range args {
		a := &args[i]
		switch {
		case !slices.Contains(known, a.Name):
			d.unknown(a, known)
		case seen[a.Name] != nil:
			d.fail(a, "said_twice", "", "%s is given twice", a.Name)
		default:
			seen[a.Name] = a
		}
	}
	values := make(Values, len(schema.Params))
	for i := range schema.Params {
		p := &schema.Params[i]
		values[i] = d.value(p, seen[p.Name])
	}
	return values, d.diags
}

type decoder struct {
	schema *Schema
	node   Node
	path   string
	diags  diag.Diagnostics
}

// fail reports an argument; a nil one points at the component.
func (d *decoder) fail(a *Argument, code, hint, format string, args ...any) {
	x := diag.Errorf(code, format, args...).Hint("%s", hint).In(d.path)
	at := d.node.Range
	if a != nil {
		x = x.In(d.path + "." + a.Name)
		if a.Range.File != "" {
			at = a.Range
		}
	}
	if at.File != "" {
		x = x.At(at)
	}
	d.diags.Append(x)
}

func (d *decoder) component() string { return fmt.Sprintf("The %s %q", d.schema.Kind, d.schema.Type) }

func (d *decoder) unknown(a *Argument, known []string) {
	hint := "It takes none. Remove it."
	if len(known) > 0 {
		hint = diag.DidYouMean(a.Name, known) + "Its arguments are " + listOf(known) + "."
	}
	at := *a
	if a.NameRange.File != "" {
		at.Range = a.NameRange
	}
	d.fail(&at, "unknown_argument", hint, "%s has no argument %s", d.component(), a.Name)
}

func (d *decoder) value(p *Param, a *Argument) Value {
	v := Value{Param: p}
	if a == nil || isNull(a) {
		switch {
		case p.Required:
			d.fail(nil, "missing_argument", p.hint(), "%s needs the argument %s", d.component(), p.Name)
		case p.Default != cty.NilVal && !p.Default.IsNull():
			if err := v.fill(&Argument{Name: p.Name, Value: p.Default}); err != nil {
				d.fail(nil, "invalid_default", "This is a mistake in the plugin or data source. Give the argument a value to go on without its default.",
					"%s has a default that it does not allow: %s %w", d.component(), p.Name, err)
			}
		default:
			v.Null = true
		}
		return v
	}
	v.Given, v.Range, v.Sensitive = true, a.Range, a.Sensitive
	if a.problem != nil {
		d.fail(a, "wrong_value", p.hint(), "%s: %w", p.Name, a.problem)
	} else if err := v.fill(a); err != nil {
		hint := err.suggestion
		if hint == "" {
			hint = p.hint()
		}
		d.fail(a, "wrong_value", strings.TrimSpace(hint), "%s %w", p.Name, err)
	}
	return v
}

func isNull(a *Argument) bool {
	return a.problem == nil && len(a.Components) == 0 && (a.Value == cty.NilVal || a.Value.IsNull())
}

// hint tells what the argument is for and how to write it.
func (p *Param) hint() string {
	hint := ""
	if p.Doc != "" {
		hint = p.Name + ": " + strings.TrimSuffix(p.Doc, ".") + ". "
	}
	if p.Kind == ComponentValue && !p.List {
		return hint + fmt.Sprintf("Write %s = \"TYPE\", or %s \"TYPE\" { } with arguments inside.", p.Name, p.Name)
	}
	return hint + fmt.Sprintf("Write %s = %s.", p.Name, p.example())
}

func (p *Param) example() string {
	one := map[ValueKind]string{FloatValue: "NUMBER", IntValue: "NUMBER", BoolValue: "true or false", TextValue: `"TEXT"`,
		PathValue: `"PATH"`, ComponentValue: `"TYPE"`}[p.Kind]
	if len(p.Enum) > 0 {
		one = strconv.Quote(p.Enum[0])
	}
	if !p.List {
		return one
	}
	if n := p.MinLength; n > 1 && n <= 4 {
		return "[" + strings.TrimSuffix(strings.Repeat(one+", ", n), ", ") + "]"
	}
	return "[" + one + ", ...]"
}

// valueError is what is wrong with a value, to follow the argument's name, and perhaps what was meant.
type valueError struct {
	text       string
	suggestion string
}

func (e *valueError) Error() string { return e.text }

func wrongValue(format string, args ...any) *valueError {
	return &valueError{text: fmt.Sprintf(format, args...)}
}

// fill converts an argument into the field of the parameter's kind.
func (v *Value) fill(a *Argument) *valueError {
	p := v.Param
	if len(a.Components) > 0 {
		switch {
		case p.Kind != ComponentValue:
			return wrongValue("is a value, not a block")
		case len(a.Components) > 1 && !p.List:
			return wrongValue("is given %d times", len(a.Components))
		}
		v.Components = a.Components
		return p.length(len(a.Components))
	}
	items := []cty.Value{a.Value}
	list, isList := elements(a.Value)
	switch {
	case p.List && isList:
		items = list
	case !p.List && isList:
		return wrongValue("must be %s, but is a list", p.noun())
	}
	if err := p.length(len(items)); err != nil {
		return err
	}
	for i, item := range items {
		if err := v.element(item, a); err != nil {
			if isList {
				err.text = fmt.Sprintf("is wrong at [%d]: it %s", i, err.text)
			}
			return err
		}
	}
	return nil
}

func (p *Param) length(n int) *valueError {
	if !p.List || n >= p.MinLength && (p.MaxLength == 0 || n <= p.MaxLength) {
		return nil
	}
	switch {
	case p.MinLength == p.MaxLength:
		return wrongValue("must have %s, but has %d", elementCount(p.MinLength), n)
	case n < p.MinLength:
		return wrongValue("must have at least %s, but has %d", elementCount(p.MinLength), n)
	}
	return wrongValue("must have at most %s, but has %d", elementCount(p.MaxLength), n)
}

func elementCount(n int) string {
	if n == 1 {
		return "1 element"
	}
	return fmt.Sprintf("%d elements", n)
}

func (p *Param) noun() string {
	switch p.Kind {
	case FloatValue:
		return "a number"
	case IntValue:
		return "a whole number"
	case BoolValue:
		return "true or false"
	case ComponentValue:
		return article(p.Component)
	}
	return "a string"
}

// element appends one element.
func (v *Value) element(item cty.Value, a *Argument) *valueError {
	p := v.Param
	var err error
	switch p.Kind {
	case FloatValue:
		var x float64
		if x, err = toFloat(item); err == nil {
			v.Floats = append(v.Floats, x)
			return p.bounds(x, a.Sensitive)
		}
	case IntValue:
		var x int64
		if x, err = toInt(item); err == nil {
			v.Ints = append(v.Ints, x)
			return p.bounds(float64(x), a.Sensitive)
		}
	case BoolValue:
		var x bool
		if x, err = toBool(item); err == nil {
			v.Bools = append(v.Bools, x)
		}
	case TextValue:
		var x string
		if x, err = toText(item); err == nil {
			v.Texts = append(v.Texts, x)
			return p.word(x, a.Sensitive)
		}
	case PathValue:
		var x string
		if x, err = toText(item); err == nil {
			v.Paths = append(v.Paths, resolve(a.Dir, x))
		}
	case ComponentValue:
		var x string
		if x, err = toText(item); err != nil {
			err = mismatch(p.noun(), item)
		} else {
			v.Components = append(v.Components, Component{Node: Node{Range: a.Range}, Type: Type(x)})
		}
	default:
		return wrongValue("has a kind that this version of hone does not know")
	}
	if err != nil {
		return wrongValue("%v", err)
	}
	return nil
}

func (p *Param) bounds(x float64, secret bool) *valueError {
	but := ", but is " + plain(x)
	if secret {
		but = ""
	}
	if b := p.Min; b != nil && (x < b.Value || b.Exclusive && x == b.Value) {
		if b.Exclusive {
			return wrongValue("must be more than %s%s", plain(b.Value), but)
		}
		return wrongValue("must be at least %s%s", plain(b.Value), but)
	}
	if b := p.Max; b != nil && (x > b.Value || b.Exclusive && x == b.Value) {
		if b.Exclusive {
			return wrongValue("must be less than %s%s", plain(b.Value), but)
		}
		return wrongValue("must be at most %s%s", plain(b.Value), but)
	}
	return nil
}

func (p *Param) word(x string, secret bool) *valueError {
	if len(p.Enum) == 0 || slices.Contains(p.Enum, x) {
		return nil
	}
	e := wrongValue("cannot be %q: it can be %s", clip(x), oneOf(p.Enum))
	if secret {
		return wrongValue("can only be %s", oneOf(p.Enum))
	}
	e.suggestion = diag.DidYouMean(x, p.Enum)
	return e
}
