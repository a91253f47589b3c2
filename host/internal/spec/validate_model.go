package spec

import (
	"fmt"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
)

const (
	maxRank    = 16
	maxNesting = 64 // of instances of blocks inside each other
)

func (v *validator) model(m *Model, path string) {
	if v.layers += len(m.Layers); v.layers > maxLayers {
		if v.layers-len(m.Layers) <= maxLayers {
			v.fail(diag.Errorf("too_many_layers", "The models have more than %d layers", maxLayers).
				Hint("Use fewer layers, or fewer instances of blocks inside each other."), m.Range, path)
		}
		return
	}
	inputs, layers, outputs := newNames("input"), newNames("layer"), newNames("output")
	if len(m.Inputs) == 0 {
		v.fail(diag.Errorf("no_input", "There is no input in %q", m.Name).
			Hint("Write input \"NAME\" { }, with a shape where the data does not say it."), m.Range, path)
	}
	if len(m.Layers) == 0 {
		v.fail(diag.Errorf("no_layer", "There is no layer in %q", m.Name).Hint("Write layer \"TYPE\" \"NAME\" { }."), m.Range, path)
	}
	for i := range m.Inputs {
		in := &m.Inputs[i]
		p := path + ".input." + in.Name
		v.name(inputs, in.Name, in.Range, p)
		if len(in.Shape) > maxRank {
			v.fail(diag.Errorf("out_of_range", "A shape of %d dimensions", len(in.Shape)).Hint("There may be at most %d.", maxRank), in.At("shape"), p+".shape")
		}
		for _, size := range in.Shape {
			if size < 1 {
				v.fail(diag.Errorf("out_of_range", "A dimension of %d", size).
					Hint("Each dimension is at least 1. The batch is not part of the shape."), in.At("shape"), p+".shape")
				break
			}
		}
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		p := path + ".layer." + l.Name
		v.name(layers, l.Name, l.Range, p)
		v.typ(l.Type, "layer", l.Range, p)
		v.args(l.Args, l.Range, p)
	}
	for i := range m.Outputs {
		v.name(outputs, m.Outputs[i].Name, m.Outputs[i].Range, path+".output."+m.Outputs[i].Name)
	}
	used := map[string]bool{}
	for i := range m.Layers {
		v.layer(m, i, inputs, layers, used, path+".layer."+m.Layers[i].Name)
	}
	for _, out := range m.Results() {
		v.ref(out.From, out.Node, inputs, layers, used, path+".output."+out.Name)
	}
	if _, circle := m.sort(); circle != nil {
		v.circle(m, circle, path)
		return
	}
	if v.diags.HasErrors() {
		return // what seems unused may be what was meant by a wrong name
	}
	for i := range m.Layers {
		if l := &m.Layers[i]; !used["layer."+l.Name] {
			v.fail(diag.Warnf("unused_layer", "Nothing uses the layer %q", l.Name).
				Hint("No layer and no output comes from it, so that it is not trained. Name it in a from, or remove it."), l.Range, path+".layer."+l.Name)
		}
	}
	for i := range m.Inputs {
		if in := &m.Inputs[i]; !used["input."+in.Name] {
			v.fail(diag.Warnf("unused_input", "Nothing uses the input %q", in.Name).
				Hint("Write from = input.%s in a layer, or remove it.", in.Name), in.Range, path+".input."+in.Name)
		}
	}
}

func (v *validator) layer(m *Model, i int, inputs, layers names, used map[string]bool, path string) {
	l := &m.Layers[i]
	if i == 0 && len(l.From) == 0 && len(m.Inputs) > 1 {
		v.fail(diag.Errorf("missing_argument", "The first layer does not say which input it takes").
			Hint("There are several: %s. Write from = input.NAME, or from = [input.A, input.B].", listOf(prefixed("input.", inputs.list()))), l.Range, path)
	}
	for _, ref := range m.Feeds(i) {
		v.ref(ref, l.Node, inputs, layers, used, path+".from")
	}
	if l.Group != nil {
		switch {
		case l.Type.Local != blockLocal:
			v.fail(diag.Errorf("invalid_type", "A layer with a Group must be of a type %s.NAME", blockLocal).
				Hint("Its type is %s.", l.Type), l.Range, path)
		case len(l.From) > 0 && len(l.From) != len(l.Group.Inputs):
			v.fail(diag.Errorf("wrong_inputs", "The block %q has %d inputs, but from names %d", l.Group.Name, len(l.Group.Inputs), len(l.From)).
				Hint("Name as many, in the order of the block's inputs."), l.At("from"), path+".from")
		case len(l.From) == 0 && i > 0 && len(l.Group.Inputs) > 1:
			v.fail(diag.Errorf("wrong_inputs", "The block %q has %d inputs, but one layer stands before it", l.Group.Name, len(l.Group.Inputs)).
				Hint("Write from = [...] with as many, in the order of the block's inputs."), l.Range, path)
		}
		if v.nesting++; v.nesting > maxNesting {
			v.fail(diag.Errorf("too_deep", "Blocks nested more than %d deep", maxNesting).Hint("Put fewer instances of blocks inside each other."), l.Range, path)
		} else {
			v.model(l.Group, path)
		}
		v.nesting--
	} else if l.Type.Local == blockLocal && l.Share == nil {
		v.fail(diag.Errorf("missing_value", "The layer %q is an instance of a block without its inside", l.Name).
			Hint("Set Group to the layers that it stands for."), l.Range, path)
	}
	if l.Share != nil {
		v.share(m, l, path)
	}
}

// ref checks that a reference points at something, and notes that it is used.
func (v *validator) ref(ref Ref, holder Node, inputs, layers names, used map[string]bool, path string) {
	at := ref.Range
	if at.File == "" {
		at = holder.Range
	}
	kind, there, others := "layer", layers, inputs
	if ref.Kind == ToInput {
		kind, there, others = "input", inputs, layers
	}
	if _, ok := there.first[ref.Name]; ok {
		used[kind+"."+ref.Name] = true
		return
	}
	d := diag.Errorf("unknown_"+kind, "There is no %s %q", kind, clip(ref.Name))
	if _, ok := others.first[ref.Name]; ok {
		v.fail(d.Hint("There is %s.%s. Did you mean that?", others.kind, ref.Name), at, path)
		return
	}
	known := there.list()
	if len(known) == 0 {
		v.fail(d.Hint("There is no %s here at all.", kind), at, path)
		return
	}
	v.fail(d.Hint("%s%s.", diag.DidYouMean(ref.Name, known), hereIs(prefixed(kind+".", known))), at, path)
}

func (v *validator) share(m *Model, l *Layer, path string) {
	at, path := l.At("share"), path+".share"
	i := -1
	if l.Share.Kind == ToLayer {
		i = m.Find(l.Share.Name)
	}
	var known []string
	for j := range m.Layers {
		if o := &m.Layers[j]; o.Type == l.Type && o.Share == nil && o.Name != l.Name {
			known = append(known, o.Name)
		}
	}
	switch {
	case l.Share.Kind != ToLayer || l.Share.Output != "":
		v.fail(diag.Errorf("wrong_reference", "share must name a layer").Hint("Write share = layer.NAME."), at, path)
	case i < 0:
		d := diag.Errorf("unknown_layer", "There is no layer %q", clip(l.Share.Name))
		v.fail(d.Hint("%sLayers of the type %q: %s.", diag.DidYouMean(l.Share.Name, known), l.Type, orNone(known)), at, path)
	case m.Layers[i].Name == l.Name:
		v.fail(diag.Errorf("cycle", "The layer %q shares with itself", l.Name).Hint("Name another layer, or remove share."), at, path)
	case m.Layers[i].Share != nil:
		v.fail(diag.Errorf("wrong_reference", "The layer %q shares itself", m.Layers[i].Name).
			Hint("Name the layer that owns the parameters: share = %s.", m.Layers[i].Share), at, path)
	case m.Layers[i].Type != l.Type:
		v.fail(diag.Errorf("wrong_reference", "The layer %q is of another type", m.Layers[i].Name).
			Hint("It is a %q, this one a %q. Layers of this type: %s.", m.Layers[i].Type, l.Type, orNone(known)), at, path)
	case len(l.Args) > 0:
		v.fail(diag.Errorf("said_twice", "A layer that shares has no arguments of its own").
			Hint("%s uses those of layer.%s. Remove %s.", l.Name, m.Layers[i].Name, listOf(l.Args.Names())), l.Args[0].NameRange, path)
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return listOf(names)
}

func (v *validator) circle(m *Model, circle []int, path string) {
	// A circle is found against the direction of the data.
	const most = 8
	var steps []string
	for n := len(circle) - 1; n >= 0 && len(steps) < most; n-- {
		steps = append(steps, m.Layers[circle[n]].Name)
	}
	if len(circle) > most {
		steps = append(steps, fmt.Sprintf("%d more", len(circle)-most))
	}
	steps = append(steps, steps[0])
	l := &m.Layers[circle[len(circle)-1]]
	v.fail(diag.Errorf("cycle", "The layers feed each other in a circle: %s", strings.Join(steps, " -> ")).
		Hint("Change one of their from. What returns to itself over time is a recurrent layer."), l.At("from"), path+".layer."+l.Name+".from")
}
