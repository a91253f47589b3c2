package spec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hone-ml/hone/host/internal/diag"
)

const (
	maxEpochs    = 1e6
	maxBatchSize = 1 << 24
	maxEvery     = 1e6
)

func (v *validator) train(t *Train) {
	const path = "train"
	m := v.theModel(t)
	v.theData(t)
	v.epochs(t)
	v.within(t.Node, path, "batch_size", float64(t.BatchSize), 1, maxBatchSize)
	v.within(t.Node, path, "accumulate", float64(t.Accumulate), 1, 1<<20)
	v.fraction(t.Node, path, "validation_split", t.ValidationSplit)
	v.positive(t.Node, path, "clip_norm", t.ClipNorm)
	v.positive(t.Node, path, "clip_value", t.ClipValue)
	v.losses(t, m)
	v.metrics(t, m)
	if t.Optimizer == nil && (len(t.Phases) == 0 || anyPhase(t, func(p *Phase) bool { return p.Optimizer == nil })) {
		v.fail(diag.Errorf("missing_argument", "train has no optimizer").Hint("Write optimizer \"adam\" { }, for example."), t.Range, path)
	}
	if t.Optimizer != nil {
		v.optimizer(t.Optimizer, path+".optimizer")
	}
	if c := t.ClassWeight; c != nil {
		classes := newNames("weight of class")
		for _, w := range c.Weights {
			v.unique(classes, w.Class, c.Range, path+".class_weight")
			if !(w.Weight >= 0) || math.IsInf(w.Weight, 1) {
				v.outOfRange(c.Node, path, "class_weight", "at least 0", w.Weight)
			}
		}
	}
	if s := t.EarlyStopping; s != nil {
		v.within(s.Node, path+".early_stopping", "patience", float64(s.Patience), 0, maxEpochs)
		v.within(s.Node, path+".early_stopping", "min_delta", s.MinDelta, 0, math.MaxFloat64)
		v.word(s.Node, path+".early_stopping", "mode", s.Mode, "min", "max")
	}
	v.checkpoint(t)
	if e := t.EMA; e != nil && !(e.Decay > 0 && e.Decay < 1) {
		v.outOfRange(e.Node, path+".ema", "decay", "between 0 and 1", e.Decay)
	}
	v.initFrom(t)
	phases := newNames("phase")
	for i := range t.Phases {
		p := &t.Phases[i]
		v.name(phases, p.Name, p.Range, path+".phase."+p.Name)
		v.phase(p, path+".phase."+p.Name)
	}
}

func (v *validator) checkpoint(t *Train) {
	c := t.Checkpoint
	if c == nil {
		return
	}
	const path = "train.checkpoint"
	v.within(c.Node, path, "every", float64(c.Every), 1, maxEvery)
	v.within(c.Node, path, "keep", float64(c.Keep), 1, maxEvery)
	v.within(c.Node, path, "keep_every", float64(c.KeepEvery), 1, maxEvery)
	v.within(c.Node, path, "full_every", float64(c.FullEvery), 1, maxEvery)
	v.word(c.Node, path, "on_error", c.OnError, "stop", "continue")
	if b := c.Best; b != nil {
		v.word(b.Node, path+".best", "mode", b.Mode, "min", "max")
		v.within(b.Node, path+".best", "keep", float64(b.Keep), 1, maxEvery)
		if s := t.EarlyStopping; s != nil && differ(b.Monitor, s.Monitor) {
			v.fail(diag.Errorf("wrong_value", "best watches %s, and early_stopping %s: a run watches one number", clip(b.Monitor), clip(s.Monitor)).
				Hint("Give both the same monitor, or leave it out in one."), b.At("monitor"), path+".best.monitor")
		} else if s != nil && differ(b.Mode, s.Mode) {
			v.fail(diag.Errorf("wrong_value", "best takes the %simum, and early_stopping the %simum", b.Mode, s.Mode).
				Hint("Give both the same mode, or leave it out in one."), b.At("mode"), path+".best.mode")
		}
	}
	if c.FullEvery > 1 && !c.Numbered() {
		v.fail(diag.Errorf("wrong_value", "full_every has nothing to act on: no epoch's checkpoint stays").
			Hint("Say which stay: keep = 3, keep_every = 10, or best { keep = 3 }."), c.At("full_every"), path+".full_every")
	}
}

// differ reports two values that are both given and not the same.
func differ(a, b string) bool { return a != "" && b != "" && a != b }

func anyPhase(t *Train, f func(*Phase) bool) bool {
	for i := range t.Phases {
		if f(&t.Phases[i]) {
			return true
		}
	}
	return false
}

// positive reports a number that is zero, negative or infinite; absence is zero.
func (v *validator) positive(n Node, path, name string, x float64) {
	if (x != 0 || n.Has(name)) && !(x > 0 && x <= math.MaxFloat64) {
		v.outOfRange(n, path, name, "more than 0", x)
	}
}

// pick finds the one of a kind that train means.
func pick[T any](v *validator, t *Train, kind, name string, all []T, nameOf func(*T) string) *T {
	var known []string
	for i := range all {
		if nameOf(&all[i]) == name {
			return &all[i]
		}
		known = append(known, nameOf(&all[i]))
	}
	path := "train." + kind
	switch {
	case len(all) == 0:
		v.fail(diag.Errorf("missing_block", "There is nothing to train: no block %s", kind).
			Hint("Add one. The command `hone new` writes an example."), t.At(kind), path)
	case name == "" && len(all) == 1:
		return &all[0]
	case name == "":
		v.fail(diag.Errorf("missing_argument", "train does not say which %s", kind).
			Hint("There are %s. Write %s = %s.NAME.", listOf(prefixed(kind+".", known)), kind, kind), t.Range, path)
	default:
		v.fail(diag.Errorf("unknown_"+kind, "There is no %s.%s", kind, clip(name)).
			Hint("%s%s.", diag.DidYouMean(name, known), hereIs(prefixed(kind+".", known))), t.At(kind), path)
	}
	return nil
}

func (v *validator) theModel(t *Train) *Model {
	return pick(v, t, "model", t.Model, v.spec.Models, func(m *Model) string { return m.Name })
}

func (v *validator) theData(t *Train) {
	d := pick(v, t, "data", t.Data, v.spec.Data, func(d *Data) string { return d.Name })
	if d == nil || t.ValidationSplit == 0 {
		return
	}
	own := d.Split != nil && (d.Split.Validation > 0 || d.Split.Folds > 0)
	for _, s := range d.Sources {
		own = own || s.Part == "validation"
	}
	if own {
		v.fail(diag.Errorf("said_twice", "validation_split is given, but data.%s has a validation part", d.Name).
			Hint("Remove validation_split, or the validation part of the data."), t.At("validation_split"), "train.validation_split")
	}
}

// TheModel returns the model that Train names, or the only one; nil if that is none.
func (s *Spec) TheModel() *Model {
	if s.Train == nil {
		return nil
	}
	return (&validator{spec: s}).theModel(s.Train)
}

// TheData returns the data that Train names, or the only one; nil if that is none.
func (s *Spec) TheData() *Data {
	if s.Train == nil {
		return nil
	}
	return pick(&validator{spec: s}, s.Train, "data", s.Train.Data, s.Data, func(d *Data) string { return d.Name })
}

func (v *validator) epochs(t *Train) {
	switch {
	case len(t.Phases) == 0 && t.Epochs == 0 && !t.Has("epochs"):
		v.fail(diag.Errorf("missing_argument", "train has no epochs").Hint("Write epochs = N, the number of times to go over the data."), t.Range, "train")
	case len(t.Phases) == 0:
		v.within(t.Node, "train", "epochs", float64(t.Epochs), 1, maxEpochs)
	case t.Epochs != 0 || t.Has("epochs"):
		v.fail(diag.Errorf("said_twice", "train has epochs and phases").
			Hint("Each phase has its own epochs. Remove those of train."), t.At("epochs"), "train.epochs")
	}
}

// compared checks the output that a loss or metric names; several outputs need a name.
func (v *validator) compared(m *Model, n Node, what, output, path string) {
	if m == nil {
		return
	}
	var known []string
	for _, out := range m.Results() {
		if out.Name == output {
			return
		}
		known = append(known, out.Name)
	}
	switch {
	case output == "" && len(known) > 1:
		v.fail(diag.Errorf("missing_argument", "The %s does not say which output it is for", what).
			Hint("model.%s has the outputs %s. Write output = output.NAME.", m.Name, listOf(known)), n.Range, path)
	case output != "":
		v.fail(diag.Errorf("unknown_output", "model.%s has no output %q", m.Name, clip(output)).
			Hint("%sIts outputs are %s.", diag.DidYouMean(output, known), listOf(known)), n.At("output"), path+".output")
	}
}

func (v *validator) losses(t *Train, m *Model) {
	if len(t.Losses) == 0 {
		v.fail(diag.Errorf("missing_argument", "train has no loss").
			Hint("Write loss \"sparse_categorical_crossentropy\" { }, for example."), t.Range, "train")
	}
	seen := newNames("loss")
	for i := range t.Losses {
		l := &t.Losses[i]
		path := "train.loss." + l.Type.String()
		if l.Name != "" {
			path = "train.loss." + l.Name
			v.name(seen, l.Name, l.Range, path)
		} else if len(t.Losses) > 1 {
			v.fail(diag.Errorf("missing_label", "One of several losses has no name").
				Hint("Write loss %q \"NAME\" { }.", l.Type.String()), l.Range, path)
		}
		v.typ(l.Type, "loss", l.Range, path)
		v.args(l.Args, l.Range, path)
		v.compared(m, l.Node, "loss", l.Output, path)
		if l.Weight != nil && !(*l.Weight >= 0 && *l.Weight <= math.MaxFloat64) {
			v.outOfRange(l.Node, path, "weight", "at least 0", *l.Weight)
		}
	}
}

func (v *validator) metrics(t *Train, m *Model) {
	seen := newNames("metric")
	for i := range t.Metrics {
		c := &t.Metrics[i]
		name := c.Name
		if name == "" {
			name = c.Type.Name
		}
		path := "train.metric." + name
		v.typ(c.Type, "metric", c.Range, path)
		if namePattern.MatchString(c.Type.Name) { // else the type was reported
			v.name(seen, name, c.Range, path)
		}
		v.args(c.Args, c.Range, path)
		v.compared(m, c.Node, "metric", c.Output, path)
	}
}

func (v *validator) optimizer(o *Optimizer, path string) {
	v.typ(o.Type, "optimizer", o.Range, path)
	v.args(o.Args, o.Range, path)
	if o.Schedule != nil {
		v.component(o.Schedule, "schedule", o.Range, path+".schedule")
		if a, ok := o.Args.Get("learning_rate"); ok {
			v.fail(diag.Errorf("said_twice", "The learning rate is given twice").Hint("Keep one of learning_rate and schedule."), a.Range, path+".learning_rate")
		}
	}
}

func (v *validator) patterns(n Node, path, name string, patterns []string) {
	for _, p := range patterns {
		if !ValidPattern(p) {
			v.fail(diag.Errorf("wrong_value", "%q is no pattern of parameters", clip(p)).
				Hint("A pattern is a path such as s3[2].conv1.kernel, in which * stands for any characters of a name, ** for any steps, and [*] for any index; s3 alone means everything below it."), n.At(name), path+"."+name)
		}
	}
}

func (v *validator) initFrom(t *Train) {
	f := t.InitFrom
	if f == nil {
		return
	}
	const path = "train.init_from"
	if f.Path.Raw == "" && f.Path.Resolved == "" {
		v.fail(diag.Errorf("missing_argument", "init_from has no path").Hint("Write path = \"FILE.hone\", the checkpoint to take weights from."), f.Range, path)
	}
	v.patterns(f.Node, path, "exclude", f.Exclude)
	seen := newNames("entry for")
	for _, r := range f.Map {
		v.unique(seen, r.From, f.At("map"), path+".map")
		if why := r.wrong(); why != "" {
			v.fail(diag.Errorf("wrong_value", "%s", why).
				Hint("Write map = { \"OLD\" = \"NEW\" }: OLD is a name in the file, where * stands for any characters without a dot and ** for any, and NEW a path such as body.stage3, with $1, $2 for what the stars stood for."), f.At("map"), path+".map")
		}
	}
	seen = newNames("entry for")
	for _, a := range f.Axes {
		v.unique(seen, a.Pattern, f.At("axes"), path+".axes")
		v.patterns(f.Node, path, "axes", []string{a.Pattern})
		order := slices.Sorted(slices.Values(a.Order))
		if len(order) < 2 || !slices.Equal(order, upTo(len(order))) {
			v.fail(diag.Errorf("wrong_value", "%v is no order of axes", a.Order).
				Hint("Name each axis of the file's tensor once, from 0: [1, 0] transposes a matrix."), f.At("axes"), path+".axes")
		}
	}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// placeholder is what a star of Rename.From stood for.
var placeholder = regexp.MustCompile(`\$([1-9][0-9]?)`)

// wrong says what is wrong with a rename, if anything is.
func (r Rename) wrong() string {
	if r.From == "" || len(r.From) > 1024 || strings.ContainsFunc(r.From, unicode.IsControl) {
		return fmt.Sprintf("%q is no name of a tensor", clip(r.From))
	}
	stars := strings.Count(strings.ReplaceAll(r.From, "**", "*"), "*")
	for _, m := range placeholder.FindAllStringSubmatch(r.To, -1) {
		if n, _ := strconv.Atoi(m[1]); n > stars {
			return fmt.Sprintf("%s in %q stands for nothing: %q has %d stars", m[0], clip(r.To), clip(r.From), stars)
		}
	}
	if stars > 0 && !placeholder.MatchString(r.To) {
		return fmt.Sprintf("%q has stars, and %q says nothing of them: all that fit would get one name", clip(r.From), clip(r.To))
	}
	if to := placeholder.ReplaceAllString(r.To, "1"); strings.Contains(to, "*") || !ValidPattern(to) {
		return fmt.Sprintf("%q is no path of a parameter or layer", clip(r.To))
	}
	return ""
}

func (v *validator) phase(p *Phase, path string) {
	if p.Epochs == 0 && !p.Has("epochs") {
		v.fail(diag.Errorf("missing_argument", "The phase %q has no epochs", p.Name).Hint("Write epochs = N."), p.Range, path)
	}
	v.within(p.Node, path, "epochs", float64(p.Epochs), 1, maxEpochs)
	v.within(p.Node, path, "batch_size", float64(p.BatchSize), 1, maxBatchSize)
	v.patterns(p.Node, path, "freeze", p.Freeze)
	v.patterns(p.Node, path, "unfreeze", p.Unfreeze)
	if r := p.LearningRate; r != nil && !(*r >= 0 && *r <= math.MaxFloat64) {
		v.outOfRange(p.Node, path, "learning_rate", "at least 0", *r)
	}
	if p.Schedule != nil {
		v.component(p.Schedule, "schedule", p.Range, path+".schedule")
		if p.LearningRate != nil {
			v.fail(diag.Errorf("said_twice", "The learning rate is given twice").Hint("Keep one of learning_rate and schedule."), p.At("learning_rate"), path)
		}
	}
	if p.Optimizer != nil {
		v.optimizer(p.Optimizer, path+".optimizer")
	}
}
