package spec

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// LayerRef points at the output of a layer that has one.
func LayerRef(name string) Ref { return Ref{Kind: ToLayer, Name: name} }

// InputRef points at an input.
func InputRef(name string) Ref { return Ref{Kind: ToInput, Name: name} }

// Out points at one of several outputs, by its name or its number in decimal.
func (r Ref) Out(output string) Ref {
	r.Output = output
	return r
}

// String writes the reference as HCL does: layer.split.out[1].
func (r Ref) String() string {
	s := "layer." + r.Name
	if r.Kind == ToInput {
		s = "input." + r.Name
	}
	if r.Output == "" {
		return s
	}
	if _, err := strconv.Atoi(r.Output); err == nil {
		return s + ".out[" + r.Output + "]"
	}
	return s + "." + r.Output
}

const refForm = "Write layer.NAME, input.NAME, or for one of several outputs layer.NAME.out[1] or layer.NAME.OUTPUT."

// refs reads a reference, or a list of them.
func (b *block) refs(name string) []Ref {
	expr := b.attribute(name)
	if expr == nil {
		return nil
	}
	items := []hclsyntax.Expression{expr}
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok {
		items = list.Exprs
		if len(items) == 0 {
			b.fail(diag.Errorf("wrong_value", "%s is an empty list", name).At(b.node.At(name)).In(b.path + "." + name).Hint(refForm))
		}
	}
	var out []Ref
	for _, item := range items {
		if r, ok := b.ref(name, item); ok {
			out = append(out, r)
		}
	}
	return out
}

func (b *block) ref(name string, expr hclsyntax.Expression) (Ref, bool) {
	at := fromHCLRange(expr.Range())
	wrong := func(format string, args ...any) (Ref, bool) {
		b.fail(diag.Errorf("wrong_reference", "%s %s", name, fmt.Sprintf(format, args...)).At(at).In(b.path + "." + name).Hint(refForm))
		return Ref{}, false
	}
	t, found := hcl.AbsTraversalForExpr(expr)
	if found.HasErrors() {
		return wrong("must refer to a layer or an input")
	}
	r := Ref{Node: Node{Range: at}}
	rest := t[1:]
	switch root := t.RootName(); root {
	case "layer", "input":
		if root == "input" {
			r.Kind = ToInput
		}
		if len(rest) == 0 {
			return wrong("must name the %s", root)
		}
		n, ok := attrName(rest[0])
		if !ok {
			return wrong("must name the %s", root)
		}
		r.Name, rest = n, rest[1:]
	case "var", "local", "arg", "count", "path":
		return wrong("must refer to a layer or an input, not to a value")
	default: // a layer's name on its own
		r.Name = root
	}
	for len(rest) > 0 && r.Kind == ToLayer { // the copy: s3[2]
		i, ok := index(rest[0])
		if !ok {
			break
		}
		r.Name += "[" + i + "]"
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return r, true
	}
	output, ok := attrName(rest[0])
	switch {
	case !ok || r.Kind == ToInput:
		return wrong("goes into %s, which has no parts", r)
	case len(rest) == 2 && output == "out":
		i, ok := index(rest[1])
		if !ok {
			return wrong("must number the output with a whole number")
		}
		r.Output = i
	case len(rest) == 1:
		r.Output = output
	default:
		return wrong("goes too far into %s", r)
	}
	return r, true
}

// index returns the number of a [i] step in decimal.
func index(step hcl.Traverser) (string, bool) {
	t, ok := step.(hcl.TraverseIndex)
	if !ok || t.Key.Type() != cty.Number || t.Key.IsNull() {
		return "", false
	}
	i, err := toInt(t.Key)
	return strconv.FormatInt(i, 10), err == nil && i >= 0
}

// named reads a reference of the form KIND.NAME, or the name as a string.
func (b *block) named(name, kind string, dst *string) {
	expr := b.attribute(name)
	if expr == nil {
		return
	}
	wrong := func() {
		b.fail(diag.Errorf("wrong_reference", "%s must refer to %s", name, article(kind)).At(b.node.At(name)).
			In(b.path+"."+name).Hint("Write %s = %s.NAME.", name, kind))
	}
	if t, found := hcl.AbsTraversalForExpr(expr); !found.HasErrors() && !slices.Contains([]string{"var", "local", "arg"}, t.RootName()) {
		if t.RootName() != kind || len(t) != 2 {
			wrong()
			return
		}
		if n, ok := attrName(t[1]); ok {
			*dst = n
			return
		}
		wrong()
		return
	}
	v, ok, diags := b.scope.eval(expr)
	for _, d := range diags {
		b.fail(d.In(b.path + "." + name))
	}
	if !ok {
		return
	}
	v, _ = v.UnmarkDeep()
	s, err := toText(v)
	if err != nil {
		wrong()
		return
	}
	*dst = s
}
