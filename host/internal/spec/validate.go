package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Validate checks what can be known from the words alone: names and their repetition, references,
// circles, and ranges of numbers. Load and Parse have done it; a Spec built in Go needs it.
func (s *Spec) Validate() diag.Diagnostics {
	v := &validator{spec: s}
	v.hone()
	v.data()
	names := newNames("model")
	for i := range s.Models {
		m := &s.Models[i]
		path := "model." + m.Name
		v.name(names, m.Name, m.Range, path)
		v.model(m, path)
	}
	if s.Train != nil {
		v.train(s.Train)
	}
	return v.diags
}

type validator struct {
	spec    *Spec
	diags   diag.Diagnostics
	nesting int // of the group being looked at
	layers  int // seen so far
}

// fail reports d at a place, which a Spec built in Go does not have, and a path.
func (v *validator) fail(d diag.Diagnostic, at diag.Range, path string) {
	if at.File != "" {
		d = d.At(at)
	}
	v.diags.Append(d.In(path))
}

// names are those of one kind in one place, to find repetitions.
type names struct {
	kind  string
	first map[string]diag.Range
}

func newNames(kind string) names { return names{kind, map[string]diag.Range{}} }

func (n names) list() []string {
	var out []string
	for name := range n.first {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// name checks the form of a name and that it is the first of its kind.
func (v *validator) name(n names, name string, at diag.Range, path string) {
	if why := badName(n.kind, name); why != "" {
		v.fail(invalidName(n.kind, name, why), at, path)
		return
	}
	v.unique(n, name, at, path)
}

func (v *validator) unique(n names, name string, at diag.Range, path string) {
	first, again := n.first[name]
	if !again {
		n.first[name] = at
		return
	}
	d := diag.Errorf("said_twice", "A second %s %q", n.kind, clip(name)).Hint("Give one of them another name.")
	if first.File != "" {
		d = d.Hint("The first is at %s. Give one of them another name.", first)
	}
	v.fail(d, at, path)
}

// within reports a number outside of [low, high]. The zero value of an argument that was not written is never wrong.
func (v *validator) within(n Node, path, name string, x, low, high float64) {
	if x == 0 && !n.Has(name) || x >= low && x <= high {
		return
	}
	want := fmt.Sprintf("from %s to %s", plain(low), plain(high))
	if math.IsInf(high, 1) {
		want = "at least " + plain(low)
	}
	v.outOfRange(n, path, name, want, x)
}

func (v *validator) outOfRange(n Node, path, name, want string, x float64) {
	v.fail(diag.Errorf("out_of_range", "%s must be %s, but is %s", name, want, plain(x)), n.At(name), path+"."+name)
}

// plain writes a number without an exponent, where it is of a size that people write
// so: 1000000, not 1e+06.
func plain(x float64) string {
	if a := math.Abs(x); a >= 1e-4 && a < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(x)
}

// fraction reports a number outside of [0, 1).
func (v *validator) fraction(n Node, path, name string, x float64) {
	if !(x >= 0 && x < 1) {
		v.outOfRange(n, path, name, "at least 0 and less than 1", x)
	}
}

func (v *validator) word(n Node, path, name, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		v.fail(diag.Errorf("wrong_value", "%s cannot be %q", name, clip(value)).
			Hint("%sIt can be %s.", diag.DidYouMean(value, allowed), oneOf(allowed)), n.At(name), path+"."+name)
	}
}

func (v *validator) hone() {
	h := &v.spec.Hone
	v.constraint(h.Node, "hone", "required_version", h.RequiredVersion)
	seen := newNames("plugin")
	for _, p := range h.Plugins {
		path := "hone.required_plugins." + p.Name
		v.name(seen, p.Name, p.Range, path)
		if p.Name == blockLocal {
			v.fail(diag.Errorf("invalid_name", "A plugin cannot be called %q here", p.Name).
				Hint("A layer \"block.NAME\" is an instance of a block. Choose another local name."), p.Range, path)
		}
		if p.Source == "" {
			v.fail(diag.Errorf("missing_argument", "The plugin %q has no source", p.Name).
				Hint("Write %s = { source = \"github.com/OWNER/REPOSITORY\", version = \"~> 1.0\" }.", p.Name), p.Range, path)
		}
		v.constraint(p.Node, path, "version", p.Version)
	}
}

func (v *validator) constraint(n Node, path, name, text string) {
	if text == "" {
		return
	}
	if _, err := ParseConstraint(text); err != nil {
		v.fail(diag.Errorf("wrong_value", "%s: %w", name, err), n.At(name), path+"."+name)
	}
}

// typ checks that a component's type has the form of one and that its plugin is declared.
func (v *validator) typ(t TypeRef, kind string, at diag.Range, path string) {
	switch {
	case t.Name == "" || !namePattern.MatchString(t.Name):
		v.fail(diag.Errorf("invalid_type", "%q is no type of %s", clip(t.String()), article(kind)).
			Hint("A type is a name in lower case such as \"dense\", or for a plugin's component \"PLUGIN.NAME\"."), at, path)
	case t.Local == blockLocal && kind == "layer":
	case t.Local != "":
		var known []string
		for _, p := range v.spec.Hone.Plugins {
			known = append(known, p.Name)
		}
		if !slices.Contains(known, t.Local) {
			v.fail(diag.Errorf("unknown_plugin", "There is no plugin %q", clip(t.Local)).
				Hint("%sThe block hone { required_plugins { } } names each plugin and its source; built-in types are written without a dot.", diag.DidYouMean(t.Local, known)), at, path)
		}
	}
}

// args checks what a component's arguments have in common whatever their schema.
func (v *validator) args(args Args, at diag.Range, path string) {
	seen := newNames("argument")
	for _, a := range args {
		where := a.Range
		if where.File == "" {
			where = at
		}
		p := path + "." + a.Name
		v.unique(seen, a.Name, where, p)
		switch {
		case a.problem != nil:
			v.fail(diag.Errorf("wrong_value", "%s: %w", a.Name, a.problem).Hint("Give a number, bool, string, a slice or map of them, or a Component."), where, p)
		case a.Value == cty.NilVal && len(a.Components) == 0:
			v.fail(diag.Errorf("missing_value", "The argument %s has no value", a.Name).Hint("Make it with Arg, or leave it out."), where, p)
		case a.Value != cty.NilVal && len(a.Components) > 0:
			v.fail(diag.Errorf("said_twice", "The argument %s has a value and a component", a.Name).Hint("Keep one of them."), where, p)
		}
		for _, c := range a.Components {
			v.component(&c, a.Name, where, p)
		}
	}
}

func (v *validator) component(c *Component, kind string, at diag.Range, path string) {
	if c.Range.File != "" {
		at = c.Range
	}
	v.typ(c.Type, strings.ReplaceAll(kind, "_", " "), at, path)
	v.args(c.Args, at, path)
}

func (v *validator) data() {
	blocks := newNames("data")
	for i := range v.spec.Data {
		d := &v.spec.Data[i]
		path := "data." + d.Name
		v.name(blocks, d.Name, d.Range, path)
		v.typ(d.Type, "data", d.Range, path)
		v.args(d.Args, d.Range, path)
		parts := newNames("source")
		for _, s := range d.Sources {
			p := path + ".source." + s.Part
			v.word(s.Node, path, "source", s.Part, "train", "validation", "test")
			v.unique(parts, s.Part, s.Range, p)
			v.args(s.Args, s.Range, p)
		}
		columns := newNames("column")
		for _, c := range d.Columns {
			v.unique(columns, c.Name, c.Range, path+".column."+c.Name)
			v.args(c.Args, c.Range, path+".column."+c.Name)
		}
		targets := newNames("target")
		for _, t := range d.Targets {
			v.unique(targets, t, d.At("target"), path+".target")
		}
		transforms := newNames("transform")
		for _, t := range d.Transforms {
			p := path + ".transform." + t.Name
			v.name(transforms, t.Name, t.Range, p)
			v.typ(t.Type, "transform", t.Range, p)
			v.args(t.Args, t.Range, p)
		}
		if d.Split != nil {
			v.split(d.Split, path+".split")
		}
	}
}

func (v *validator) split(s *Split, path string) {
	v.fraction(s.Node, path, "validation", s.Validation)
	v.fraction(s.Node, path, "test", s.Test)
	if s.Validation+s.Test >= 1 {
		v.fail(diag.Errorf("out_of_range", "Validation and test take all examples").
			Hint("Their fractions add up to %v. Leave some for training.", s.Validation+s.Test), s.Range, path)
	}
	v.within(s.Node, path, "folds", float64(s.Folds), 2, 1000)
	switch {
	case s.Folds > 1 && (s.Fold < 0 || s.Fold >= s.Folds):
		v.outOfRange(s.Node, path, "fold", fmt.Sprintf("from 0 to %d", s.Folds-1), float64(s.Fold))
	case s.Folds == 0 && s.Fold != 0:
		v.fail(diag.Errorf("missing_argument", "fold needs folds").Hint("Write folds = K, the number of folds."), s.At("fold"), path)
	}
	if s.Folds > 0 && s.Validation > 0 {
		v.fail(diag.Errorf("said_twice", "Both folds and validation choose the validation part").Hint("Keep one of them."), s.At("validation"), path)
	}
	if s.Stratify != "" && s.Group != "" && s.Stratify == s.Group {
		v.fail(diag.Errorf("wrong_value", "stratify and group name the same column").
			Hint("A group stays in one part whole, so that its values cannot be in the same proportions in all. Keep one of them."), s.At("group"), path)
	}
}
