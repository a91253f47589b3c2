package reference

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/hone-ml/hone/sdk/graph"
)

// floatUnary are the functions of one float, computed in float64.
var floatUnary = map[graph.Op]func(float64) float64{
	graph.OpNeg:   func(x float64) float64 { return -x },
	graph.OpAbs:   math.Abs,
	graph.OpSign:  sign,
	graph.OpExp:   math.Exp,
	graph.OpExpm1: math.Expm1,
	graph.OpLog:   math.Log,
	graph.OpLog1p: math.Log1p,
	graph.OpSqrt:  math.Sqrt,
	graph.OpRsqrt: func(x float64) float64 { return 1 / math.Sqrt(x) },
	graph.OpTanh:  math.Tanh,
	graph.OpSigmoid: func(x float64) float64 {
		if x < 0 {
			e := math.Exp(x)
			return e / (1 + e)
		}
		return 1 / (1 + math.Exp(-x))
	},
	graph.OpErf:   math.Erf,
	graph.OpSin:   math.Sin,
	graph.OpCos:   math.Cos,
	graph.OpFloor: math.Floor,
	graph.OpCeil:  math.Ceil,
	graph.OpRound: math.RoundToEven,
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

// intUnary are the functions of one integer or bool; results wrap.
var intUnary = map[graph.Op]func(int64) int64{
	graph.OpNeg: func(x int64) int64 { return -x },
	graph.OpNot: func(x int64) int64 { return ^x },
	graph.OpAbs: func(x int64) int64 { return max(x, -x) },
	graph.OpSign: func(x int64) int64 {
		return x>>63 | int64(uint64(-x)>>63)
	},
}

func unary(c *invocation) ([]*graph.Tensor, error) {
	t := c.out[0]
	if t.DType.IsFloat() {
		return one(mapElements(c, floatUnary[c.op]))
	}
	f := intUnary[c.op]
	switch {
	case t.DType == graph.Bool:
		f = func(x int64) int64 { return x ^ 1 }
	case t.DType.IsUnsigned() && c.op == graph.OpAbs:
		f = func(x int64) int64 { return x }
	case t.DType.IsUnsigned() && c.op == graph.OpSign:
		f = func(x int64) int64 { return truth(x != 0) }
	}
	return one(mapElements(c, f))
}

func mapElements[T number](c *invocation, f func(T) T) (*graph.Tensor, error) {
	v := load[T](c.in[0])
	for i, x := range v {
		if err := c.spend(1); err != nil {
			return nil, err
		}
		v[i] = f(x)
	}
	return store(c.out[0], v), nil
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func isFinite(c *invocation) ([]*graph.Tensor, error) {
	v := floats(c.in[0])
	out := make([]bool, len(v))
	for i, x := range v {
		out[i] = x-x == 0
	}
	return one(fromBools(c.out[0], out), nil)
}

// floatBinary are the functions of two floats.
var floatBinary = map[graph.Op]func(a, b float64) float64{
	graph.OpAdd: func(a, b float64) float64 { return a + b },
	graph.OpSub: func(a, b float64) float64 { return a - b },
	graph.OpMul: func(a, b float64) float64 { return a * b },
	graph.OpDiv: func(a, b float64) float64 { return a / b },
	graph.OpRem: math.Mod,
	graph.OpPow: math.Pow,
	graph.OpMax: func(a, b float64) float64 { return max(a, b) }, // NaN where either is
	graph.OpMin: func(a, b float64) float64 { return min(a, b) },
}

// intBinary are the functions of two integers; width is the type's, results wrap.
func intBinary(op graph.Op, d graph.DType) func(a, b int64) int64 {
	unsigned, width := d.IsUnsigned() || d == graph.Bool, uint64(d.Size()*8)
	lt := less[int64](d)
	switch op {
	case graph.OpAdd:
		return func(a, b int64) int64 { return a + b }
	case graph.OpSub:
		return func(a, b int64) int64 { return a - b }
	case graph.OpMul:
		return func(a, b int64) int64 { return a * b }
	case graph.OpDiv:
		return func(a, b int64) int64 {
			switch {
			case b == 0:
				return 0
			case unsigned:
				return int64(uint64(a) / uint64(b))
			case b == -1:
				return -a
			}
			return a / b
		}
	case graph.OpRem:
		return func(a, b int64) int64 {
			switch {
			case b == 0, !unsigned && b == -1:
				return 0
			case unsigned:
				return int64(uint64(a) % uint64(b))
			}
			return a % b
		}
	case graph.OpPow:
		return func(a, b int64) int64 { return power(a, b, unsigned) }
	case graph.OpMax:
		return func(a, b int64) int64 {
			if lt(a, b) {
				return b
			}
			return a
		}
	case graph.OpMin:
		return func(a, b int64) int64 {
			if lt(b, a) {
				return b
			}
			return a
		}
	case graph.OpAnd:
		return func(a, b int64) int64 { return a & b }
	case graph.OpOr:
		return func(a, b int64) int64 { return a | b }
	case graph.OpXor:
		return func(a, b int64) int64 { return a ^ b }
	case graph.OpShl:
		// An amount outside 0..width-1, taken as unsigned, shifts all bits out.
		return func(a, b int64) int64 {
			if uint64(b) >= width {
				return 0
			}
			return a << uint64(b)
		}
	case graph.OpShr:
		return func(a, b int64) int64 {
			if unsigned {
				if uint64(b) >= width {
					return 0
				}
				return int64(uint64(a) >> uint64(b))
			}
			return a >> min(uint64(b), 63)
		}
	}
	return nil
}

// power returns a^b, wrapping. A negative exponent gives the exact value
// truncated: 0 but for bases 1 and -1.
func power(a, b int64, unsigned bool) int64 {
	if !unsigned && b < 0 {
		switch {
		case a == 1, a == -1 && b&1 == 0:
			return 1
		case a == -1:
			return -1
		}
		return 0
	}
	r := int64(1)
	for n := uint64(b); n > 0; n >>= 1 {
		if n&1 == 1 {
			r *= a
		}
		a *= a
	}
	return r
}

func pairwise(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(zipElements(c, floatBinary[c.op]))
	}
	return one(zipElements(c, intBinary(c.op, c.in[0].DType)))
}

func zipElements[T number](c *invocation, f func(a, b T) T) (*graph.Tensor, error) {
	a, b := load[T](c.in[0]), load[T](c.in[1])
	for i := range a {
		if err := c.spend(1); err != nil {
			return nil, err
		}
		a[i] = f(a[i], b[i])
	}
	return store(c.out[0], a), nil
}

func compare(c *invocation) ([]*graph.Tensor, error) {
	d := c.attrs.(*graph.CompareAttrs).Direction
	if c.in[0].DType.IsFloat() {
		return one(compareElements[float64](c, d))
	}
	return one(compareElements[int64](c, d))
}

func compareElements[T number](c *invocation, d graph.Direction) (*graph.Tensor, error) {
	a, b := load[T](c.in[0]), load[T](c.in[1])
	lt := less[T](c.in[0].DType)
	out := make([]bool, len(a))
	for i := range a {
		x, y := a[i], b[i]
		switch d {
		case graph.Eq:
			out[i] = x == y
		case graph.Ne:
			out[i] = x != y
		case graph.Lt:
			out[i] = lt(x, y)
		case graph.Le:
			out[i] = lt(x, y) || x == y
		case graph.Gt:
			out[i] = lt(y, x)
		case graph.Ge:
			out[i] = lt(y, x) || x == y
		}
	}
	return fromBools(c.out[0], out), nil
}

func selectOp(c *invocation) ([]*graph.Tensor, error) {
	out := empty(c.out[0])
	size := out.DType.Size()
	for i, yes := range bools(c.in[0]) {
		from := c.in[2]
		if yes {
			from = c.in[1]
		}
		copy(out.Data[i*size:(i+1)*size], from.Data[i*size:])
	}
	return one(out, nil)
}

func convert(c *invocation) ([]*graph.Tensor, error) {
	x, t := c.in[0], c.out[0]
	switch from, to := x.DType.IsFloat(), t.DType.IsFloat(); {
	case from && to:
		return one(fromFloats(t, floats(x)), nil)
	case from:
		v := floats(x)
		out := make([]int64, len(v))
		for i, f := range v {
			if t.DType == graph.Bool {
				out[i] = truth(f != 0)
			} else {
				out[i] = saturate(t.DType, f)
			}
		}
		return one(fromInts(t, out), nil)
	case to:
		v := ints(x)
		out := make([]float64, len(v))
		for i, n := range v {
			switch {
			case t.DType != graph.F64:
				out[i] = oddFloat64(n, x.DType == graph.U64)
			case x.DType == graph.U64:
				out[i] = float64(uint64(n))
			default:
				out[i] = float64(n)
			}
		}
		return one(fromFloats(t, out), nil)
	}
	v := ints(x)
	if t.DType == graph.Bool {
		for i, n := range v {
			v[i] = truth(n != 0)
		}
	}
	return one(fromInts(t, v), nil)
}

func bitcast(c *invocation) ([]*graph.Tensor, error) {
	x := c.in[0]
	return one(&graph.Tensor{DType: c.out[0].DType, Shape: x.Shape, Data: x.Data}, nil)
}

func constant(c *invocation) ([]*graph.Tensor, error) {
	a := c.attrs.(*graph.ConstantAttrs)
	if a.Ref == "" {
		return one(a.Value, nil)
	}
	t, ok := c.consts[a.Ref]
	if !ok {
		return nil, fmt.Errorf("the module has no constant %q", a.Ref)
	}
	return one(t, nil)
}

func iota_(c *invocation) ([]*graph.Tensor, error) {
	shape := shapeOf(c.out[0])
	axis := c.attrs.(*graph.IotaAttrs).Axis
	strides := make([]int, len(shape))
	strides[axis] = 1
	v := offsets(shape, strides, 0)
	if c.out[0].DType.IsFloat() {
		out := make([]float64, len(v))
		for i, n := range v {
			out[i] = float64(n)
		}
		return one(fromFloats(c.out[0], out), nil)
	}
	out := make([]int64, len(v))
	for i, n := range v {
		out[i] = int64(n)
	}
	return one(fromInts(c.out[0], out), nil)
}

func size(c *invocation) ([]*graph.Tensor, error) {
	return one(graph.Int64s([]int64{c.in[0].Shape[c.attrs.(*graph.SizeAttrs).Axis]}), nil)
}

// randomBits fills each example with the words of its own Philox stream: word
// e is lane e%4 of block e/4.
func randomBits(c *invocation) ([]*graph.Tensor, error) {
	key := graph.SplitKey(uint64(c.in[0].Int(0)))
	step := uint64(c.in[1].Int(0))
	index := ints(c.in[2])
	words := volume(shapeOf(c.out[0])[1:])
	if bits.Len64(uint64(words)) > 34 {
		return nil, fmt.Errorf("random_bits of %d words an example: the counter numbers at most 2^34", words)
	}
	out := make([]int64, 0, len(index)*words)
	for _, n := range index {
		var block [4]uint32
		for e := range words {
			if e%4 == 0 {
				if err := c.spend(40); err != nil {
					return nil, err
				}
				block = graph.Philox4x32(graph.RandomCounter(uint32(e/4), uint64(n), step), key)
			}
			out = append(out, int64(block[e%4]))
		}
	}
	return one(fromInts(c.out[0], out), nil)
}
