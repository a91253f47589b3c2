package spec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// The words of the top level, and those that later versions will give a meaning.
var (
	topBlocks    = []string{"hone", "variable", "locals", "data", "block", "model", "train"}
	laterBlocks  = []string{"prune", "tune", "distribute", "precision", "export"}
	todaysBlocks = "Today a spec has the blocks " + listOf(topBlocks) + "."
)

// reader turns the syntax of all files into a Spec.
type reader struct {
	spec  *Spec
	opts  Options
	scope *scope
	diags diag.Diagnostics

	copies int // layers made so far, from counts and blocks
}

// read goes over the files once for each kind of block, since what a block may name can
// stand below it or in another file.
func (r *reader) read(bodies []*hclsyntax.Body) {
	byKind := map[string][]*hclsyntax.Block{}
	for _, body := range bodies {
		for _, name := range sortedByPlace(body.Attributes) {
			r.diags.Append(diag.Errorf("stray_argument", "%s stands outside of any block", name).
				At(fromHCLRange(body.Attributes[name].NameRange)).Hint("Move it into the block that it belongs to. %s", todaysBlocks))
		}
		for _, hb := range body.Blocks {
			r.checkTop(hb)
			byKind[hb.Type] = append(byKind[hb.Type], hb)
		}
	}
	for _, hb := range once(r, byKind["hone"]) {
		r.readHone(r.open(hb, newScope(), "hone"))
	}
	r.readVariables(byKind["variable"])
	r.readLocals(byKind["locals"])
	for _, hb := range byKind["data"] {
		r.readData(r.open(hb, r.scope, "data"))
	}
	shared := r.definitions(byKind["block"], nil)
	for _, hb := range byKind["model"] {
		r.readModel(r.open(hb, r.scope, "model"), shared)
	}
	for _, hb := range once(r, byKind["train"]) {
		r.readTrain(r.open(hb, r.scope, "train"))
	}
}

func (r *reader) checkTop(hb *hclsyntax.Block) {
	for _, known := range topBlocks {
		if hb.Type == known {
			return
		}
	}
	at := fromHCLRange(hb.DefRange())
	for _, later := range laterBlocks {
		if hb.Type == later {
			r.diags.Append(reservedWord(later, todaysBlocks).At(at))
			return
		}
	}
	r.diags.Append(diag.Errorf("unknown_block", "There is no block %s", hb.Type).At(at).
		Hint("%s%s", diag.DidYouMean(hb.Type, topBlocks), todaysBlocks))
}

// once reports the second and later of blocks of which a spec has one, and returns the first.
func once(r *reader, blocks []*hclsyntax.Block) []*hclsyntax.Block {
	for i, hb := range blocks {
		if i > 0 {
			r.diags.Append(diag.Errorf("said_twice", "A second block %s", hb.Type).At(fromHCLRange(hb.DefRange())).
				Hint("A spec has one; the first is at %s.", fromHCLRange(blocks[0].DefRange())))
		}
	}
	return blocks[:min(len(blocks), 1)]
}

func (r *reader) readHone(b *block) {
	b.labels()
	h := &r.spec.Hone
	h.Node = b.node
	read(b, "required_version", &h.RequiredVersion, toText)
	if p := b.plain("required_plugins"); p != nil {
		for _, name := range sortedByPlace(p.hcl.Body.Attributes) {
			if plugin, ok := p.requiredPlugin(name); ok {
				h.Plugins = append(h.Plugins, plugin)
			}
		}
		p.close()
	}
	b.close()
	if h.RequiredVersion == "" || r.opts.Version == "" {
		return
	}
	// A development build stands for the version that it becomes. A constraint that
	// cannot be read is reported by Validate.
	have := strings.TrimSuffix(r.opts.Version, "-dev")
	if c, err := ParseConstraint(h.RequiredVersion); err == nil && !c.Allows(have) {
		b.fail(diag.Errorf("hone_version", "This spec wants hone %s, but this is %s", h.RequiredVersion, r.opts.Version).
			At(b.node.At("required_version")).Hint("Use a version of hone that fits, or change required_version if the spec works with this one."))
	}
}

func (b *block) requiredPlugin(name string) (RequiredPlugin, bool) {
	p := RequiredPlugin{Name: name, Node: Node{Range: fromHCLRange(b.hcl.Body.Attributes[name].SrcRange), at: map[string]diag.Range{}}}
	at := b.node.At(name)
	v, ok := b.value(name)
	if !ok {
		return p, false
	}
	path := b.path + "." + name
	if !v.Type().IsObjectType() {
		b.fail(diag.Errorf("wrong_value", "%s must be an object, but is %s", name, describe(v)).At(at).In(path).
			Hint("Write %s = { source = \"github.com/OWNER/REPOSITORY\", version = \"~> 1.0\" }.", name))
		return p, false
	}
	known := map[string]*string{"source": &p.Source, "version": &p.Version}
	for key, value := range v.AsValueMap() {
		dst, ok := known[key]
		if !ok {
			b.fail(diag.Errorf("unknown_argument", "A required plugin has no argument %s", key).At(at).In(path).
				Hint("%sIts arguments are source and version.", diag.DidYouMean(key, []string{"source", "version"})))
			continue
		}
		s, err := toText(value)
		if err != nil {
			b.fail(diag.Errorf("wrong_value", "%s %w", key, err).At(at).In(path))
			continue
		}
		*dst = s
		p.at[key] = at
	}
	return p, true
}

// pair is one entry of an object, in the order in which they were written.
type pair struct {
	key   string
	value cty.Value
	at    diag.Range
}

// pairs claims an argument that is an object and returns its entries. An object that is not
// written in place, but comes from a variable, has them in the order of their keys.
func (b *block) pairs(name string) ([]pair, bool) {
	expr := b.attribute(name)
	if expr == nil {
		return nil, false
	}
	at := b.node.At(name)
	if cons, ok := expr.(*hclsyntax.ObjectConsExpr); ok {
		var out []pair
		for _, item := range cons.Items {
			k, okKey, keyDiags := b.scope.eval(item.KeyExpr)
			v, okValue, valueDiags := b.scope.eval(item.ValueExpr)
			for _, d := range append(keyDiags, valueDiags...) {
				b.fail(d.In(b.path + "." + name))
			}
			if !okKey || !okValue {
				return nil, false
			}
			k, _ = k.UnmarkDeep()
			v, _ = v.UnmarkDeep()
			key, err := toKey(k)
			if err != nil {
				b.fail(diag.Errorf("wrong_value", "A key of %s %w", name, err).At(fromHCLRange(item.KeyExpr.Range())).In(b.path + "." + name))
				return nil, false
			}
			out = append(out, pair{key, v, fromHCLRange(item.ValueExpr.Range())})
		}
		return out, true
	}
	v, ok := b.value(name)
	if !ok {
		return nil, false
	}
	if !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		b.wrong(name, mismatch("an object", v))
		return nil, false
	}
	var out []pair
	for it := v.ElementIterator(); it.Next(); {
		k, value := it.Element()
		out = append(out, pair{k.AsString(), value, at})
	}
	return out, true
}

func toKey(v cty.Value) (string, error) {
	switch {
	case v.IsNull():
		return "", fmt.Errorf("must not be null")
	case v.Type() == cty.Number:
		i, err := toInt(v)
		return fmt.Sprint(i), err
	case v.Type() == cty.Bool:
		return fmt.Sprint(v.True()), nil
	}
	return toText(v)
}
