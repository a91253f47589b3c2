package spec

import (
	"maps"
	"math"
	"math/big"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Limits on one expression. Loops within loops and strings doubled again and again are short to
// write and endless to compute, so an upper bound is worked out from the expression first.
const (
	maxSize = 4e6
	maxWork = 1e7

	maxTotalWork      = 1e8 // of all expressions of a spec together
	workPerExpression = 100 // what even the shortest costs
	workPerByte       = 16  // of an instance of a block

	// numberSize is the most characters of a number that arithmetic can make from short ones:
	// a 512-bit mantissa beside an exponent that is counted on its own.
	numberSize = 160
	// rangeItems is the most elements that range makes.
	rangeItems = 1024
	// formatWidth bounds what one verb of format may pad to.
	formatWidth = 100
)

// estimate bounds a value from above: its characters and elements, those of its largest
// element, how many elements it has, and the steps to compute it.
type estimate struct {
	size, element, items, work float64
}

func scalar(size float64) estimate { return estimate{size: size, element: size, items: 1, work: size} }

func (e estimate) plus(o estimate) estimate {
	return estimate{e.size + o.size, math.Max(e.element, o.element), e.items + o.items, e.work + o.work}
}

var unbounded = scalar(math.Inf(1))

// sizeOf measures a value that is there.
func sizeOf(v cty.Value) estimate {
	v, _ = v.Unmark()
	switch {
	case v == cty.NilVal || v.IsNull() || !v.IsKnown():
		return scalar(1)
	case v.Type() == cty.String:
		return scalar(1 + float64(len(v.AsString())))
	case v.Type() == cty.Number:
		return scalar(digits(v.AsBigFloat()))
	case v.CanIterateElements():
		sum := estimate{size: 1, work: 1}
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			e := sizeOf(element)
			if k, _ := key.Unmark(); k.Type() == cty.String {
				e.size += float64(len(k.AsString()))
			}
			sum = sum.plus(estimate{size: e.size, element: e.size, items: 1, work: e.size})
		}
		return sum
	}
	return scalar(1)
}

// digits bounds the characters of a number written without exponent.
func digits(f *big.Float) float64 {
	if _, acc := f.Int64(); acc == big.Exact {
		return 20
	}
	if e := f.MantExp(nil); e > -16 && e < 64 && f.MinPrec() <= 16 {
		return 20 // short and binary, such as -1.5
	}
	return numberSize + math.Abs(float64(f.MantExp(nil)))*0.31
}

// estimate bounds an expression; loops holds the variables of the loops around it.
func (sc *scope) estimate(expr hclsyntax.Expression, loops map[string]estimate) estimate {
	of := func(e hclsyntax.Expression) estimate { return sc.estimate(e, loops) }
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return sizeOf(e.Val)
	case *hclsyntax.ParenthesesExpr:
		return of(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return of(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return text(sum(of, e.Parts))
	case *hclsyntax.TemplateJoinExpr:
		return text(of(e.Tuple))
	case *hclsyntax.ObjectConsKeyExpr:
		if _, isWord := e.Wrapped.(*hclsyntax.ScopeTraversalExpr); isWord && !e.ForceNonLiteral {
			r := e.Range()
			return scalar(float64(r.End.Byte - r.Start.Byte))
		}
		return of(e.Wrapped)
	case *hclsyntax.UnaryOpExpr:
		return of(e.Val)
	case *hclsyntax.BinaryOpExpr:
		l, r := of(e.LHS), of(e.RHS)
		size, work := l.size+r.size, l.work+r.work+1
		if _, isNumber := e.LHS.(*hclsyntax.BinaryOpExpr); !isNumber {
			work += l.size // it may be a text to be read as a number
		}
		if _, isNumber := e.RHS.(*hclsyntax.BinaryOpExpr); !isNumber {
			work += r.size
		}
		switch e.Op {
		case hclsyntax.OpDivide, hclsyntax.OpModulo:
			size += numberSize
		case hclsyntax.OpAdd, hclsyntax.OpSubtract, hclsyntax.OpMultiply:
		default:
			size = 1
		}
		return estimate{size, size, 1, work}
	case *hclsyntax.ConditionalExpr:
		a, b := of(e.TrueResult), of(e.FalseResult)
		return estimate{math.Max(a.size, b.size), math.Max(a.element, b.element), math.Max(a.items, b.items),
			of(e.Condition).work + a.work + b.work + a.size + b.size}
	case *hclsyntax.TupleConsExpr:
		total := estimate{size: 1, work: 1}
		for _, x := range e.Exprs {
			c := of(x)
			total = total.plus(estimate{c.size, c.size, 1, c.work})
		}
		return total
	case *hclsyntax.ObjectConsExpr:
		total := estimate{size: 1, work: 1}
		for _, item := range e.Items {
			c := of(item.KeyExpr).plus(of(item.ValueExpr))
			total = total.plus(estimate{c.size, c.size, 1, c.work})
		}
		return total
	case *hclsyntax.ScopeTraversalExpr:
		root := e.Traversal.RootName()
		if v, ok := loops[root]; ok {
			return part(v, len(e.Traversal) > 1)
		}
		if len(e.Traversal) > 1 {
			if name, ok := attrName(e.Traversal[1]); ok {
				return part(sc.sizes[root][name], len(e.Traversal) > 2)
			}
		}
		return unbounded
	case *hclsyntax.RelativeTraversalExpr:
		return part(of(e.Source), true)
	case *hclsyntax.IndexExpr:
		c, k := of(e.Collection), of(e.Key)
		p := part(c, true)
		p.work += c.work + k.work
		return p
	case *hclsyntax.AnonSymbolExpr:
		return loops[splatItem]
	case *hclsyntax.SplatExpr:
		source := of(e.Source)
		item := estimate{source.element, source.element, source.element, 1}
		return repeat(source, sc.estimate(e.Each, nested(loops, item, splatItem)))
	case *hclsyntax.ForExpr:
		source := sc.measure(e.CollExpr, loops)
		item := estimate{source.element, source.element, source.element, 1}
		inner := nested(loops, item, e.KeyVar, e.ValVar)
		body := sc.estimate(e.ValExpr, inner)
		if e.KeyExpr != nil {
			body = body.plus(sc.estimate(e.KeyExpr, inner))
		}
		if e.CondExpr != nil {
			body.work += sc.estimate(e.CondExpr, inner).work
		}
		return repeat(source, body)
	case *hclsyntax.FunctionCallExpr:
		args := make([]estimate, len(e.Args))
		for i, a := range e.Args {
			args[i] = of(a)
		}
		return call(e.Name, args, e.ExpandFinal)
	}
	return unbounded
}

// splatItem is the loop variable of a[*], a name that no user can write.
const splatItem = "*"

func nested(loops map[string]estimate, item estimate, names ...string) map[string]estimate {
	inner := maps.Clone(loops)
	if inner == nil {
		inner = map[string]estimate{}
	}
	for _, n := range names {
		inner[n] = item
	}
	return inner
}

// repeat is a loop over source with the given body.
func repeat(source, body estimate) estimate {
	n := math.Max(source.items, 1)
	return estimate{1 + n*body.size, body.size, n, source.work + n*(body.work+body.size+1)}
}

// part is a value itself, or something inside it.
func part(v estimate, inside bool) estimate {
	if inside {
		return estimate{v.element, v.element, v.element, v.work + 1}
	}
	return estimate{v.size, v.element, v.items, 1}
}

func text(e estimate) estimate { return estimate{e.size, e.size, 1, e.work + e.size} }

func sum(of func(hclsyntax.Expression) estimate, exprs []hclsyntax.Expression) estimate {
	total := estimate{size: 1, work: 1}
	for _, x := range exprs {
		total = total.plus(of(x))
	}
	return total
}

// measure is estimate made exact, where that is cheap, for what a loop runs over: an
// expression that no variable of a loop around it takes part in is evaluated.
func (sc *scope) measure(expr hclsyntax.Expression, loops map[string]estimate) estimate {
	e := sc.estimate(expr, loops)
	if e.work > maxWork || e.size > maxSize {
		return e
	}
	for _, t := range hclsyntax.Variables(expr) {
		if _, ok := loops[t.RootName()]; ok {
			return e
		}
	}
	if _, ok := loops[splatItem]; ok {
		return e
	}
	v, diags := expr.Value(sc.context(expr))
	if diags.HasErrors() {
		return e
	}
	exact := sizeOf(v)
	exact.work = e.work
	return exact
}

// call bounds a function's result by its arguments.
func call(name string, args []estimate, expand bool) estimate {
	all := estimate{size: 1, work: 1}
	for _, a := range args {
		all = all.plus(a)
	}
	work := all.work + all.size
	if expand { // the last argument's elements are arguments
		all.items = all.size
	}
	switch name {
	case "range":
		return estimate{rangeItems * (all.size + numberSize), all.size + numberSize, rangeItems, work + rangeItems}
	case "join":
		size := all.size + all.size*all.items
		if len(args) > 0 && !expand { // the separator stands between any two
			size = args[0].size*all.items + all.size
		}
		return estimate{size, size, 1, work + size}
	case "format":
		size := all.size * (all.size + formatWidth)
		if len(args) > 0 && !(expand && len(args) == 1) { // each verb may name any argument
			size = args[0].size * (all.size - args[0].size + formatWidth)
		}
		return estimate{size, size, 1, work + size}
	case "concat", "merge", "min", "max":
		return estimate{all.size, all.element, all.items, work}
	case "length", "contains":
		return estimate{16, 16, 1, work}
	}
	size := all.size + 2*numberSize // a number made by float64 arithmetic has at most 309 digits
	return estimate{size, size, 1, work}
}
