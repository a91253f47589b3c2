package spec

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// maxLayers bounds the layers of a spec with all copies made, since counts multiply.
const maxLayers = 16384

// blockLocal is the word before the dot in the type of a layer that is an instance of a block.
const blockLocal = "block"

// LayerArguments are the words that mean the same for every layer; no
// component's parameter has such a name.
var LayerArguments = []string{"from", "share", "trainable", "count"}

// definition is a block that layers can be instances of. It is read anew for each instance, with the instance's arguments.
type definition struct {
	name string
	hcl  *hclsyntax.Block
}

// definitions collects blocks by name, added to those that are known already.
func (r *reader) definitions(blocks []*hclsyntax.Block, outer map[string]definition) map[string]definition {
	all := maps.Clone(outer)
	if all == nil {
		all = map[string]definition{}
	}
	for _, hb := range blocks {
		b := r.open(hb, r.scope, "block")
		labels, ok := b.labels("NAME")
		if !ok || !r.checkName("block", labels[0], fromHCLRange(hb.LabelRanges[0])) {
			continue
		}
		if first, again := all[labels[0]]; again {
			b.fail(diag.Errorf("said_twice", "A second block %q", labels[0]).At(b.node.Range).Hint("The first is at %s.", fromHCLRange(first.hcl.DefRange())))
			continue
		}
		all[labels[0]] = definition{labels[0], hb}
	}
	return all
}

func (r *reader) readModel(b *block, shared map[string]definition) {
	labels, ok := b.labels("NAME")
	if !ok || !r.checkName("model", labels[0], fromHCLRange(b.hcl.LabelRanges[0])) {
		return
	}
	b.path += "." + labels[0]
	m := Model{Node: b.node, Name: labels[0]}
	defs := r.definitions(b.blocks("block"), shared)
	b.network(&m, defs, nil)
	b.close()
	r.spec.Models = append(r.spec.Models, m)
}

// network reads what a model and a block have in common. within names the blocks whose instances it is inside of.
func (b *block) network(m *Model, defs map[string]definition, within []string) {
	for _, hb := range b.blocks("input") {
		if in, ok := b.r.open(hb, b.scope, b.path+".input").input(); ok {
			m.Inputs = append(m.Inputs, in)
		}
	}
	last := map[string]int{} // layers with a count, and their last copy
	for _, hb := range b.blocks("layer") {
		b.r.open(hb, b.scope, b.path+".layer").layer(m, defs, within, last)
	}
	for _, hb := range b.blocks("output") {
		if out, ok := b.r.open(hb, b.scope, b.path+".output").output(); ok {
			m.Outputs = append(m.Outputs, out)
		}
	}
	// What is called by the name of all copies means the last one.
	resolve := func(ref *Ref) {
		if n, ok := last[ref.Name]; ok && ref.Kind == ToLayer {
			ref.Name = fmt.Sprintf("%s[%d]", ref.Name, n)
		}
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		for j := range l.From {
			resolve(&l.From[j])
		}
		if l.Share != nil {
			resolve(l.Share)
		}
	}
	for i := range m.Outputs {
		resolve(&m.Outputs[i].From)
	}
}

func (b *block) input() (Input, bool) {
	labels, ok := b.labels("NAME")
	b.path += "." + labels[0]
	in := Input{Node: b.node, Name: labels[0]}
	read(b, "shape", &in.Shape, toCounts)
	read(b, "dtype", &in.DType, toText)
	b.names("column", "columns", &in.Columns)
	b.close()
	return in, ok
}

func (b *block) output() (Output, bool) {
	labels, ok := b.labels("NAME")
	b.path += "." + labels[0]
	out := Output{Node: b.node, Name: labels[0]}
	from := b.refs("from")
	if len(from) == 1 {
		out.From = from[0]
	} else if ok && (len(from) > 1 || !b.node.Has("from")) {
		b.fail(diag.Errorf("missing_argument", "An output comes from one layer").At(b.node.At("from")).Hint("Write from = layer.NAME."))
	}
	b.close()
	return out, ok && len(from) == 1
}

// layer reads a layer and adds it to the model, as often as its count says.
func (b *block) layer(m *Model, defs map[string]definition, within []string, last map[string]int) {
	labels, ok := b.labels("TYPE", "NAME")
	if !ok || !b.r.checkName("layer", labels[1], fromHCLRange(b.hcl.LabelRanges[1])) {
		return
	}
	typ, name := Type(labels[0]), labels[1]
	b.path += "." + name
	first := Layer{Node: b.node, Type: typ, Name: name, From: b.refs("from")}
	if share := b.refs("share"); len(share) == 1 {
		first.Share = &share[0]
	} else if len(share) > 1 {
		b.fail(diag.Errorf("wrong_value", "share names several layers").At(b.node.At("share")).Hint("A layer shares the parameters of one: share = layer.NAME."))
	}
	readPtr(b, "trainable", &first.Trainable, toBool)
	copies, counted, ok := b.count()
	if !ok {
		return
	}
	for i := range copies {
		if b.r.copies++; b.r.copies > maxLayers {
			b.fail(diag.Errorf("too_many_layers", "The models have more than %d layers", maxLayers).At(b.node.Range).Hint("Make the counts smaller."))
			return
		}
		l := first
		c := *b // each copy evaluates the arguments anew
		if counted {
			c.scope = b.scope.with("count", map[string]cty.Value{"index": cty.NumberIntVal(int64(i))})
			c.path = fmt.Sprintf("%s[%d]", b.path, i)
			l.Name = fmt.Sprintf("%s[%d]", name, i)
		}
		if i > 0 {
			l.From = nil // the copy before
		}
		if typ.Local == blockLocal {
			l.Group = c.instance(defs, within, first.Share != nil)
			if l.Group == nil && first.Share == nil {
				return
			}
		} else {
			l.Args = c.args()
		}
		m.Layers = append(m.Layers, l)
	}
	if counted {
		last[name] = copies - 1
	}
}

// count reads how many copies of a layer there are, and whether that was said.
func (b *block) count() (copies int, counted, ok bool) {
	if b.attribute("count") == nil {
		return 1, false, true
	}
	v, ok := b.value("count")
	if !ok {
		return 0, true, false
	}
	copies, err := toCount(v)
	if err != nil {
		b.wrong("count", err)
		return 0, true, false
	}
	if copies < 1 {
		b.fail(diag.Errorf("out_of_range", "count must be at least 1").At(b.node.At("count")).In(b.path + ".count").Hint("Remove the layer if there is to be none."))
		return 0, true, false
	}
	return copies, true, true
}

// instance reads the block that a layer is an instance of, with the layer's arguments. It returns nil where that failed.
func (b *block) instance(defs map[string]definition, within []string, shares bool) *Model {
	name := Type(b.hcl.Labels[0]).Name
	at := fromHCLRange(b.hcl.LabelRanges[0])
	def, ok := defs[name]
	if !ok {
		known := slices.Sorted(maps.Keys(defs))
		d := diag.Errorf("unknown_block", "There is no block %q", name).At(at)
		if len(known) == 0 {
			b.fail(d.Hint("A reusable group of layers is defined with a block: block %q { }", name))
		} else {
			b.fail(d.Hint("%sThe blocks are %s.", diag.DidYouMean(name, known), listOf(known)))
		}
		return nil
	}
	if slices.Contains(within, name) {
		b.fail(diag.Errorf("cycle", "The block %q contains itself", name).At(at).Hint("Repeat a group with count; a group cannot hold itself."))
		return nil
	}
	if len(within) >= maxNesting {
		b.fail(diag.Errorf("too_deep", "Blocks nested more than %d deep", maxNesting).At(at).Hint("Put fewer instances of blocks inside each other."))
		return nil
	}
	if shares {
		b.close()
		return nil
	}
	if !b.spend(def.hcl) {
		return nil
	}
	// The inside has its own arguments and nobody else's; count is the instance's alone.
	inner := b.r.open(def.hcl, b.r.scope, b.path)
	values := map[string]cty.Value{}
	for _, hb := range inner.blocks("arg") {
		b.argument(hb, values)
	}
	b.close()
	inner.scope = b.r.scope.with("arg", values)
	g := &Model{Node: inner.node, Name: name}
	inner.network(g, defs, append(slices.Clone(within), name))
	inner.close()
	if len(g.Inputs) == 0 {
		g.Inputs = []Input{{Node: inner.node, Name: "input"}}
	}
	return g
}

// argument declares one of a block's arguments and takes its value from the instance b.
func (b *block) argument(hb *hclsyntax.Block, values map[string]cty.Value) {
	declared := b.r.open(hb, b.r.scope, b.path+".arg")
	labels, ok := declared.labels("NAME")
	if !ok || !b.r.checkName("arg", labels[0], fromHCLRange(hb.LabelRanges[0])) {
		return
	}
	name := labels[0]
	if slices.Contains(LayerArguments, name) {
		declared.fail(diag.Errorf("invalid_name", "%q cannot be an argument of a block", name).At(fromHCLRange(hb.LabelRanges[0])).
			Hint("Every layer has an argument of that name. Choose another."))
		return
	}
	var description string
	read(declared, "description", &description, toText)
	fallback := declared.attribute("default")
	declared.close()
	values[name] = cty.NilVal
	expr, from := b.attribute(name), b
	if expr == nil {
		expr, from = fallback, declared
	}
	if expr == nil {
		b.fail(diag.Errorf("missing_argument", "The layer %q needs the argument %s", b.hcl.Labels[1], name).At(b.node.Range).
			Hint("The block %q declares it without a default, at %s. Write %s = VALUE.", Type(b.hcl.Labels[0]).Name, fromHCLRange(hb.DefRange()), name))
		return
	}
	v, ok, diags := from.scope.eval(expr)
	for _, d := range diags {
		from.fail(d.In(from.path + "." + name))
	}
	if ok {
		values[name] = v
	}
}

// spend counts an instance's cost, which its text bounds, towards what a spec may take.
func (b *block) spend(hb *hclsyntax.Block) bool {
	r := hb.Range()
	*b.r.scope.spent += workPerByte * float64(r.End.Byte-r.Start.Byte)
	if *b.r.scope.spent > maxTotalWork {
		b.fail(diag.Errorf("spec_too_large", "The blocks are instantiated too often").At(b.node.Range).Hint("Make the counts smaller, or the blocks shorter."))
		return false
	}
	return true
}
