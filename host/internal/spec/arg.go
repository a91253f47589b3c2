package spec

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Args are arguments in the order in which they were written.
type Args []Argument

// Argument is one named argument of a component. Exactly one of Value and
// Components holds it: a string where a component is allowed ("relu") is a Value.
type Argument struct {
	Name       string
	Value      cty.Value // evaluated and known; cty.NilVal when Components holds it
	Components []Component
	Range      diag.Range // of the value, or of the first block
	NameRange  diag.Range
	Sensitive  bool   // derives from a sensitive variable: show it nowhere, store it nowhere
	Dir        string // the folder from which a relative path in Value starts

	problem error // why Arg could not represent its value
}

// Get returns the argument of that name.
func (a Args) Get(name string) (Argument, bool) {
	for _, arg := range a {
		if arg.Name == name {
			return arg, true
		}
	}
	return Argument{}, false
}

// Names returns the arguments' names in order.
func (a Args) Names() []string {
	names := make([]string, len(a))
	for i, arg := range a {
		names[i] = arg.Name
	}
	return names
}

// Arg makes an argument from a Go value: a number, bool or string, a slice, map or
// struct with cty tags of such, a cty.Value, a Component, or a slice of Components. What
// else is given is reported by Validate and DecodeArgs.
func Arg(name string, value any) Argument {
	arg := Argument{Name: name}
	switch v := value.(type) {
	case cty.Value:
		arg.Value = v
		if !v.IsWhollyKnown() || v.ContainsMarked() {
			arg.problem = fmt.Errorf("the cty value is marked or not wholly known")
		}
	case Component:
		arg.Components = []Component{v}
	case *Component:
		arg.Components = []Component{*v}
	case []Component:
		arg.Components = v
	case nil:
		arg.Value = cty.NullVal(cty.DynamicPseudoType)
	default:
		arg.Value, arg.problem = toValue(v)
	}
	return arg
}

func toValue(v any) (val cty.Value, err error) {
	defer func() {
		if p := recover(); p != nil { // cty's answer to NaN, which may be deep inside
			val, err = cty.NilVal, fmt.Errorf("a Go value of type %T cannot be an argument: %v", v, p)
		}
	}()
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice && rv.Len() == 0 {
		return cty.EmptyTupleVal, nil
	}
	ty, err := gocty.ImpliedType(v)
	if err != nil {
		return cty.NilVal, fmt.Errorf("a Go value of type %T cannot be an argument", v)
	}
	if val, err = gocty.ToCtyValue(v, ty); err != nil {
		return cty.NilVal, fmt.Errorf("a Go value of type %T cannot be an argument: %w", v, err)
	}
	return val, nil
}

// Type reads a TypeRef: "dense", or "acme.swish" for a plugin's.
func Type(s string) TypeRef {
	if local, name, ok := strings.Cut(s, "."); ok {
		return TypeRef{Local: local, Name: name}
	}
	return TypeRef{Name: s}
}

// String is what Type reads.
func (t TypeRef) String() string {
	if t.Local == "" {
		return t.Name
	}
	return t.Local + "." + t.Name
}
