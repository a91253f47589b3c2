package reference

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

const name = "reference"

// Backend is the reference behind the interfaces of package kernels. The zero
// value is ready for use.
type Backend struct{}

var _ kernels.Backend = Backend{}

// New returns the backend.
func New() Backend { return Backend{} }

// Name returns reference.
func (Backend) Name() string { return name }

// Variant returns "": there is one.
func (Backend) Variant() string { return "" }

// Devices returns the one processor.
func (Backend) Devices() []kernels.Device {
	return []kernels.Device{{Name: "cpu", Description: "plain Go, one goroutine a session", Threads: 1}}
}

// Support runs every op; composites run as their bodies.
func (Backend) Support(op graph.Op, composite string) kernels.Support {
	if composite != "" {
		return kernels.Inlined
	}
	if table[op] != nil || structural(op) != nil {
		return kernels.Native
	}
	return kernels.Refused
}

// NewPool opens the device cpu.
func (Backend) NewPool(device string) (kernels.Pool, error) {
	if device != "" && device != "cpu" {
		return nil, fmt.Errorf("the backend %q has no device %q; it has cpu", name, device)
	}
	return newPool(), nil
}

// Compile checks the function at its sizes and plans which values live when.
func (Backend) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	if len(o.Selection) > 0 {
		return nil, fmt.Errorf("the backend %q has one kernel an op; the selection given is another backend's", name)
	}
	p, err := compile(ctx, m, entry, o, 1)
	if err != nil {
		return nil, err
	}
	donate, err := donations(p, o.Donate)
	if err != nil {
		return nil, err
	}
	plan := planOf(p)
	// Nothing is held that is not read again, and nothing computed twice.
	if need := plan.ParamBytes + plan.ArenaBytes; o.Memory > 0 && need > o.Memory {
		return nil, &kernels.LimitError{What: "bytes of memory", Got: need, Limit: o.Memory}
	}
	return &executable{program: p, options: o, donate: donate, plan: plan}, nil
}

// donations completes and checks the list of parameters that results replace.
func donations(p *program, given []int) ([]int, error) {
	if len(given) > len(p.Results) {
		return nil, fmt.Errorf("%d results donated to, %q has %d", len(given), p.Name, len(p.Results))
	}
	donate := make([]int, len(p.Results))
	for i, r := range p.Results {
		donate[i] = -1
		if i >= len(given) || given[i] == -1 {
			continue
		}
		k := given[i]
		if k < 0 || k >= len(p.Params) {
			return nil, fmt.Errorf("%v %q replaces parameter %d, %q has %d", r.Role, r.Name, k, p.Name, len(p.Params))
		}
		if slices.Contains(donate[:i], k) {
			return nil, fmt.Errorf("%v %q is replaced by two results", p.Params[k].Role, p.Params[k].Name)
		}
		if t := p.Types[r.Value]; !t.Equal(p.Params[k].Type) {
			return nil, fmt.Errorf("%v %q is %v and cannot replace %v %q, which is %v", r.Role, r.Name, t, p.Params[k].Role, p.Params[k].Name, p.Params[k].Type)
		}
		donate[i] = k
	}
	return donate, nil
}

type executable struct {
	program *program
	options kernels.Options
	donate  []int
	plan    kernels.Plan
}

func (e *executable) Params() []kernels.View {
	out := make([]kernels.View, len(e.program.Params))
	for i, p := range e.program.Params {
		shape, _ := p.Type.Shape.Const()
		out[i] = kernels.View{DType: p.Type.DType, Shape: shape}
	}
	return out
}

func (e *executable) Results() []kernels.View {
	out := make([]kernels.View, len(e.program.Results))
	for i, r := range e.program.Results {
		t := e.program.Types[r.Value]
		shape, _ := t.Shape.Const()
		out[i] = kernels.View{DType: t.DType, Shape: shape}
	}
	return out
}

func (e *executable) Plan() kernels.Plan {
	p := e.plan
	p.Ops = slices.Clone(p.Ops)
	return p
}

func (e *executable) Selection() map[string]string { return map[string]string{} }

// planOf describes a program; its digest covers ops, attributes, operands and
// types.
func planOf(p *program) kernels.Plan {
	plan := kernels.Plan{ArenaBytes: p.peak}
	for _, q := range p.Params {
		bytes, _ := q.Type.Bytes(nil)
		plan.ParamBytes += bytes
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		op := kernels.PlanOp{Name: n.Op.String(), Scope: p.Scopes[i], Native: true}
		for _, a := range n.Args {
			op.Types = append(op.Types, p.Types[a].String())
		}
		op.Types = append(op.Types, "->")
		for j := range n.NumOut {
			op.Types = append(op.Types, p.Types[n.Out+graph.ValueID(j)].String())
		}
		op.FLOPs, op.Bytes = p.Cost(i)
		plan.FLOPs += op.FLOPs
		plan.Ops = append(plan.Ops, op)
	}
	digest := digestOf(p, map[*program][32]byte{})
	plan.Digest = hex.EncodeToString(digest[:])
	return plan
}

func digestOf(p *program, seen map[*program][32]byte) [32]byte {
	if d, ok := seen[p]; ok {
		return d
	}
	w := sha256.New()
	for _, q := range p.Params {
		fmt.Fprintf(w, "param %v\n", q.Type)
	}
	for i, n := range p.Nodes {
		fmt.Fprintf(w, "%v@%d %v %v", n.Op, n.Op.Def().Version, n.Args, p.Types[n.Out:int(n.Out)+int(n.NumOut)])
		switch a := n.Attrs.(type) {
		case nil:
		case *graph.ConstantAttrs:
			t := a.Value
			if a.Ref != "" {
				t = p.consts[a.Ref]
			}
			fmt.Fprintf(w, " %x", sha256.Sum256(t.Data))
		case *graph.CallAttrs:
		case *graph.ScanAttrs:
			b := *a
			b.Callee = ""
			fmt.Fprintf(w, " %+v", b)
		default:
			fmt.Fprintf(w, " %+v", reflect.ValueOf(a).Elem().Interface())
		}
		if b := p.bodies[i]; b != nil {
			fmt.Fprintf(w, " %x", digestOf(b, seen))
		}
		fmt.Fprintln(w)
	}
	for _, r := range p.Results {
		fmt.Fprintf(w, "result %d\n", r.Value)
	}
	seen[p] = [32]byte(w.Sum(nil))
	return seen[p]
}
