package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

// Pair is a source tensor and what it becomes.
type Pair struct {
	From string              `json:"from"`
	To   modelfmt.TensorInfo `json:"to"`
	// Permute is as in [Rule].
	Permute []int `json:"permute,omitempty"`
}

// Mismatch is a pair of names that agree while the tensors do not.
type Mismatch struct {
	From   string              `json:"from"`
	Source modelfmt.TensorInfo `json:"source"`
	Target modelfmt.TensorInfo `json:"target"`
	// What differs: "shape" or "type".
	What string `json:"what"`
}

// Report says what did and did not go over.
type Report struct {
	Mapped []Pair `json:"mapped"`
	// Dropped source tensors were left out by a rule.
	Dropped []string `json:"dropped,omitempty"`
	// Unused source tensors have no place in the target.
	Unused []string `json:"unused,omitempty"`
	// Missing target tensors got nothing.
	Missing    []string   `json:"missing,omitempty"`
	Mismatched []Mismatch `json:"mismatched,omitempty"`
	// IdleRules matched no name.
	IdleRules []string `json:"idle_rules,omitempty"`
	// Lost names what the target format cannot hold, such as blobs.
	Lost []string `json:"lost,omitempty"`
}

// Strictness says what a match lets pass. The zero value lets nothing pass.
type Strictness struct {
	// AllowUnused, AllowMissing and AllowMismatch let the lists of the report
	// of these names be non-empty.
	AllowUnused, AllowMissing, AllowMismatch bool
	// AllowIdle lets rules match nothing.
	AllowIdle bool
}

// Match pairs the tensors of a source, renamed by m, with those that a target
// wants. The report is complete even when there is an error. That nothing at all
// is mapped is always an error. castFloats accepts other float types than the
// target's; the caller then converts them.
func Match(source, target []modelfmt.TensorInfo, m *NameMap, strict Strictness, castFloats bool) (Report, error) {
	wanted := map[string]modelfmt.TensorInfo{}
	for _, t := range target {
		wanted[t.Name] = t
	}
	pairs, r, err := rename(source, m)
	if err != nil {
		return r, err
	}
	got := map[string]bool{}
	for _, p := range pairs {
		t, ok := wanted[p.To.Name]
		if !ok {
			r.Unused = append(r.Unused, p.From)
			continue
		}
		got[t.Name] = true
		bad := Mismatch{From: p.From, Source: p.To, Target: t}
		switch {
		case !slices.Equal(p.To.Shape, t.Shape):
			bad.What = "shape"
		case p.To.DType != t.DType && !(castFloats && isFloat(p.To.DType) && isFloat(t.DType)):
			bad.What = "type"
		default:
			r.Mapped = append(r.Mapped, p)
			continue
		}
		r.Mismatched = append(r.Mismatched, bad)
	}
	for _, t := range target {
		if !got[t.Name] {
			r.Missing = append(r.Missing, t.Name)
		}
	}
	return r, r.check(strict, len(target))
}

func isFloat(d modelfmt.DType) bool {
	return d == modelfmt.F64 || d == modelfmt.F32 || d == modelfmt.BF16 || d == modelfmt.F16
}

// rename applies the map to every tensor.
func rename(source []modelfmt.TensorInfo, m *NameMap) ([]Pair, Report, error) {
	r := Report{Mapped: []Pair{}}
	var pairs []Pair
	from := map[string]string{}
	for _, s := range source {
		to, permute, drop, err := m.apply(s)
		if err != nil {
			return nil, r, err
		}
		if drop {
			r.Dropped = append(r.Dropped, s.Name)
			continue
		}
		if other, twice := from[to.Name]; twice {
			return nil, r, &modelfmt.InputError{What: "name map", Detail: fmt.Sprintf("%q and %q would both become %q; make the rules tell them apart", other, s.Name, to.Name)}
		}
		from[to.Name] = s.Name
		pairs = append(pairs, Pair{From: s.Name, To: to, Permute: permute})
	}
	r.IdleRules = m.idle()
	return pairs, r, nil
}

// check turns what the report found into an error.
func (r Report) check(strict Strictness, targets int) error {
	var problems []string
	if len(r.Mapped) == 0 && targets > 0 {
		problems = append(problems, "no tensor of the file has a place in the model")
	}
	if n := len(r.Missing); n > 0 && !strict.AllowMissing {
		problems = append(problems, fmt.Sprintf("the file has nothing for %d of the model's tensors: %s", n, some(r.Missing)))
	}
	if n := len(r.Unused); n > 0 && !strict.AllowUnused {
		problems = append(problems, fmt.Sprintf("the model has no place for %d of the file's tensors: %s", n, some(r.Unused)))
	}
	if len(r.Mismatched) > 0 && !strict.AllowMismatch {
		var list []string
		for _, m := range r.Mismatched {
			list = append(list, fmt.Sprintf("%s is %s %v where the model has %s %v", m.From, m.Source.DType, m.Source.Shape, m.Target.DType, m.Target.Shape))
		}
		problems = append(problems, "tensors differ in type or shape: "+some(list))
	}
	if len(r.IdleRules) > 0 && !strict.AllowIdle {
		problems = append(problems, "name rules match nothing: "+some(r.IdleRules))
	}
	if problems == nil {
		return nil
	}
	return errors.New(strings.Join(problems, "; ") + ". Name the tensors with rules, or allow it where it is meant")
}

// some lists the first few.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
