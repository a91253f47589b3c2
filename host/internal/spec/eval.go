package spec

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/hone-ml/hone/host/internal/diag"
)

// sensitive marks values that derive from a sensitive variable while expressions are
// evaluated. No mark leaves the package: see Argument.Sensitive.
const sensitive = "sensitive"

// functions are those that expressions may call. None reads files, the clock or the environment:
// a spec means the same everywhere.
var functions = map[string]function.Function{
	"abs":      stdlib.AbsoluteFunc,
	"ceil":     stdlib.CeilFunc,
	"concat":   stdlib.ConcatFunc,
	"contains": stdlib.ContainsFunc,
	"floor":    stdlib.FloorFunc,
	"format":   formatFunc,
	"join":     stdlib.JoinFunc,
	"length":   stdlib.LengthFunc,
	"log":      realFunc("number", "base", func(x, base float64) float64 { return math.Log(x) / math.Log(base) }),
	"max":      stdlib.MaxFunc,
	"merge":    stdlib.MergeFunc,
	"min":      stdlib.MinFunc,
	"pow":      realFunc("base", "exponent", math.Pow),
	"range":    stdlib.RangeFunc,
}

// realFunc makes a function of two numbers, which fails where the result is no number.
func realFunc(x, y string, f func(x, y float64) float64) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: x, Type: cty.Number}, {Name: y, Type: cty.Number}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			a, _ := args[0].AsBigFloat().Float64()
			b, _ := args[1].AsBigFloat().Float64()
			r := f(a, b)
			if r-r != 0 {
				return cty.NilVal, fmt.Errorf("%v and %v give no finite real number", a, b)
			}
			return cty.NumberFloatVal(r), nil
		},
	})
}

// formatVerb finds width and precision of a format's verbs.
var formatVerb = regexp.MustCompile(`%[-+ #0]*([0-9]*)(?:\.([0-9]+))?`)

// formatFunc is format with a bound on the width of what it pads.
var formatFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "format", Type: cty.String}},
	VarParam: &function.Parameter{Name: "args", Type: cty.DynamicPseudoType, AllowNull: true},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		for _, verb := range formatVerb.FindAllStringSubmatch(args[0].AsString(), -1) {
			for _, n := range verb[1:] {
				if w, err := strconv.Atoi(n); n != "" && (err != nil || w > formatWidth) {
					return cty.NilVal, function.NewArgErrorf(0, "a width or precision of %s is more than %d", n, formatWidth)
				}
			}
		}
		return stdlib.Format(args[0], args[1:]...)
	},
})

// scope is what the expressions of a place can name: root.name, as in var.units.
type scope struct {
	values map[string]map[string]cty.Value
	sizes  map[string]map[string]estimate
	spent  *float64 // steps of all expressions so far, shared by every scope of a reading
}

func newScope() *scope {
	sc := &scope{values: map[string]map[string]cty.Value{}, sizes: map[string]map[string]estimate{}, spent: new(float64)}
	for _, root := range []string{"var", "local", "path"} {
		sc.values[root], sc.sizes[root] = map[string]cty.Value{}, map[string]estimate{}
	}
	sc.set("path", "module", cty.StringVal("."))
	return sc
}

// set adds or replaces root.name. cty.NilVal stands for a value that could not be had, and was reported:
// what is made of it fails silently.
func (sc *scope) set(root, name string, v cty.Value) {
	sc.values[root][name] = v
	sc.sizes[root][name] = sizeOf(v)
}

// with returns a scope that has one root more, or another content of it.
func (sc *scope) with(root string, values map[string]cty.Value) *scope {
	out := &scope{values: maps.Clone(sc.values), sizes: maps.Clone(sc.sizes), spent: sc.spent}
	out.values[root], out.sizes[root] = map[string]cty.Value{}, map[string]estimate{}
	for name, v := range values {
		out.set(root, name, v)
	}
	return out
}

// context holds what an expression names, and nothing else: to build it costs no more than to evaluate the expression.
func (sc *scope) context(expr hclsyntax.Expression) *hcl.EvalContext {
	named := map[string]map[string]cty.Value{}
	for _, t := range hclsyntax.Variables(expr) {
		if len(t) < 2 {
			continue
		}
		root := t.RootName()
		if name, ok := attrName(t[1]); ok && sc.values[root][name] != cty.NilVal {
			if named[root] == nil {
				named[root] = map[string]cty.Value{}
			}
			named[root][name] = sc.values[root][name]
		}
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: functions}
	for root, values := range named {
		ctx.Variables[root] = cty.ObjectVal(values)
	}
	return ctx
}

// eval returns an expression's value, wholly known and perhaps marked as sensitive, and whether there is one.
// There is none, and no diagnostic either, if it derives from a value whose failure was reported before.
func (sc *scope) eval(expr hclsyntax.Expression) (v cty.Value, ok bool, diags diag.Diagnostics) {
	at := fromHCLRange(expr.Range())
	if ok, diags := sc.check(expr); !ok {
		return cty.NilVal, false, diags
	}
	var e estimate
	if diags := guarded("this expression", at, func() { e = sc.estimate(expr, nil) }); diags != nil {
		return cty.NilVal, false, diags
	}
	if e.work > maxWork || e.size > maxSize {
		return cty.NilVal, false, diag.Diagnostics{diag.Errorf("expression_too_large", "This expression may become too large").At(at).
			Hint("Its result could pass %d characters or elements, or take more than %d steps to compute. Use shorter lists, or fewer loops inside each other.", int(maxSize), int(maxWork))}
	}
	if *sc.spent += e.work + workPerExpression; *sc.spent > maxTotalWork {
		return cty.NilVal, false, diag.Diagnostics{diag.Errorf("spec_too_large", "The expressions together take too long to compute").At(at).
			Hint("Up to here they could take more than %d steps. Use shorter lists, fewer copies, or fewer loops inside each other.", int(maxTotalWork))}
	}
	var found hcl.Diagnostics
	if diags := guarded("this expression", at, func() { v, found = expr.Value(sc.context(expr)) }); diags != nil {
		return cty.NilVal, false, diags
	}
	if found.HasErrors() {
		return cty.NilVal, false, fromHCL(found)
	}
	if !v.IsWhollyKnown() {
		return cty.NilVal, false, diag.Diagnostics{diag.Errorf("unknown_value", "The value of this expression is not known").At(at).
			Hint("Write a value that follows from variables and constants.")}
	}
	return v, true, nil
}

// check reports names that the scope does not have, with the ones that were meant, and
// whether all are there with a value.
func (sc *scope) check(expr hclsyntax.Expression) (ok bool, diags diag.Diagnostics) {
	ok = true
	for _, t := range hclsyntax.Variables(expr) {
		root, at := t.RootName(), fromHCLRange(t.SourceRange())
		values, known := sc.values[root]
		if !known {
			diags.Append(sc.unknownRoot(root, len(t) == 1).At(at))
			continue
		}
		var name string
		if len(t) > 1 {
			name, _ = attrName(t[1])
		}
		if name == "" {
			diags.Append(diag.Errorf("incomplete_reference", "%s needs a name", root).At(at).Hint("Write %s.NAME.", root))
			continue
		}
		v, known := values[name]
		if !known {
			diags.Append(unknownName(root, name, slices.Sorted(maps.Keys(values))).At(at))
		}
		ok = ok && v != cty.NilVal
	}
	hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, isCall := n.(*hclsyntax.FunctionCallExpr); isCall {
			if _, known := functions[call.Name]; !known {
				names := slices.Sorted(maps.Keys(functions))
				diags.Append(diag.Errorf("unknown_function", "There is no function %s", clip(call.Name)).At(fromHCLRange(call.NameRange)).
					Hint("%sThe functions are %s.", diag.DidYouMean(call.Name, names), listOf(names)))
			}
		}
		return nil
	})
	return ok && len(diags) == 0, diags
}

// attrName returns the name of a .name step.
func attrName(step hcl.Traverser) (string, bool) {
	attr, ok := step.(hcl.TraverseAttr)
	return attr.Name, ok
}

func unknownName(root, name string, known []string) diag.Diagnostic {
	d := diag.Errorf("unknown_"+map[string]string{"var": "variable", "local": "local", "arg": "argument"}[root], "There is no %s.%s", root, name)
	suggestion := diag.DidYouMean(name, known)
	switch root {
	case "var":
		return d.Hint("%sDeclare it with a block: variable %q {}", suggestion, name)
	case "local":
		return d.Hint("%sLocals are defined in a block: locals { %s = ... }", suggestion, name)
	case "arg":
		return d.Hint("%sA block declares its arguments: arg %q {}", suggestion, name)
	}
	d.Code = "unknown_name"
	return d.Hint("%sThere is %s.", suggestion, listOf(prefixed(root+".", known)))
}

func (sc *scope) unknownRoot(root string, bare bool) diag.Diagnostic {
	switch {
	case root == "layer" || root == "input" || root == "output" || root == "model" || root == "data" || root == "block":
		return diag.Errorf("reference_as_value", "A reference to %s has no value here", article(root)).
			Hint("References say where something comes from, as in from, share, model or data. An argument takes numbers, strings, lists, var.NAME and local.NAME.")
	case root == "arg":
		return diag.Errorf("arg_outside_block", "arg is known only inside a block").
			Hint("Only the layers of a block \"NAME\" { } have arguments. Use var.NAME or local.NAME here.")
	case root == "count":
		return diag.Errorf("count_outside_layer", "count is known only in a layer that has a count").
			Hint("Add count = N to the layer, or write the number down.")
	case bare:
		return diag.Errorf("bare_word", "The word %s needs quotes", root).
			Hint("Write %q for a string; var.%s or local.%s for a value defined elsewhere.", root, root, root)
	}
	known := slices.Sorted(maps.Keys(sc.values))
	return diag.Errorf("unknown_name", "There is no %s here", root).
		Hint("%sKnown here: %s.", diag.DidYouMean(root, known), listOf(known))
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

// listOf names things for a sentence: `a, b and c`, at most a dozen of them.
func listOf(names []string) string { return enumerate(names, " and ") }

// hereIs begins a sentence that names what there is.
func hereIs(names []string) string {
	if len(names) == 1 {
		return "Here is " + names[0]
	}
	return "Here are " + listOf(names)
}

// oneOf names alternatives: `a, b or c`.
func oneOf(names []string) string { return enumerate(names, " or ") }

func enumerate(names []string, last string) string {
	const most = 24
	if len(names) > most {
		return strings.Join(names[:most], ", ") + last + fmt.Sprintf("%d more", len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + last + names[len(names)-1]
}
