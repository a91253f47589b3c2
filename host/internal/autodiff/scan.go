package autodiff

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// A scan is differentiated by a scan in the other direction. The forward scan
// is replayed with a body that also gives out the carries each step began
// with; the backward one runs the gradient of the body on them, carrying the
// gradients of the carries and adding up those of the constants.

// scanSplit lists the operands of a scan by what they are.
type scanSplit struct {
	carries, consts, xs []graph.Value
}

func splitScan(a *graph.ScanAttrs, x []graph.Value) scanSplit {
	k := a.Carries + a.Consts
	return scanSplit{x[:a.Carries], x[a.Carries:k], x[k:]}
}

// scan replays an active scan and records how to differentiate it.
func (t *tape) scan(mode graph.Mode, n *graph.Node, x []graph.Value) ([]graph.Value, error) {
	a := *n.Attrs.(*graph.ScanAttrs)
	body := t.m.Resolve(a.Callee, mode)
	if body == nil {
		return nil, fmt.Errorf("scans %q, which the module lacks for mode %v", a.Callee, mode)
	}
	saving, err := t.savingBody(body, int(a.Carries))
	if err != nil {
		return nil, err
	}
	a.Callee = saving.Name
	y := t.b.Apply(graph.OpScan, &a, x...)
	if err := t.b.Err(); err != nil {
		return nil, err
	}
	own, saved := y[:len(body.Results)], y[len(body.Results):]
	t.record(entry{op: n.Op, attrs: n.Attrs, x: x, y: own, gradient: func(s *step) error {
		return t.scanGradient(s, body, saved)
	}})
	return own, nil
}

// savingBody returns body with its carries as further results.
func (t *tape) savingBody(body *graph.Func, carries int) (*graph.Func, error) {
	if f, ok := t.saving[body]; ok {
		return f, nil
	}
	f := body.Clone()
	f.Name = freeName(t.m, body.Name+".saving")
	f.Composite = nil
	for i := range carries {
		f.Results = append(f.Results, graph.Result{Name: fmt.Sprintf("saved:%d", len(f.Results)), Role: graph.Output, Value: graph.ValueID(i)})
	}
	if err := t.m.Add(f); err != nil {
		return nil, err
	}
	t.saving[body] = f
	return f, nil
}

// scanGradient writes the backward scan. Its body takes, as carries, the
// gradients of the differentiable carries and the sums for the differentiable
// constants; as constants, those of the body; as sequences, the saved carries,
// the body's sequences and the gradients of its outputs.
func (t *tape) scanGradient(s *step, body *graph.Func, saved []graph.Value) error {
	a := s.attrs.(*graph.ScanAttrs)
	in := splitScan(a, s.x)
	g := scanBody{
		body: body, carries: int(a.Carries), consts: int(a.Consts),
		wantConst: make([]bool, a.Consts), wantSeq: make([]bool, len(in.xs)), hasOut: make([]bool, len(s.y)-int(a.Carries)),
	}
	var first, seqs []graph.Value
	for i, c := range in.carries {
		if !c.DType().IsFloat() {
			continue
		}
		if d := s.dy[i]; d.Valid() {
			first = append(first, d)
		} else {
			first = append(first, zerosLike(c))
		}
	}
	for i, k := range in.consts {
		if g.wantConst[i] = s.want[g.carries+i]; g.wantConst[i] {
			first = append(first, zerosLike(k))
		}
	}
	for i := range in.xs {
		g.wantSeq[i] = s.want[g.carries+g.consts+i]
	}
	seqs = append(append(seqs, saved...), in.xs...)
	for i := range g.hasOut {
		if d := s.dy[g.carries+i]; d.Valid() {
			g.hasOut[i] = true
			seqs = append(seqs, d)
		}
	}
	f, err := g.build(t.m)
	if err != nil {
		return err
	}
	out := s.b.Scan(f.Name, !a.Reverse, a.Length, first, in.consts, seqs)
	if s.b.Err() != nil {
		return s.b.Err()
	}
	next := func() graph.Value {
		v := out[0]
		out = out[1:]
		return v
	}
	for i, c := range in.carries {
		if c.DType().IsFloat() {
			s.dx[i] = next()
		}
	}
	for i, want := range g.wantConst {
		if want {
			s.dx[g.carries+i] = next()
		}
	}
	for i, want := range g.wantSeq {
		if want {
			s.dx[g.carries+g.consts+i] = next()
		}
	}
	return nil
}

// scanBody describes the body of a backward scan.
type scanBody struct {
	body               *graph.Func
	carries, consts    int
	wantConst, wantSeq []bool
	hasOut             []bool // outputs that have a gradient
}

func (g *scanBody) build(m *graph.Module) (*graph.Func, error) {
	b := graph.NewBuilder(m, freeName(m, g.body.Name+".gradient"), g.body.Mode)
	input := func(kind string, i int, t graph.Type) graph.Value {
		return b.Input(fmt.Sprintf("%s:%d", kind, i), t)
	}
	params := g.body.Params
	args := make([]graph.Value, len(params))
	var dcarry, sums, douts []graph.Value
	for i, p := range params[:g.carries] {
		if p.Type.DType.IsFloat() {
			dcarry = append(dcarry, input("carry_grad", i, p.Type))
		}
	}
	for i, want := range g.wantConst {
		if want {
			sums = append(sums, input("const_grad", i, params[g.carries+i].Type))
		}
	}
	for i := range g.consts {
		args[g.carries+i] = input("const", i, params[g.carries+i].Type)
	}
	for i := range g.carries {
		args[i] = input("carry", i, params[i].Type)
	}
	for i := g.carries + g.consts; i < len(params); i++ {
		args[i] = input("slice", i, params[i].Type)
	}
	for i, has := range g.hasOut {
		if has {
			douts = append(douts, input("out_grad", i, g.body.Types[g.body.Results[g.carries+i].Value]))
		}
	}

	t := newTape(m, b)
	for i, p := range params {
		switch {
		case i < g.carries:
			t.active[args[i]] = p.Type.DType.IsFloat()
		case i < g.carries+g.consts:
			t.active[args[i]] = g.wantConst[i-g.carries]
		default:
			t.active[args[i]] = g.wantSeq[i-g.carries-g.consts]
		}
	}
	outs, err := t.run(g.body, args)
	if err != nil {
		return nil, err
	}
	k := 0
	for i, p := range params[:g.carries] {
		if p.Type.DType.IsFloat() {
			t.add(outs[i], dcarry[k])
			k++
		}
	}
	k = 0
	for i, has := range g.hasOut {
		if has {
			t.add(outs[g.carries+i], douts[k])
			k++
		}
	}
	if err := t.backward(); err != nil {
		return nil, err
	}
	for i, p := range params[:g.carries] {
		if p.Type.DType.IsFloat() {
			b.Output(fmt.Sprintf("carry_grad:%d", i), t.gradient(args[i]))
		}
	}
	k = 0
	for i, want := range g.wantConst {
		if want {
			b.Output(fmt.Sprintf("const_grad:%d", i), sums[k].Add(t.gradient(args[g.carries+i])))
			k++
		}
	}
	for i, want := range g.wantSeq {
		if want {
			b.Output(fmt.Sprintf("slice_grad:%d", i), t.gradient(args[g.carries+g.consts+i]))
		}
	}
	return b.Finish()
}
