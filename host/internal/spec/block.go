package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// block is one HCL block while it is read. The methods that take a name claim that argument or
// kind of nested block; close reports what nobody claimed, with the nearest name among the claimed.
type block struct {
	r     *reader
	hcl   *hclsyntax.Block
	scope *scope
	path  string // such as model.mlp.layer.hidden
	node  Node

	arguments []string // claimed
	kinds     []string
	later     []string // reserved words, which are claimed but not suggested
	rest      bool     // what is left was taken by args
}

func (r *reader) open(hb *hclsyntax.Block, sc *scope, path string) *block {
	b := &block{r: r, hcl: hb, scope: sc, path: path}
	b.node.Range = fromHCLRange(hb.DefRange())
	if len(hb.Body.Attributes) > 0 {
		b.node.at = make(map[string]diag.Range, len(hb.Body.Attributes))
		for name, a := range hb.Body.Attributes {
			b.node.at[name] = fromHCLRange(a.Expr.Range())
		}
	}
	return b
}

// fail reports a diagnostic, with the block's path unless it has one of its own.
func (b *block) fail(d diag.Diagnostic) {
	if d.Path == "" {
		d.Path = b.path
	}
	b.r.diags.Append(d)
}

// labels returns as many labels as there are names; a name in brackets may be absent, its label then
// empty. It reports a block with too few or too many.
func (b *block) labels(names ...string) ([]string, bool) {
	out := make([]string, len(names))
	copy(out, b.hcl.Labels)
	required := 0
	form := b.hcl.Type
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			required++
			form += ` "` + n + `"`
		} else {
			form += ` ["` + strings.Trim(n, "[]") + `"]`
		}
	}
	switch n := len(b.hcl.Labels); {
	case n < required:
		b.fail(diag.Errorf("missing_label", "This %s needs its %s", b.hcl.Type, strings.ToLower(names[n])).
			At(b.node.Range).Hint("Write %s { }.", form))
		return out, false
	case n > len(names):
		b.fail(diag.Errorf("extra_label", "This %s has too many labels", b.hcl.Type).
			At(fromHCLRange(b.hcl.LabelRanges[len(names)])).Hint("Write %s { }.", form))
		return out, false
	}
	for i, l := range b.hcl.Labels {
		if l == "" {
			b.fail(diag.Errorf("missing_label", "The %s of this %s is empty", strings.ToLower(strings.Trim(names[i], "[]")), b.hcl.Type).
				At(fromHCLRange(b.hcl.LabelRanges[i])).Hint("Write %s { }.", form))
			return out, false
		}
	}
	return out, true
}

// attribute claims an argument and returns its expression, nil if it was not written.
func (b *block) attribute(name string) hclsyntax.Expression {
	b.arguments = append(b.arguments, name)
	if a, ok := b.hcl.Body.Attributes[name]; ok {
		return a.Expr
	}
	return nil
}

// value claims an argument and evaluates it. Where null is written the argument counts as absent.
func (b *block) value(name string) (cty.Value, bool) {
	expr := b.attribute(name)
	if expr == nil {
		return cty.NilVal, false
	}
	v, ok, diags := b.scope.eval(expr)
	for _, d := range diags {
		b.fail(d.In(b.path + "." + name))
	}
	if !ok {
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	return v, !v.IsNull()
}

func (b *block) wrong(name string, err error) {
	b.fail(diag.Errorf("wrong_value", "%s %w", name, err).At(b.node.At(name)).In(b.path + "." + name))
}

// read claims an argument and converts it into dst, if it was written.
func read[T any](b *block, name string, dst *T, convert func(cty.Value) (T, error)) {
	if v, ok := b.value(name); ok {
		x, err := convert(v)
		if err != nil {
			b.wrong(name, err)
			return
		}
		*dst = x
	}
}

// readPtr is read for a value whose absence means something.
func readPtr[T any](b *block, name string, dst **T, convert func(cty.Value) (T, error)) {
	var x T
	read(b, name, &x, func(v cty.Value) (T, error) {
		x, err := convert(v)
		if err == nil {
			*dst = &x
		}
		return x, err
	})
}

func toCount(v cty.Value) (int, error) {
	i, err := toInt(v)
	if err == nil && (i < -1<<31 || i >= 1<<31) {
		err = fmt.Errorf("must be a whole number below 2147483648")
	}
	return int(i), err
}

func toSeed(v cty.Value) (uint64, error) {
	if _, err := toFloat(v); err != nil {
		return 0, err
	}
	f := v.AsBigFloat()
	u, acc := f.Uint64()
	if acc != 0 || !f.IsInt() {
		return 0, fmt.Errorf("must be a whole number from 0 to 18446744073709551615")
	}
	return u, nil
}

func toCounts(v cty.Value) ([]int, error) { return toList(v, "a list of whole numbers", toCount) }

// toNames accepts one string for a list of one.
func toNames(v cty.Value) ([]string, error) {
	if s, err := toText(v); err == nil {
		return []string{s}, nil
	}
	out, err := toTexts(v)
	if _, isList := elements(v); !isList {
		err = mismatch("a string or a list of strings", v)
	}
	return out, err
}

// names reads one of two arguments, the singular or the plural one.
func (b *block) names(singular, plural string, dst *[]string) {
	read(b, plural, dst, toNames)
	if b.node.Has(singular) && b.node.Has(plural) {
		b.fail(diag.Errorf("said_twice", "Both %s and %s are given", singular, plural).At(b.node.At(singular)).Hint("Keep one of them."))
	}
	read(b, singular, dst, toNames)
}

// blocks claims nested blocks of some kinds and returns them in the order in which they were written.
func (b *block) blocks(kinds ...string) []*hclsyntax.Block {
	b.kinds = append(b.kinds, kinds...)
	var out []*hclsyntax.Block
	for _, nested := range b.hcl.Body.Blocks {
		if slices.Contains(kinds, nested.Type) {
			out = append(out, nested)
		}
	}
	return out
}

// block claims a nested block of which there may be one.
func (b *block) block(kind string) *block {
	found := b.blocks(kind)
	if len(found) == 0 {
		return nil
	}
	for _, again := range found[1:] {
		b.fail(diag.Errorf("said_twice", "A second %s", kind).At(fromHCLRange(again.DefRange())).
			Hint("There may be one; the first is at %s.", fromHCLRange(found[0].DefRange())))
	}
	return b.r.open(found[0], b.scope, b.path+"."+kind)
}

// plain opens the block of which there may be one, and checks that it has no labels.
func (b *block) plain(kind string) *block {
	n := b.block(kind)
	if n != nil {
		n.labels()
	}
	return n
}

// reserved reports arguments and blocks whose words are kept for later.
func (b *block) reserved(today string, words ...string) {
	for _, w := range words {
		b.later = append(b.later, w)
		if b.node.Has(w) {
			b.fail(reservedWord(w, today).At(fromHCLRange(b.hcl.Body.Attributes[w].NameRange)))
		}
		for _, nested := range b.hcl.Body.Blocks {
			if nested.Type == w {
				b.fail(reservedWord(w, today).At(fromHCLRange(nested.DefRange())))
			}
		}
	}
}

func reservedWord(word, today string) diag.Diagnostic {
	return diag.Errorf("reserved", "%s is reserved for a later version of hone", word).Hint("Remove it. %s", today)
}

// args takes everything that was not claimed as arguments of a component.
func (b *block) args() Args {
	b.rest = true
	type item struct {
		at  int
		arg Argument
	}
	var items []item
	for _, name := range sortedByPlace(b.hcl.Body.Attributes) {
		if slices.Contains(b.arguments, name) {
			continue
		}
		a := b.hcl.Body.Attributes[name]
		arg := Argument{Name: name, Range: b.node.At(name), NameRange: fromHCLRange(a.NameRange), Dir: b.r.spec.Dir}
		v, ok, diags := b.scope.eval(a.Expr)
		for _, d := range diags {
			b.fail(d.In(b.path + "." + name))
		}
		if !ok {
			continue
		}
		arg.Sensitive = v.ContainsMarked()
		arg.Value, _ = v.UnmarkDeep()
		if !arg.Value.IsNull() { // null counts as absent
			items = append(items, item{a.NameRange.Start.Byte, arg})
		}
	}
	first := map[string]int{} // of the blocks of one name, the place in items
	for _, nested := range b.hcl.Body.Blocks {
		if slices.Contains(b.kinds, nested.Type) {
			continue
		}
		if a, ok := b.hcl.Body.Attributes[nested.Type]; ok {
			b.fail(diag.Errorf("said_twice", "%s is given as an argument and as a block", nested.Type).
				At(fromHCLRange(nested.DefRange())).Hint("Keep one of them; the argument is at %s.", fromHCLRange(a.NameRange)))
			continue
		}
		c, ok := b.r.open(nested, b.scope, b.path+"."+nested.Type).component()
		if !ok {
			continue
		}
		if i, again := first[nested.Type]; again {
			items[i].arg.Components = append(items[i].arg.Components, c)
			continue
		}
		first[nested.Type] = len(items)
		items = append(items, item{nested.TypeRange.Start.Byte, Argument{
			Name: nested.Type, Components: []Component{c}, Range: c.Range, NameRange: fromHCLRange(nested.TypeRange), Dir: b.r.spec.Dir}})
	}
	slices.SortStableFunc(items, func(x, y item) int { return cmp.Compare(x.at, y.at) })
	var args Args
	for _, it := range items {
		args = append(args, it.arg)
	}
	return args
}

// component reads a labelled block such as kernel_regularizer "l2" { l = 0.01 }.
func (b *block) component() (Component, bool) {
	if len(b.hcl.Labels) != 1 {
		b.fail(diag.Errorf("component_label", "The block %s needs the type of a component", b.hcl.Type).At(b.node.Range).
			Hint("A block among arguments is a component and has its type as its one label: %s \"TYPE\" { }. A plain value is written %s = VALUE.", b.hcl.Type, b.hcl.Type))
		return Component{}, false
	}
	c := Component{Node: b.node, Type: Type(b.hcl.Labels[0])}
	c.Args = b.args()
	return c, true
}

// close reports what was written and never claimed.
func (b *block) close() {
	if b.rest {
		return
	}
	attributes := b.hcl.Body.Attributes
	for _, name := range sortedByPlace(attributes) {
		if slices.Contains(b.arguments, name) || slices.Contains(b.later, name) {
			continue
		}
		d := diag.Errorf("unknown_argument", "%s has no argument %s", b.subject(), name).At(fromHCLRange(attributes[name].NameRange))
		switch {
		case slices.Contains(b.kinds, name):
			d = d.Hint("%s is a block: write %s { }.", name, name)
		case len(b.arguments) == 0:
			d = d.Hint("It has none. Remove it.")
		default:
			d = d.Hint("%sIts arguments are %s.", diag.DidYouMean(name, b.arguments), listOf(sorted(b.arguments)))
		}
		b.fail(d)
	}
	for _, nested := range b.hcl.Body.Blocks {
		if slices.Contains(b.kinds, nested.Type) || slices.Contains(b.later, nested.Type) {
			continue
		}
		d := diag.Errorf("unknown_block", "%s has no block %s", b.subject(), nested.Type).At(fromHCLRange(nested.DefRange()))
		switch {
		case slices.Contains(b.arguments, nested.Type):
			d = d.Hint("%s is an argument: write %s = VALUE.", nested.Type, nested.Type)
		case len(b.kinds) == 0:
			d = d.Hint("It has none inside. Remove it.")
		default:
			d = d.Hint("%sIts blocks are %s.", diag.DidYouMean(nested.Type, b.kinds), listOf(sorted(b.kinds)))
		}
		b.fail(d)
	}
}

// subject begins a sentence about the block: `The layer "hidden"`.
func (b *block) subject() string {
	if n := len(b.hcl.Labels); n > 0 {
		return fmt.Sprintf("The %s %q", b.hcl.Type, b.hcl.Labels[n-1])
	}
	return "The block " + b.hcl.Type
}

func sortedByPlace(attributes hclsyntax.Attributes) []string {
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Compare(attributes[x].NameRange.Start.Byte, attributes[y].NameRange.Start.Byte)
	})
	return names
}

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}
