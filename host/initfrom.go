package host

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/convert"
	"github.com/hone-ml/hone/sdk/graph"
)

// initFrom takes first values from a checkpoint, a safetensors file or a NumPy
// archive, by name.
func (r *run) initFrom(ctx context.Context, f *spec.InitFrom) error {
	fail := func(err error) error {
		d := diag.Errorf("init_from", "%s: %v", f.Path.Raw, err)
		d.Cause = err
		if f.Range.File != "" {
			d = d.At(f.Range)
		}
		return d.Hint("hone checkpoint show %s lists its tensors; map renames them, exclude leaves parameters out, strict = false lets some be missing.", f.Path.Raw)
	}
	src, _, err := convert.Open(f.Path.Resolved, modelfmt.ReaderOptions{Base: modelfmt.BaseFolder(filepath.Dir(f.Path.Resolved))})
	if err != nil {
		return fail(err)
	}
	defer src.Close()
	// A name stands for the tensor of that name, and for all below it.
	var rules []convert.Rule
	below := func(name string) string { return name + ".**" }
	for _, m := range f.Map {
		rules = append(rules, convert.Rule{From: m.From, To: m.To})
		if !strings.ContainsAny(m.From, "*") {
			rules = append(rules, convert.Rule{From: below(m.From), To: m.To + ".$1"})
		}
	}
	names, err := convert.NewNameMap(rules)
	if err != nil {
		return fail(err)
	}
	ordered := map[string]bool{}
	names.Axes(func(name string) []int {
		for _, a := range f.Axes {
			if spec.MatchPath(a.Pattern, name) {
				ordered[a.Pattern] = true
				return a.Order
			}
		}
		return nil
	})
	cut := cutLayers(r.p.spec.TheModel(), f.Cut)
	var want []modelfmt.TensorInfo
	roles := map[string]graph.Param{}
	for _, q := range r.content.program.Params() {
		if q.Decl != nil && q.Decl.Alias != "" || excluded(q.Name, f.Exclude, cut) {
			continue
		}
		d, err := modelfmt.ParseDType(q.Type.DType.String())
		if err != nil {
			return fail(err)
		}
		info := modelfmt.TensorInfo{Name: q.Name, DType: d, Shape: []int{}}
		for _, e := range q.Type.Shape {
			k, _ := e.Const()
			info.Shape = append(info.Shape, int(k))
		}
		want = append(want, info)
		roles[q.Name] = q
	}
	lax := f.Strict != nil && !*f.Strict
	// What the file holds beyond the model (slots, another head) is no mistake;
	// what the model wants and the file lacks is one.
	rep, err := convert.Match(src.Tensors(), want, names, convert.Strictness{AllowUnused: true, AllowMissing: lax, AllowMismatch: lax, AllowIdle: true}, true)
	if err != nil {
		return fail(err)
	}
	for _, m := range f.Map {
		if !lax && slices.Contains(rep.IdleRules, m.From) && (strings.ContainsAny(m.From, "*") || slices.Contains(rep.IdleRules, below(m.From))) {
			return fail(fmt.Errorf("the file has no tensor %q, nor any below it, which map renames to %q", m.From, m.To))
		}
	}
	for _, a := range f.Axes {
		if !lax && !ordered[a.Pattern] {
			return fail(fmt.Errorf("the file has no tensor that becomes %q, of which axes says the order", a.Pattern))
		}
	}
	var vals []train.Value
	converted := 0
	for _, p := range rep.Mapped {
		q := roles[p.To.Name]
		d, err := modelfmt.ParseDType(q.Type.DType.String())
		if err != nil {
			return fail(err)
		}
		b, err := p.ReadAs(src, d)
		if err != nil {
			return fail(err)
		}
		if p.To.DType != d {
			converted++
		}
		shape, _ := q.Type.Shape.Const()
		vals = append(vals, train.Value{Role: q.Role, Name: q.Name, Tensor: &graph.Tensor{DType: q.Type.DType, Shape: shape, Data: b}})
	}
	if err := r.trainer.StartFrom(ctx, vals); err != nil {
		return fail(err)
	}
	// A pruned parameter stays pruned.
	for _, p := range rep.Mapped {
		if m, err := maskOf(src, p); err != nil {
			return fail(err)
		} else if m != nil {
			if err := r.trainer.SetMask(p.To.Name, m); err != nil {
				return fail(err)
			}
		}
	}
	if n := len(rep.Missing) + len(rep.Mismatched); n > 0 {
		var first []string
		first = append(first, rep.Missing...)
		for _, m := range rep.Mismatched {
			first = append(first, fmt.Sprintf("%s (%s differs)", m.Target.Name, m.What))
		}
		r.emit(WarningEvent{Diagnostics{diag.Warnf("init_from", "%d of %d parameters start anew: %s has no fitting tensor for them", n, len(want), f.Path.Raw).
			Hint("They are %s.", strings.Join(first[:min(len(first), 12)], ", "))}})
	}
	r.emit(InitEvent{Path: f.Path.Raw, Taken: len(rep.Mapped), Missing: len(rep.Missing), Mismatched: len(rep.Mismatched), Unused: len(rep.Unused), Converted: converted})
	return nil
}

// InitEvent says how many tensors init_from took.
type InitEvent struct {
	Path       string `json:"path"`
	Taken      int    `json:"taken"`
	Missing    int    `json:"missing"`
	Mismatched int    `json:"mismatched"`
	Unused     int    `json:"unused"`    // tensors of the file that the model has no place for
	Converted  int    `json:"converted"` // of those taken, floats of another type
}

// EventName returns init.
func (InitEvent) EventName() string { return "init" }

// cutLayers returns the layer of that name and all behind it.
func cutLayers(m *spec.Model, name string) []string {
	if name == "" || m == nil {
		return nil
	}
	var out []string
	on := false
	for _, i := range m.Order() {
		on = on || m.Layers[i].Name == name
		if on {
			out = append(out, m.Layers[i].Name)
		}
	}
	return out
}

func excluded(path string, patterns, scopes []string) bool {
	for _, p := range patterns {
		if spec.MatchPath(p, path) {
			return true
		}
	}
	for _, s := range scopes {
		if train.Under(path, s) {
			return true
		}
	}
	return false
}
