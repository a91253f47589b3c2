package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// The text form, the wire form and the canonical form all read and write
// attributes through this file: an op's attribute struct is a list of named
// fields of few kinds, and an attribute whose value is zero is not written.

// attrKind is the kind of an attribute's value.
type attrKind uint8

const (
	kindInt    attrKind = iota // int64
	kindBool                   // bool
	kindText                   // string, or a named string type
	kindFloat                  // float64
	kindDType                  // DType
	kindTensor                 // *Tensor
	kindInts                   // []int64
	kindExprs                  // []DimExpr
	kindTypes                  // []Type
)

// attrField is one attribute of an op.
type attrField struct {
	name  string // left_contract
	kind  attrKind
	index int // of the struct's field
}

var attrKinds = map[reflect.Type]attrKind{
	reflect.TypeFor[int64]():     kindInt,
	reflect.TypeFor[bool]():      kindBool,
	reflect.TypeFor[float64]():   kindFloat,
	reflect.TypeFor[DType]():     kindDType,
	reflect.TypeFor[*Tensor]():   kindTensor,
	reflect.TypeFor[[]int64]():   kindInts,
	reflect.TypeFor[[]DimExpr](): kindExprs,
	reflect.TypeFor[[]Type]():    kindTypes,
}

// attrFields lists the attributes of a struct in the order of its fields. It
// panics on a field of another kind, which a test of the op table finds.
func attrFields(a Attrs) []attrField {
	t := reflect.TypeOf(a).Elem()
	out := make([]attrField, t.NumField())
	for i := range out {
		f := t.Field(i)
		kind, ok := attrKinds[f.Type]
		if !ok {
			if f.Type.Kind() != reflect.String {
				panic(fmt.Sprintf("graph: attribute %s.%s has a type that the codec lacks: %v", t.Name(), f.Name, f.Type))
			}
			kind = kindText
		}
		out[i] = attrField{snakeCase(f.Name), kind, i}
	}
	return out
}

// snakeCase spells a Go field name as the text form does: left_contract.
func snakeCase(s string) string {
	var b strings.Builder
	for i, c := range s {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// eachAttr calls f with every attribute of a that is not zero. The value is an
// int64, bool, string, float64, DType, *Tensor, []int64, []DimExpr or []Type.
// Attributes of another op, which no verified node has, are passed over.
func eachAttr(op Op, a Attrs, f func(attrField, any)) {
	p := reflect.ValueOf(a)
	if !p.IsValid() || p.IsNil() || p.Type() != opTable[op].attrType {
		return
	}
	v := p.Elem()
	for _, d := range opTable[op].attrs {
		x := v.Field(d.index)
		if x.IsZero() || x.Kind() == reflect.Slice && x.Len() == 0 {
			continue
		}
		if d.kind == kindText {
			f(d, x.String())
		} else {
			f(d, x.Interface())
		}
	}
}

// attrField returns the op's attribute of that name.
func (d *OpDef) attrField(name string) (attrField, error) {
	i := slices.IndexFunc(d.attrs, func(f attrField) bool { return f.name == name })
	if i < 0 {
		names := make([]string, len(d.attrs))
		for j, f := range d.attrs {
			names[j] = f.name
		}
		return attrField{}, fmt.Errorf("%s has no attribute %q; it has %s", d.Name, name, listOrNone(names))
	}
	return d.attrs[i], nil
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// setAttr stores one attribute; v has the Go type that eachAttr gives.
func setAttr(a Attrs, d attrField, v any) error {
	x, y := reflect.ValueOf(a).Elem().Field(d.index), reflect.ValueOf(v)
	if d.kind == kindText && y.Kind() == reflect.String {
		x.SetString(y.String())
		return nil
	}
	if y.Type() != x.Type() {
		return fmt.Errorf("attribute %q cannot hold a %T", d.name, v)
	}
	x.Set(y)
	return nil
}
