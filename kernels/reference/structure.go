package reference

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// program is a flat function made ready to run.
type program struct {
	*inline.Flat
	consts map[string]*graph.Tensor
	// drop lists, for every node, the values that nothing reads after it.
	drop   [][]graph.ValueID
	bodies map[int]*program
	// peak is the greatest number of bytes that values of the function, but for
	// its parameters, take at one time.
	peak int64
}

// limitBytes bounds one value, whatever the options allow: beyond it the Go
// allocator would not fail but end the process.
const limitBytes = 1 << 40

func prepare(f *inline.Flat, m *graph.Module, seen map[*inline.Flat]*program) (*program, error) {
	if p, ok := seen[f]; ok {
		return p, nil
	}
	p := &program{Flat: f, consts: m.Consts, drop: make([][]graph.ValueID, len(f.Nodes)), bodies: map[int]*program{}}
	seen[f] = p
	last := make([]int, len(f.Types))
	for i := range last {
		last[i] = -1
	}
	for i, n := range f.Nodes {
		for j := range n.NumOut {
			last[n.Out+graph.ValueID(j)] = i
		}
		for _, a := range n.Args {
			last[a] = i
		}
	}
	for _, r := range f.Results {
		last[r.Value] = len(f.Nodes)
	}
	for v, i := range last {
		if v >= len(f.Params) && i >= 0 && i < len(f.Nodes) {
			p.drop[i] = append(p.drop[i], graph.ValueID(v))
		}
	}
	live := int64(0)
	for i, n := range f.Nodes {
		if a, ok := n.Attrs.(*graph.ConstantAttrs); ok && a.Ref != "" && m.Consts[a.Ref] == nil {
			return nil, fmt.Errorf("the module has no constant %q", a.Ref)
		}
		inner := int64(0)
		if b := f.Bodies[i]; b != nil {
			body, err := prepare(b, m, seen)
			if err != nil {
				return nil, err
			}
			p.bodies[i], inner = body, body.peak
		}
		for j := range n.NumOut {
			t := f.Types[n.Out+graph.ValueID(j)]
			bytes, err := t.Bytes(nil)
			if err != nil {
				return nil, err
			}
			if bytes > limitBytes {
				return nil, &kernels.LimitError{What: "bytes for one value, the result of " + n.Op.String(), Got: bytes, Limit: limitBytes}
			}
			live += bytes
		}
		p.peak = max(p.peak, live+inner)
		for _, v := range p.drop[i] {
			bytes, _ := f.Types[v].Bytes(nil)
			live -= bytes
		}
	}
	return p, nil
}

// machine runs programs on one or more replicas in lockstep: each node runs for
// every replica before the next node runs for any.
type machine struct {
	ctx    context.Context
	opaque kernels.OpaqueCaller
	// around, where set, is called for every node of the outermost program
	// with the function that runs it.
	around func(node int, run func() error) error
}

// run applies p to the arguments of every replica. Arguments are not changed.
func (m *machine) run(p *program, args [][]*graph.Tensor) ([][]*graph.Tensor, error) {
	values := make([][]*graph.Tensor, len(args))
	for r := range values {
		values[r] = make([]*graph.Tensor, len(p.Types))
		copy(values[r], args[r])
	}
	for i := range p.Nodes {
		if err := m.ctx.Err(); err != nil {
			return nil, err
		}
		run := func() error { return m.node(p, i, values) }
		var err error
		if m.around != nil {
			err = m.around(i, run)
		} else {
			err = run()
		}
		if err != nil {
			if m.ctx.Err() != nil {
				return nil, m.ctx.Err()
			}
			return nil, fmt.Errorf("%v in %q, node %d: %w", p.Nodes[i].Op, p.Name, i, err)
		}
		for _, v := range p.drop[i] {
			for r := range values {
				values[r][v] = nil
			}
		}
	}
	results := make([][]*graph.Tensor, len(args))
	for r := range results {
		for _, x := range p.Results {
			results[r] = append(results[r], values[r][x.Value])
		}
	}
	return results, nil
}

// structural returns the code of an op that runs functions or meets other
// replicas, nil for other ops: in and the results are by replica.
func structural(op graph.Op) func(m *machine, p *program, node int, in [][]*graph.Tensor) ([][]*graph.Tensor, error) {
	switch op {
	case graph.OpCall:
		return (*machine).call
	case graph.OpScan:
		return (*machine).scan
	case graph.OpAllReduce:
		return (*machine).allReduce
	}
	return nil
}

func (m *machine) node(p *program, i int, values [][]*graph.Tensor) error {
	n := &p.Nodes[i]
	in := make([][]*graph.Tensor, len(values))
	for r := range values {
		in[r] = make([]*graph.Tensor, len(n.Args))
		for j, a := range n.Args {
			in[r][j] = values[r][a]
		}
	}
	if f := structural(n.Op); f != nil {
		out, err := f(m, p, i, in)
		if err != nil {
			return err
		}
		for r := range values {
			copy(values[r][n.Out:], out[r])
		}
		return nil
	}
	types := p.Types[n.Out : int(n.Out)+int(n.NumOut)]
	for r := range values {
		out, err := apply(&invocation{ctx: m.ctx, op: n.Op, attrs: n.Attrs, in: in[r], out: types, consts: p.consts, opaque: m.opaque})
		if err != nil {
			return err
		}
		copy(values[r][n.Out:], out)
	}
	return nil
}

// call runs the body of a call that was kept.
func (m *machine) call(p *program, node int, in [][]*graph.Tensor) ([][]*graph.Tensor, error) {
	inner := *m
	inner.around = nil
	return inner.run(p.bodies[node], in)
}

// scan runs its body once for every element of the leading axis.
func (m *machine) scan(p *program, node int, in [][]*graph.Tensor) ([][]*graph.Tensor, error) {
	n := &p.Nodes[node]
	a := n.Attrs.(*graph.ScanAttrs)
	steps, fixed := int(p.ScanSteps(node)), int(a.Carries+a.Consts)
	inner := *m
	inner.around = nil
	out := make([][]*graph.Tensor, len(in))
	args := make([][]*graph.Tensor, len(in))
	for r := range in {
		out[r] = make([]*graph.Tensor, n.NumOut)
		copy(out[r], in[r][:a.Carries])
		for j := int(a.Carries); j < int(n.NumOut); j++ {
			out[r][j] = empty(p.Types[int(n.Out)+j])
		}
		args[r] = append([]*graph.Tensor(nil), in[r]...)
	}
	for s := range steps {
		if a.Reverse {
			s = steps - 1 - s
		}
		for r := range in {
			copy(args[r], out[r][:a.Carries])
			for j := fixed; j < len(args[r]); j++ {
				args[r][j] = row(in[r][j], s)
			}
		}
		results, err := inner.run(p.bodies[node], args)
		if err != nil {
			return nil, err
		}
		for r := range in {
			copy(out[r], results[r][:a.Carries])
			for j := int(a.Carries); j < int(n.NumOut); j++ {
				copy(row(out[r][j], s).Data, results[r][j].Data)
			}
		}
	}
	return out, nil
}

// row returns the view of element i of the leading axis.
func row(t *graph.Tensor, i int) *graph.Tensor {
	size := volume(extents(t.Shape[1:])) * t.DType.Size()
	return &graph.Tensor{DType: t.DType, Shape: t.Shape[1:], Data: t.Data[i*size : (i+1)*size]}
}

// allReduce combines the operands of each group of replicas along the aligned
// binary tree: first 0 with 1, 2 with 3, ..., then 0 with 2, 4 with 6, ...,
// rounding to the element type at every meeting, so that where the replicas
// stand makes no difference to the bits.
func (m *machine) allReduce(p *program, node int, in [][]*graph.Tensor) ([][]*graph.Tensor, error) {
	a := p.Nodes[node].Attrs.(*graph.AllReduceAttrs)
	group := groupOf(a)
	if group == 1 {
		return in, nil
	}
	if int64(len(in)) != a.Shards {
		return nil, fmt.Errorf("joins %d replicas, but %d run; reference.Lockstep runs several", a.Shards, len(in))
	}
	op := map[graph.ReduceKind]graph.Op{graph.Sum: graph.OpAdd, graph.Max: graph.OpMax, graph.Min: graph.OpMin}[a.Kind]
	out := make([][]*graph.Tensor, len(in))
	for first := 0; first < len(in); first += group {
		part := make([]*graph.Tensor, group)
		for r := range part {
			part[r] = in[first+r][0]
		}
		for reach := 1; reach < group; reach *= 2 {
			for r := 0; r+reach < group; r += 2 * reach {
				sum, err := apply(&invocation{ctx: m.ctx, op: op, in: []*graph.Tensor{part[r], part[r+reach]}, out: []graph.Type{part[r].Type()}})
				if err != nil {
					return nil, err
				}
				part[r] = sum[0]
			}
		}
		for r := range part {
			out[first+r] = []*graph.Tensor{part[0]}
		}
	}
	return out, nil
}

// groupOf returns how many replicas an all_reduce joins.
func groupOf(a *graph.AllReduceAttrs) int {
	if a.Group == 0 {
		return int(a.Shards)
	}
	return int(a.Group)
}

func opaque(c *invocation) ([]*graph.Tensor, error) {
	a := c.attrs.(*graph.OpaqueAttrs)
	if c.opaque == nil {
		return nil, fmt.Errorf("the component %q computes outside the graph, and nothing was given to run it", a.Component)
	}
	in := make([]kernels.View, len(c.in))
	for i, t := range c.in {
		// A copy, since operands may be shared with other nodes.
		in[i] = kernels.View{DType: t.DType, Shape: t.Shape, Data: append([]byte(nil), t.Data...)}
	}
	out, results := make([]kernels.View, len(c.out)), make([]*graph.Tensor, len(c.out))
	for i, t := range c.out {
		results[i] = empty(t)
		out[i] = kernels.View{DType: t.DType, Shape: results[i].Shape, Data: results[i].Data}
	}
	if err := c.opaque.Call(c.ctx, a, in, out); err != nil {
		return nil, fmt.Errorf("component %q: %w", a.Component, err)
	}
	return results, nil
}
