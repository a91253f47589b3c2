package axes

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// site is one node of one function, met on one way through the model. A rule
// ties its operands' axes with those of its results, which come as leaves, and
// holds those fast along which the op mixes.
type site struct {
	*solver
	op       graph.Op
	attrs    graph.Attrs
	types    []graph.Type // of the operands
	in, out  [][]*axis
	at       Pin
	segments []*axis // what the rule found out for the rewriting of attributes
}

// rule is the meaning of an op for axes.
type rule func(s *site)

// rules holds the rule of every op but those of structural.
var rules = map[graph.Op]rule{
	graph.OpNeg: same, graph.OpAbs: same, graph.OpSign: same, graph.OpExp: same, graph.OpExpm1: same, graph.OpLog: same,
	graph.OpLog1p: same, graph.OpSqrt: same, graph.OpRsqrt: same, graph.OpTanh: same, graph.OpSigmoid: same, graph.OpErf: same,
	graph.OpSin: same, graph.OpCos: same, graph.OpFloor: same, graph.OpCeil: same, graph.OpRound: same, graph.OpIsFinite: same,
	graph.OpNot: same, graph.OpAdd: same, graph.OpSub: same, graph.OpMul: same, graph.OpDiv: same, graph.OpRem: same,
	graph.OpPow: same, graph.OpMax: same, graph.OpMin: same, graph.OpAnd: same, graph.OpOr: same, graph.OpXor: same,
	graph.OpShl: same, graph.OpShr: same, graph.OpCompare: same, graph.OpSelect: same, graph.OpConvert: same, graph.OpBitcast: same,
	graph.OpAllReduce: same,
	// The rows kept run on in their order, as those of a smaller operand would.
	graph.OpCumSum: same,

	// A constant loses what stands for the channel, whatever it is.
	graph.OpConstant:   func(*site) {},
	graph.OpSize:       func(*site) {},
	graph.OpIota:       iotaRule,
	graph.OpRandomBits: func(s *site) { s.equal(s.in[2][0], s.out[0][0]) },

	graph.OpReduce:    reduceRule,
	graph.OpArgReduce: func(s *site) { s.reduced([]int64{s.attrs.(*graph.ArgAttrs).Axis}, "gives positions along axis %d") },
	graph.OpSort:      sortRule,
	graph.OpTopK:      topKRule,

	graph.OpReshape:            reshapeRule,
	graph.OpTranspose:          transposeRule,
	graph.OpBroadcast:          broadcastRule,
	graph.OpSlice:              sliceRule,
	graph.OpDynamicSlice:       dynamicSliceRule,
	graph.OpDynamicUpdateSlice: dynamicUpdateSliceRule,
	graph.OpPad:                padRule,
	graph.OpReverse:            reverseRule,
	graph.OpConcat:             concatRule,
	graph.OpGather:             gatherRule,
	graph.OpScatterAdd:         scatterAddRule,

	graph.OpDot: dotRule,
	graph.OpConv: func(s *site) {
		s.conv(s.in[0], s.in[1], s.out[0], s.attrs.(*graph.ConvAttrs))
	},
	graph.OpConvInputGrad: func(s *site) {
		s.conv(s.out[0], s.in[1], s.in[0], s.attrs.(*graph.ConvAttrs))
		s.all(s.in[2], s.out[0])
	},
	graph.OpConvFilterGrad: func(s *site) {
		s.conv(s.in[0], s.out[0], s.in[1], s.attrs.(*graph.ConvAttrs))
		s.all(s.in[2], s.out[0])
	},
	graph.OpReduceWindow:     func(s *site) { s.window(s.in[0], s.out[0]) },
	graph.OpReduceWindowGrad: func(s *site) { s.window(s.in[0], s.in[1]); s.all(s.in[0], s.out[0]) },

	graph.OpOpaque: opaqueRule,
}

// structural lists the ops that the walk itself follows.
var structural = map[graph.Op]bool{graph.OpCall: true, graph.OpScan: true}

func (s *site) equal(a, b *axis) { s.tie(a, b, &s.at) }

// all ties two values axis by axis.
func (s *site) all(a, b []*axis) {
	for i := range a {
		s.equal(a[i], b[i])
	}
}

// hold pins axes, for a reason.
func (s *site) hold(why string, args ...any) func(axes ...*axis) {
	p := s.at
	p.Why = fmt.Sprintf(why, args...)
	return func(axes ...*axis) {
		for _, a := range axes {
			a.hold(&p)
		}
	}
}

// same is the rule of what works element by element.
func same(s *site) {
	for _, x := range s.in {
		s.all(x, s.out[0])
	}
}

// iotaRule: the numbers along the axis are the positions themselves.
func iotaRule(s *site) {
	s.hold("counts positions along the axis")(s.out[0][s.attrs.(*graph.IotaAttrs).Axis])
}

// reduceRule: what is reduced may lose channels, as the sum has no term for them.
func reduceRule(s *site) { s.reduced(s.attrs.(*graph.ReduceAttrs).Axes, "") }

// reduced ties the axes that stay; those that go are held where why is given.
func (s *site) reduced(axes []int64, why string) {
	j := 0
	for i, a := range s.in[0] {
		switch {
		case !slices.Contains(axes, int64(i)):
			s.equal(a, s.out[0][j])
			j++
		case why != "":
			s.hold(why, i)(a)
		}
	}
}

func sortRule(s *site) {
	axis := s.attrs.(*graph.SortAttrs).Axis
	for i := range s.in {
		s.all(s.in[i], s.out[0])
		s.all(s.out[i], s.out[0])
	}
	s.hold("orders what lies along axis %d", axis)(s.out[0][axis])
}

func topKRule(s *site) {
	last := len(s.in[0]) - 1
	hold := s.hold("orders what lies along the last axis")
	hold(s.in[0][last], s.out[0][last], s.out[1][last])
	for i := range last {
		s.equal(s.in[0][i], s.out[0][i])
		s.equal(s.in[0][i], s.out[1][i])
	}
	s.equal(s.out[0][last], s.out[1][last])
}

// reshapeRule: both sides are the same elements in row-major order.
func reshapeRule(s *site) {
	s.at.Why = "mixes axes whose extents do not divide evenly"
	s.flattened(s.in[0], s.out[0])
}

// flattened ties the products of two lists of axes. Runs of axes that have
// equal products are tied apart, so that one that cannot be followed holds no other.
func (s *site) flattened(x, y []*axis) {
	for len(x) > 0 || len(y) > 0 {
		i, j := 0, 0
		m, n := volume{1, nil}, volume{1, nil}
		for i == 0 || j == 0 || !m.equal(n) {
			switch {
			case i < len(x) && (i == 0 || m.n <= n.n && len(m.symbols) <= len(n.symbols) || j == len(y)):
				m = m.times(x[i].dim)
				i++
			case j < len(y):
				n = n.times(y[j].dim)
				j++
			case i < len(x):
				m = m.times(x[i].dim)
				i++
			default:
				if i == 0 || j == 0 { // ones are left on one side
					return
				}
				s.failf("%v: %d axes do not fill %d", &s.at, len(x), len(y))
				return
			}
		}
		if i == 1 && j == 1 {
			s.equal(x[0], y[0])
		} else {
			s.products(&axis{kind: product, parts: x[:i]}, &axis{kind: product, parts: y[:j]}, &s.at)
		}
		x, y = x[i:], y[j:]
	}
}

// volume is a number of elements: a number times symbolic extents.
type volume struct {
	n       int64
	symbols []graph.Dim
}

func (v volume) times(d graph.Dim) volume {
	if n, ok := d.Const(); ok {
		return volume{v.n * n, v.symbols}
	}
	k := d.Coef()
	if d.Offset() != 0 {
		k = 1
	}
	unit, _ := d.Div(k)
	symbols := append(slices.Clone(v.symbols), unit)
	slices.SortFunc(symbols, func(a, b graph.Dim) int { return int(a.Offset() - b.Offset()) })
	return volume{v.n * k, symbols}
}

func (v volume) equal(w volume) bool { return v.n == w.n && slices.Equal(v.symbols, w.symbols) }

func transposeRule(s *site) {
	for i, p := range s.attrs.(*graph.TransposeAttrs).Perm {
		s.equal(s.in[0][p], s.out[0][i])
	}
}

// broadcastRule: a stretched axis follows what it is combined with.
func broadcastRule(s *site) {
	for i, d := range s.attrs.(*graph.BroadcastAttrs).Dims {
		if a := s.in[0][i]; a.dim == s.out[0][d].dim {
			s.equal(a, s.out[0][d])
		}
	}
}

// eval returns an expression's constant over the operands as they were.
func (s *site) eval(e graph.DimExpr) (graph.Dim, bool) {
	d, err := e.Eval(s.types)
	if err != nil {
		s.failf("%v: %v", &s.at, err)
	}
	return d, err == nil
}

// sliceRule cuts the operand's axis into what stands before, what is taken and
// what stands behind.
func sliceRule(s *site) {
	k := s.attrs.(*graph.SliceAttrs)
	s.segments = make([]*axis, len(s.in[0]))
	for i, a := range s.in[0] {
		y := s.out[0][i]
		start, ok1 := s.eval(k.Start[i])
		limit, ok2 := s.eval(k.Limit[i])
		if !ok1 || !ok2 {
			return
		}
		before := newLeaf(start)
		s.segments[i] = before
		if start.Is(0) && limit == a.dim && k.Stride[i] == 1 {
			s.equal(a, y)
			continue
		}
		from, c1 := start.Const()
		to, c2 := limit.Const()
		n, c3 := a.dim.Const()
		if k.Stride[i] != 1 || !c1 || !c2 || !c3 {
			s.hold("takes every %d-th element of axis %d", k.Stride[i], i)(a, y)
			continue
		}
		s.equal(a, join(sum, a.dim, before, newLeaf(graph.N(to-from)), newLeaf(graph.N(n-to))))
		s.taken(a, from, to, y)
	}
}

// taken ties y with the channels from..to of a.
func (s *site) taken(a *axis, from, to int64, y *axis) {
	var parts []*axis
	at, total := int64(0), int64(0)
	for _, p := range a.flat(sum) {
		n, _ := p.dim.Const()
		if at >= from && at+n <= to {
			parts = append(parts, p)
			total += n
		}
		at += n
	}
	if !y.dim.Is(total) {
		s.hold("takes a part of an axis that others divide elsewhere")(a, y)
		return
	}
	s.equal(join(sum, y.dim, parts...), y)
}

func dynamicSliceRule(s *site) {
	for i, a := range s.in[0] {
		if a.dim == s.out[0][i].dim {
			s.equal(a, s.out[0][i])
		} else {
			s.hold("takes a block of axis %d from a place known when it runs", i)(a, s.out[0][i])
		}
	}
}

func dynamicUpdateSliceRule(s *site) {
	s.all(s.in[0], s.out[0])
	for i, a := range s.in[0] {
		if a.dim == s.in[1][i].dim {
			s.equal(a, s.in[1][i])
		} else {
			s.hold("replaces a block of axis %d at a place known when it runs", i)(a, s.in[1][i])
		}
	}
}

// padRule puts what is added before and behind the operand's channels.
func padRule(s *site) {
	k := s.attrs.(*graph.PadAttrs)
	s.segments = make([]*axis, 2*len(s.in[0]))
	for i, a := range s.in[0] {
		y := s.out[0][i]
		low, ok1 := s.eval(k.Low[i])
		high, ok2 := s.eval(k.High[i])
		if !ok1 || !ok2 {
			return
		}
		before, behind := newLeaf(low), newLeaf(high)
		s.segments[2*i], s.segments[2*i+1] = before, behind
		m, c1 := low.Const()
		n, c2 := high.Const()
		switch {
		case low.Is(0) && high.Is(0) && k.Interior[i] == 0:
			s.equal(a, y)
		case c1 && c2 && m >= 0 && n >= 0 && k.Interior[i] == 0 && y.dim.Coef() == 0:
			s.equal(join(sum, y.dim, before, a, behind), y)
		default:
			s.hold("crops or spreads axis %d", i)(a, y)
		}
	}
}

func reverseRule(s *site) {
	axes := s.attrs.(*graph.ReverseAttrs).Axes
	for i, a := range s.in[0] {
		y := s.out[0][i]
		if !slices.Contains(axes, int64(i)) {
			s.equal(a, y)
			continue
		}
		at := s.at
		at.Why = "reverses a product of axes"
		ones := slices.Clone(singles(a, &at))
		if ones == nil {
			s.hold("reverses axis %d, of too many elements to follow", i)(a, y)
			continue
		}
		slices.Reverse(ones)
		s.equal(join(sum, y.dim, ones...), y)
	}
}

func concatRule(s *site) {
	k := s.attrs.(*graph.ConcatAttrs).Axis
	var parts []*axis
	for _, x := range s.in {
		for i := range x {
			if int64(i) != k {
				s.equal(x[i], s.out[0][i])
			}
		}
		parts = append(parts, x[k])
	}
	s.equal(join(sum, s.out[0][k].dim, parts...), s.out[0][k])
}

// gatherRule: indices mean rows of the axis as it is.
func gatherRule(s *site) {
	k := s.attrs.(*graph.GatherAttrs)
	s.gathers(s.in[0], s.in[1], s.out[0], k)
}

func scatterAddRule(s *site) {
	s.gathers(s.in[0], s.in[1], s.in[2], s.attrs.(*graph.GatherAttrs))
	s.all(s.in[0], s.out[0])
}

// gathers ties x and the indices with the rows y that they name.
func (s *site) gathers(x, index, y []*axis, k *graph.GatherAttrs) {
	for i := range k.BatchDims {
		s.equal(x[i], index[i])
	}
	for i := range k.Axis {
		s.equal(x[i], y[i])
	}
	own := index[k.BatchDims:]
	for i, a := range own {
		s.equal(a, y[int(k.Axis)+i])
	}
	for i := int(k.Axis) + 1; i < len(x); i++ {
		s.equal(x[i], y[i-1+len(own)])
	}
	s.hold("finds rows of axis %d by their number", k.Axis)(x[k.Axis])
}

func dotRule(s *site) {
	k := s.attrs.(*graph.DotAttrs)
	l, r, y := s.in[0], s.in[1], s.out[0]
	for i, a := range k.LeftContract {
		s.equal(l[a], r[k.RightContract[i]])
	}
	j := 0
	for i, a := range k.LeftBatch {
		s.equal(l[a], r[k.RightBatch[i]])
		s.equal(l[a], y[j])
		j++
	}
	free := func(x []*axis, lists ...[]int64) {
		for i, a := range x {
			if !slices.Contains(lists[0], int64(i)) && !slices.Contains(lists[1], int64(i)) {
				s.equal(a, y[j])
				j++
			}
		}
	}
	free(l, k.LeftBatch, k.LeftContract)
	free(r, k.RightBatch, k.RightContract)
}

// conv ties the operands of a convolution: the channels of the input are groups
// times those of a group, and so are those of the result.
func (s *site) conv(x, w, y []*axis, k *graph.ConvAttrs) {
	last := len(x) - 1
	s.equal(x[0], y[0])
	hold := s.hold("slides a window over the spatial axes")
	hold(x[1:last]...)
	hold(y[1:last]...)
	hold(w[:last-1]...)
	group := newLeaf(graph.N(k.Groups))
	o, _ := w[last].dim.Const()
	of := func(c, inner *axis) { s.equal(join(product, c.dim, group, inner), c) }
	of(x[last], w[last-1])
	of(w[last], newLeaf(graph.N(o/k.Groups)))
	s.equal(w[last], y[last])
	s.segments = []*axis{group}
}

func (s *site) window(x, y []*axis) {
	k := s.attrs.(*graph.WindowAttrs)
	for i := range x {
		if k.Window[i] == 1 && k.Strides[i] == 1 && k.PadLow[i] == 0 && k.PadHigh[i] == 0 {
			s.equal(x[i], y[i])
		} else {
			s.hold("slides a window over axis %d", i)(x[i], y[i])
		}
	}
}

func opaqueRule(s *site) {
	hold := s.hold("the component %q computes outside the graph", s.attrs.(*graph.OpaqueAttrs).Component)
	for _, v := range append(slices.Clone(s.in), s.out...) {
		hold(v...)
	}
}
