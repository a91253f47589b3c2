package cpu

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// rewriter copies a flat function node by node into the form that lowering
// takes: dead nodes are gone, equal ones are shared, sizes and scalars that are
// known are constants, 16-bit floats are computed in f32, and the operands of
// dot stand in an order that the matrix kernels read.
type rewriter struct {
	from *inline.Flat
	out  *graph.Func
	to   []graph.ValueID
	body map[int]*inline.Flat // of scans, by node of out

	def    []int // node of out that makes each value, -1 for parameters
	scopes []string
	scope  string
	seen   map[string]graph.ValueID
	consts map[graph.ValueID]*graph.Tensor // values known at compile time
	module *graph.Module
}

func rewrite(m *graph.Module, from *inline.Flat) (*rewriter, error) {
	r := &rewriter{
		from: from, module: m, to: make([]graph.ValueID, len(from.Types)),
		out:  &graph.Func{Name: from.Name, Params: from.Params},
		body: map[int]*inline.Flat{}, seen: map[string]graph.ValueID{}, consts: map[graph.ValueID]*graph.Tensor{},
	}
	for i, p := range from.Params {
		r.out.Types = append(r.out.Types, p.Type)
		r.def = append(r.def, -1)
		r.to[i] = graph.ValueID(i)
	}
	live := make([]bool, len(from.Types))
	for _, res := range from.Results {
		live[res.Value] = true
	}
	keep := make([]bool, len(from.Nodes))
	for i := len(from.Nodes) - 1; i >= 0; i-- {
		n := &from.Nodes[i]
		for k := range n.NumOut {
			keep[i] = keep[i] || live[n.Out+graph.ValueID(k)]
		}
		keep[i] = keep[i] || n.Op == graph.OpOpaque
		if keep[i] {
			for _, a := range n.Args {
				live[a] = true
			}
		}
	}
	for i := range from.Nodes {
		if !keep[i] {
			continue
		}
		n := &from.Nodes[i]
		if i < len(from.Scopes) {
			r.scope = from.Scopes[i]
		}
		args := make([]graph.ValueID, len(n.Args))
		for j, a := range n.Args {
			args[j] = r.to[a]
		}
		out, err := r.node(i, n, args)
		if err != nil {
			return nil, fmt.Errorf("node %d (%v): %w", i, n.Op, err)
		}
		copy(r.to[n.Out:], out)
	}
	for _, res := range from.Results {
		res.Value = r.to[res.Value]
		r.out.Results = append(r.out.Results, res)
	}
	r.maskMoments()
	r.prune()
	return r, nil
}

// prune drops nodes that rewriting left without a use.
func (r *rewriter) prune() {
	live := make([]bool, len(r.out.Types))
	for _, res := range r.out.Results {
		live[res.Value] = true
	}
	keep := make([]bool, len(r.out.Nodes))
	for i := len(r.out.Nodes) - 1; i >= 0; i-- {
		n := &r.out.Nodes[i]
		for k := range n.NumOut {
			keep[i] = keep[i] || live[n.Out+graph.ValueID(k)]
		}
		if keep[i] = keep[i] || n.Op == graph.OpOpaque; keep[i] {
			for _, a := range n.Args {
				live[a] = true
			}
		}
	}
	// Nodes stay where they are, so that value numbers do; a dropped one has no op.
	for i := range r.out.Nodes {
		if !keep[i] {
			r.out.Nodes[i].Op = graph.OpInvalid
			r.out.Nodes[i].Args = nil
		}
	}
}

// add appends a node, or returns the results of an equal one.
func (r *rewriter) add(op graph.Op, a graph.Attrs, args ...graph.ValueID) ([]graph.ValueID, error) {
	in := make([]graph.Type, len(args))
	for i, v := range args {
		in[i] = r.out.Types[v]
	}
	types, err := graph.InferTypes(r.module, graph.Any, op, in, a)
	if err != nil {
		return nil, err
	}
	return r.addTyped(op, a, args, types), nil
}

func (r *rewriter) addTyped(op graph.Op, a graph.Attrs, args []graph.ValueID, types []graph.Type) []graph.ValueID {
	pure := op != graph.OpOpaque && op != graph.OpScan
	k := ""
	if pure {
		k = nodeKey(op, a, args, types)
		if first, ok := r.seen[k]; ok {
			out := make([]graph.ValueID, len(types))
			for i := range out {
				out[i] = first + graph.ValueID(i)
			}
			return out
		}
	}
	first := graph.ValueID(len(r.out.Types))
	r.out.Nodes = append(r.out.Nodes, graph.Node{Op: op, Args: args, Attrs: a, Out: first, NumOut: int32(len(types))})
	r.scopes = append(r.scopes, r.scope)
	out := make([]graph.ValueID, len(types))
	for i, t := range types {
		r.out.Types = append(r.out.Types, t)
		r.def = append(r.def, len(r.out.Nodes)-1)
		out[i] = first + graph.ValueID(i)
	}
	if pure {
		r.seen[k] = first
	}
	return out
}

func nodeKey(op graph.Op, a graph.Attrs, args []graph.ValueID, types []graph.Type) string {
	// The attributes' references to operands' sizes are settled in the types.
	switch c := a.(type) {
	case *graph.ConstantAttrs:
		if c.Value != nil {
			return fmt.Sprint(op, " ", c.Value.DType, c.Value.Shape, " ", string(c.Value.Data))
		}
	case nil:
		return fmt.Sprint(op, args, types)
	}
	return fmt.Sprintf("%v %v %v %+v", op, args, types, a)
}

func (r *rewriter) constant(t *graph.Tensor) graph.ValueID {
	v := r.addTyped(graph.OpConstant, &graph.ConstantAttrs{Value: t}, nil, []graph.Type{t.Type()})[0]
	r.consts[v] = t
	return v
}

func one(v []graph.ValueID, err error) (graph.ValueID, error) {
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

func isHalf(d graph.DType) bool { return d == graph.BF16 || d == graph.F16 }

func (r *rewriter) node(i int, n *graph.Node, args []graph.ValueID) ([]graph.ValueID, error) {
	types := r.from.Types[n.Out : int(n.Out)+int(n.NumOut)]
	d := n.Op.Def()
	// References decide nothing once the types are concrete.
	if d.Shaped >= 0 && n.Op != graph.OpSize {
		a, err := r.settle(n, types)
		if err != nil {
			return nil, err
		}
		args = args[:min(d.Shaped, len(args))]
		if n.Op == graph.OpIota && isHalf(types[0].DType) {
			wide := r.addTyped(n.Op, a, args, []graph.Type{types[0].WithDType(graph.F32)})[0]
			return r.add(graph.OpConvert, &graph.ConvertAttrs{To: types[0].DType}, wide)
		}
		if d.Class != graph.Movement && slices.ContainsFunc(args, func(v graph.ValueID) bool { return isHalf(r.out.Types[v].DType) }) {
			settled := *n
			settled.Attrs = a
			return r.widened(&settled, args, types)
		}
		return r.addTyped(n.Op, a, args, types), nil
	}
	switch n.Op {
	case graph.OpSize:
		t := r.from.Types[n.Args[0]]
		e, _ := t.Shape[n.Attrs.(*graph.SizeAttrs).Axis].Const()
		v := graph.NewTensor(graph.I64)
		v.SetInt(0, e)
		return []graph.ValueID{r.constant(v)}, nil
	case graph.OpConstant:
		c := n.Attrs.(*graph.ConstantAttrs)
		v := c.Value
		if c.Ref != "" {
			v = r.module.Consts[c.Ref]
			if v == nil {
				return nil, fmt.Errorf("the module lacks the constant %q", c.Ref)
			}
		}
		return []graph.ValueID{r.constant(v)}, nil
	case graph.OpScan:
		r.body[len(r.out.Nodes)] = r.from.Bodies[i]
		return r.addTyped(n.Op, n.Attrs, args, types), nil
	case graph.OpCall:
		return r.native(n, args, types)
	case graph.OpDot:
		return r.dot(n, args)
	case graph.OpTranspose:
		return r.transpose(n, args[0], types)
	}
	half := func(v graph.ValueID) bool { return isHalf(r.out.Types[v].DType) }
	wide := d.Class == graph.Movement && n.Op != graph.OpScatterAdd || n.Op == graph.OpConvert || n.Op == graph.OpBitcast || n.Op == graph.OpSelect || n.Op == graph.OpSort || n.Op == graph.OpOpaque
	if !wide && slices.ContainsFunc(args, half) {
		return r.widened(n, args, types)
	}
	if v := r.fold(n, args, types); v != nil {
		return []graph.ValueID{r.constant(v)}, nil
	}
	return r.addTyped(n.Op, n.Attrs, args, types), nil
}

// widened computes an op on 16-bit floats in f32.
func (r *rewriter) widened(n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
	in := slices.Clone(args)
	for i, v := range args {
		if isHalf(r.out.Types[v].DType) {
			w, err := one(r.add(graph.OpConvert, &graph.ConvertAttrs{To: graph.F32}, v))
			if err != nil {
				return nil, err
			}
			in[i] = w
		}
	}
	a := n.Attrs
	switch c := a.(type) {
	case *graph.ConvAttrs:
		k := *c
		k.Out, k.Accum = graph.F32, graph.F32
		a = &k
	case *graph.DotAttrs:
		k := *c
		k.Out, k.Accum = graph.F32, graph.F32
		a = &k
	}
	wide := make([]graph.Type, len(types))
	for i, t := range types {
		if wide[i] = t; isHalf(t.DType) {
			wide[i] = t.WithDType(graph.F32)
		}
	}
	out := slices.Clone(r.addTyped(n.Op, a, in, wide))
	for i, t := range types {
		if isHalf(t.DType) {
			v, err := one(r.add(graph.OpConvert, &graph.ConvertAttrs{To: t.DType}, out[i]))
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
	}
	return out, nil
}

// settle replaces expressions over operand dimensions by their values.
func (r *rewriter) settle(n *graph.Node, types []graph.Type) (graph.Attrs, error) {
	in := make([]graph.Type, len(n.Args))
	for i, v := range n.Args {
		in[i] = r.from.Types[v]
	}
	eval := func(e []graph.DimExpr) ([]graph.DimExpr, error) {
		out := make([]graph.DimExpr, len(e))
		for i := range e {
			d, err := e[i].Eval(in)
			if err != nil {
				return nil, err
			}
			k, ok := d.Const()
			if !ok {
				return nil, fmt.Errorf("extent %v is not concrete", d)
			}
			out[i] = graph.ConstExpr(k)
		}
		return out, nil
	}
	var err error
	switch a := n.Attrs.(type) {
	case *graph.SliceAttrs:
		c := *a
		if c.Start, err = eval(a.Start); err == nil {
			c.Limit, err = eval(a.Limit)
		}
		return &c, err
	case *graph.PadAttrs:
		c := *a
		if c.Low, err = eval(a.Low); err == nil {
			c.High, err = eval(a.High)
		}
		return &c, err
	case *graph.BroadcastAttrs:
		return &graph.BroadcastAttrs{Dims: a.Dims}, nil // the type has the shape
	case *graph.ReshapeAttrs:
		return &graph.ReshapeAttrs{}, nil
	case *graph.IotaAttrs:
		return &graph.IotaAttrs{To: a.To, Axis: a.Axis}, nil
	case *graph.RandomBitsAttrs:
		return &graph.RandomBitsAttrs{}, nil
	}
	return n.Attrs, nil
}

// fold computes an elementwise op on known scalars.
func (r *rewriter) fold(n *graph.Node, args []graph.ValueID, types []graph.Type) *graph.Tensor {
	if n.Op.Def().Class != graph.Elementwise || types[0].Rank() != 0 {
		return nil
	}
	var in [3]unsafe.Pointer
	for i, v := range args {
		c := r.consts[v]
		if c == nil {
			return nil
		}
		in[i] = unsafe.Pointer(&alignedCopy(c.Data)[0])
	}
	fn := elementwiseFunc(n, r.out.Types[args[0]].DType, types[0].DType)
	if fn == nil {
		return nil
	}
	out := alignedBytes(8)
	fn(unsafe.Pointer(&out[0]), in[0], in[1], in[2], 1)
	return &graph.Tensor{DType: types[0].DType, Data: out[:types[0].DType.Size()]}
}

func alignedCopy(b []byte) []byte {
	a := alignedBytes(int64(max(len(b), 8)))
	copy(a, b)
	return a
}

// dot puts the operands' axes in the order batch, free, contracted (left, or
// contracted, free) and batch, contracted, free (right, or free, contracted),
// by transposes where they stand otherwise, and computes 16-bit floats in f32.
func (r *rewriter) dot(n *graph.Node, args []graph.ValueID) ([]graph.ValueID, error) {
	a := *n.Attrs.(*graph.DotAttrs)
	t := r.from.Types[n.Out]
	var err error
	for i, v := range args {
		if isHalf(r.out.Types[v].DType) {
			if args[i], err = one(r.add(graph.OpConvert, &graph.ConvertAttrs{To: graph.F32}, v)); err != nil {
				return nil, err
			}
			a.Accum, a.Out = graph.F32, graph.F32
			if t.DType == graph.F64 {
				a.Accum, a.Out = graph.F64, graph.F64
			}
		}
	}
	order := func(v graph.ValueID, batch, contract []int64) (graph.ValueID, []int64, []int64, error) {
		v, batch, contract = r.untransposed(v, batch, contract)
		rank := r.out.Types[v].Rank()
		var free []int64
		for x := range int64(rank) {
			if !slices.Contains(batch, x) && !slices.Contains(contract, x) {
				free = append(free, x)
			}
		}
		bfc := slices.Concat(batch, free, contract)
		bcf := slices.Concat(batch, contract, free)
		nb, nc := int64(len(batch)), int64(len(contract))
		b := make([]int64, nb)
		for i := range b {
			b[i] = int64(i)
		}
		c := make([]int64, nc)
		if slices.IsSorted(bcf) && !slices.IsSorted(bfc) {
			for i := range c {
				c[i] = nb + int64(i)
			}
			return v, b, c, nil
		}
		for i := range c {
			c[i] = int64(rank) - nc + int64(i)
		}
		if slices.IsSorted(bfc) {
			return v, b, c, nil
		}
		w, err := one(r.add(graph.OpTranspose, &graph.TransposeAttrs{Perm: bfc}, v))
		return w, b, c, err
	}
	// Contracted axes must stand in one order on both sides: the left's decides.
	idx := make([]int, len(a.LeftContract))
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(i, j int) int { return int(a.LeftContract[i] - a.LeftContract[j]) })
	lc, rc := make([]int64, len(idx)), make([]int64, len(idx))
	for i, j := range idx {
		lc[i], rc[i] = a.LeftContract[j], a.RightContract[j]
	}
	left, lb, lc, err := order(args[0], a.LeftBatch, lc)
	if err != nil {
		return nil, err
	}
	right, rb, rc, err := order(args[1], a.RightBatch, rc)
	if err != nil {
		return nil, err
	}
	k := graph.DotAttrs{LeftBatch: lb, RightBatch: rb, LeftContract: lc, RightContract: rc, Precision: a.Precision, Accum: a.Accum, Out: a.Out}
	out, err := one(r.add(graph.OpDot, &k, left, right))
	if err != nil {
		return nil, err
	}
	if isHalf(t.DType) {
		out, err = one(r.add(graph.OpConvert, &graph.ConvertAttrs{To: t.DType}, out))
	}
	return []graph.ValueID{out}, err
}

// elementwiseFunc returns the loop function of a node, nil where there is none.
func elementwiseFunc(n *graph.Node, in, out graph.DType) loopFunc {
	switch n.Op {
	case graph.OpCompare:
		return compareFor(in, n.Attrs.(*graph.CompareAttrs).Direction)
	case graph.OpSelect:
		return selectFor(out.Size())
	case graph.OpConvert:
		return convertFor(in, out)
	case graph.OpBitcast:
		return copyFor(out.Size())
	}
	return loopFuncs[n.Op].of(in)
}

// maker returns the node of an op that makes v, nil where another does.
func (r *rewriter) maker(v graph.ValueID, op graph.Op) *graph.Node {
	if d := r.def[v]; d >= 0 && r.out.Nodes[d].Op == op {
		return &r.out.Nodes[d]
	}
	return nil
}

// untransposed returns what a transposed operand of dot was before, with the
// axes in its terms, where the order of the free axes stays.
func (r *rewriter) untransposed(v graph.ValueID, batch, contract []int64) (graph.ValueID, []int64, []int64) {
	t := r.maker(v, graph.OpTranspose)
	if t == nil {
		return v, batch, contract
	}
	perm := t.Attrs.(*graph.TransposeAttrs).Perm
	last := int64(-1)
	for x, p := range perm {
		if !slices.Contains(batch, int64(x)) && !slices.Contains(contract, int64(x)) {
			if p < last {
				return v, batch, contract
			}
			last = p
		}
	}
	through := func(axes []int64) []int64 {
		out := make([]int64, len(axes))
		for i, x := range axes {
			out[i] = perm[x]
		}
		return out
	}
	return t.Args[0], through(batch), through(contract)
}

// transpose joins transposes, drops those that change nothing, and turns the
// operands of a product around whose transpose is wanted.
func (r *rewriter) transpose(n *graph.Node, v graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
	perm := n.Attrs.(*graph.TransposeAttrs).Perm
	if inner := r.maker(v, graph.OpTranspose); inner != nil {
		first := inner.Attrs.(*graph.TransposeAttrs).Perm
		joined := make([]int64, len(perm))
		for i, p := range perm {
			joined[i] = first[p]
		}
		perm, v = joined, inner.Args[0]
	}
	if slices.IsSorted(perm) {
		return []graph.ValueID{v}, nil
	}
	if d := r.maker(v, graph.OpDot); d != nil {
		a := d.Attrs.(*graph.DotAttrs)
		nb := len(a.LeftBatch)
		nl := r.out.Types[d.Args[0]].Rank() - nb - len(a.LeftContract)
		swap := true
		for i, p := range perm {
			switch rest := len(perm) - nb; {
			case i < nb:
				swap = swap && int(p) == i
			default:
				swap = swap && int(p) == nb+(i-nb+nl)%rest
			}
		}
		if swap {
			turned := *a
			turned.LeftBatch, turned.RightBatch = a.RightBatch, a.LeftBatch
			turned.LeftContract, turned.RightContract = a.RightContract, a.LeftContract
			return r.add(graph.OpDot, &turned, d.Args[1], d.Args[0])
		}
	}
	return r.addTyped(graph.OpTranspose, &graph.TransposeAttrs{Perm: perm}, []graph.ValueID{v}, types), nil
}
