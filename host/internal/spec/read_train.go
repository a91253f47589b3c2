package spec

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

const trainToday = "Today train has epochs, phases, losses, metrics, an optimizer, clipping, accumulation, early stopping, checkpoints and init_from; arithmetic is in f32."

func (r *reader) readTrain(b *block) {
	b.labels()
	t := &Train{Node: b.node}
	r.spec.Train = t
	b.named("model", "model", &t.Model)
	b.named("data", "data", &t.Data)
	read(b, "epochs", &t.Epochs, toCount)
	read(b, "batch_size", &t.BatchSize, toCount)
	readPtr(b, "seed", &t.Seed, toSeed)
	readPtr(b, "shuffle", &t.Shuffle, toBool)
	read(b, "validation_split", &t.ValidationSplit, toFloat)
	read(b, "clip_norm", &t.ClipNorm, toFloat)
	read(b, "clip_value", &t.ClipValue, toFloat)
	read(b, "accumulate", &t.Accumulate, toCount)

	if c, ok := b.shorthand("loss"); ok {
		t.Losses = append(t.Losses, Loss{Node: c.Node, Type: c.Type})
	}
	for _, hb := range b.blocks("loss") {
		if l, ok := r.open(hb, b.scope, b.path+".loss").loss(); ok {
			t.Losses = append(t.Losses, l)
		}
	}
	t.Metrics = b.metrics()
	t.Optimizer = b.optimizer()
	t.ClassWeight = b.classWeight()
	if n := b.plain("early_stopping"); n != nil {
		s := &EarlyStopping{Node: n.node}
		t.EarlyStopping = s
		read(n, "monitor", &s.Monitor, toText)
		read(n, "patience", &s.Patience, toCount)
		read(n, "min_delta", &s.MinDelta, toFloat)
		read(n, "mode", &s.Mode, toText)
		read(n, "restore_best", &s.RestoreBest, toBool)
		n.close()
	}
	if n := b.plain("checkpoint"); n != nil {
		c := &Checkpoint{Node: n.node}
		t.Checkpoint = c
		read(n, "every", &c.Every, toCount)
		read(n, "keep", &c.Keep, toCount)
		read(n, "keep_every", &c.KeepEvery, toCount)
		read(n, "full_every", &c.FullEvery, toCount)
		read(n, "on_error", &c.OnError, toText)
		if best := n.plain("best"); best != nil {
			c.Best = &Best{Node: best.node}
			read(best, "monitor", &c.Best.Monitor, toText)
			read(best, "mode", &c.Best.Mode, toText)
			read(best, "keep", &c.Best.Keep, toCount)
			best.close()
		}
		n.close()
	}
	if n := b.plain("ema"); n != nil {
		t.EMA = &EMA{Node: n.node}
		read(n, "decay", &t.EMA.Decay, toFloat)
		n.close()
	}
	t.InitFrom = b.initFrom()
	for _, hb := range b.blocks("phase") {
		if p, ok := r.open(hb, b.scope, b.path+".phase").phase(); ok {
			t.Phases = append(t.Phases, p)
		}
	}
	b.reserved(trainToday, "precision", "distribute", "shards")
	b.close()
}

// shorthand claims an argument that names a component without arguments: optimizer = "adam".
func (b *block) shorthand(name string) (Component, bool) {
	var typ string
	read(b, name, &typ, toText)
	return Component{Node: Node{Range: b.node.At(name)}, Type: Type(typ)}, typ != ""
}

// compared reads the model's output and the data's column that a loss or metric compares.
func (b *block) compared(output, target *string) {
	b.named("output", "output", output)
	read(b, "target", target, toText)
}

func (b *block) loss() (Loss, bool) {
	labels, ok := b.labels("TYPE", "[NAME]")
	if !ok {
		return Loss{}, false
	}
	l := Loss{Node: b.node, Type: Type(labels[0]), Name: labels[1]}
	b.path += "." + labels[0]
	b.compared(&l.Output, &l.Target)
	readPtr(b, "weight", &l.Weight, toFloat)
	l.Args = b.args()
	return l, true
}

// metrics reads the list of types, the short form, and the blocks.
func (b *block) metrics() []Metric {
	var out []Metric
	var types []string
	read(b, "metrics", &types, toTexts)
	for _, t := range types {
		out = append(out, Metric{Node: Node{Range: b.node.At("metrics")}, Type: Type(t), Name: Type(t).Name})
	}
	for _, hb := range b.blocks("metric") {
		n := b.r.open(hb, b.scope, b.path+".metric")
		labels, ok := n.labels("TYPE", "[NAME]")
		if !ok {
			continue
		}
		m := Metric{Node: n.node, Type: Type(labels[0]), Name: labels[1]}
		if m.Name == "" {
			m.Name = m.Type.Name
		}
		n.path += "." + m.Name
		n.compared(&m.Output, &m.Target)
		read(n, "weighted", &m.Weighted, toBool)
		m.Args = n.args()
		out = append(out, m)
	}
	return out
}

func (b *block) optimizer() *Optimizer {
	c, short := b.shorthand("optimizer")
	n := b.block("optimizer")
	switch {
	case n != nil && short:
		b.fail(diag.Errorf("said_twice", "optimizer is given as an argument and as a block").At(n.node.Range).Hint("Keep one of them."))
		return nil
	case short:
		return &Optimizer{Node: c.Node, Type: c.Type}
	case n == nil:
		return nil
	}
	labels, ok := n.labels("TYPE")
	if !ok {
		return nil
	}
	n.path += "." + labels[0]
	o := &Optimizer{Node: n.node, Type: Type(labels[0])}
	o.Schedule = n.schedule()
	o.Args = n.args()
	return o
}

// schedule reads how the learning rate runs: a block schedule "TYPE" { }, or the same under the name learning_rate.
func (b *block) schedule() *Component {
	var schedule *Component
	for _, hb := range b.blocks("schedule", "learning_rate") {
		n := b.r.open(hb, b.scope, b.path+"."+hb.Type)
		if schedule != nil {
			b.fail(diag.Errorf("said_twice", "The learning rate is given twice").At(n.node.Range).Hint("Keep one of learning_rate and schedule."))
			continue
		}
		if c, ok := n.component(); ok {
			schedule = &c
		}
	}
	return schedule
}

func (b *block) classWeight() *ClassWeight {
	if !b.node.Has("class_weight") {
		b.attribute("class_weight")
		return nil
	}
	w := &ClassWeight{Node: Node{Range: b.node.At("class_weight")}}
	expr := b.attribute("class_weight")
	if v, ok, _ := b.scope.eval(expr); ok {
		v, _ = v.UnmarkDeep()
		if v.IsNull() {
			return nil
		}
		if v.Type() == cty.String {
			if w.Balanced = v.AsString() == "balanced"; !w.Balanced {
				b.fail(diag.Errorf("wrong_value", "class_weight has no mode %q", clip(v.AsString())).At(w.Range).In(b.path + ".class_weight").
					Hint("Write class_weight = \"balanced\", or an object of weights: { \"CLASS\" = 2.0 }."))
			}
			return w
		}
	}
	pairs, ok := b.pairs("class_weight")
	if !ok {
		return nil
	}
	for _, p := range pairs {
		f, err := toFloat(p.value)
		if err != nil {
			b.fail(diag.Errorf("wrong_value", "The weight of class %q %w", clip(p.key), err).At(p.at).In(b.path + ".class_weight"))
			continue
		}
		w.Weights = append(w.Weights, WeightOfClass{p.key, f})
	}
	return w
}

func (b *block) initFrom() *InitFrom {
	n := b.plain("init_from")
	if n == nil {
		return nil
	}
	f := &InitFrom{Node: n.node}
	var raw string
	read(n, "path", &raw, toText)
	f.Path = b.r.spec.Resolve(raw)
	pairs, _ := n.pairs("map")
	for _, p := range pairs {
		to, err := toText(p.value)
		if err != nil {
			n.fail(diag.Errorf("wrong_value", "The counterpart of %q %w", clip(p.key), err).At(p.at).In(n.path + ".map"))
			continue
		}
		f.Map = append(f.Map, Rename{p.key, to})
	}
	pairs, _ = n.pairs("axes")
	for _, p := range pairs {
		order, err := toCounts(p.value)
		if err != nil {
			n.fail(diag.Errorf("wrong_value", "The axes of %q %w", clip(p.key), err).At(p.at).In(n.path + ".axes"))
			continue
		}
		f.Axes = append(f.Axes, Axes{p.key, order})
	}
	read(n, "exclude", &f.Exclude, toNames)
	n.named("cut", "layer", &f.Cut)
	readPtr(n, "strict", &f.Strict, toBool)
	n.close()
	return f
}

func (b *block) phase() (Phase, bool) {
	labels, ok := b.labels("NAME")
	if !ok || !b.r.checkName("phase", labels[0], fromHCLRange(b.hcl.LabelRanges[0])) {
		return Phase{}, false
	}
	b.path += "." + labels[0]
	p := Phase{Node: b.node, Name: labels[0]}
	read(b, "epochs", &p.Epochs, toCount)
	read(b, "batch_size", &p.BatchSize, toCount)
	read(b, "freeze", &p.Freeze, toNames)
	read(b, "unfreeze", &p.Unfreeze, toNames)
	readPtr(b, "learning_rate", &p.LearningRate, toFloat)
	p.Schedule = b.schedule()
	p.Optimizer = b.optimizer()
	b.close()
	return p, true
}
