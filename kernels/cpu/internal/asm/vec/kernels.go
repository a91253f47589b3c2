package vec

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

// Shapes of kernels. The length of dst is the number of
// elements; the other arguments must be at least as long and may be dst
// itself, but must not overlap it otherwise.
type (
	Unary   = func(dst, x []float32)
	Binary  = func(dst, x, y []float32)
	Scalar  = func(dst, x []float32, s float32)
	Scalar2 = func(dst, x []float32, a, b float32)
	Reduce  = func(x []float32) float32
	Compare = func(dst []uint8, x, y []float32)
)

// Kernels are the kernels of one instruction set.
type Kernels struct {
	Level isa.Level

	Add, Sub, Mul, Div Binary
	Max, Min           Binary // NaN where either operand is NaN

	AddScalar, SubScalar, MulScalar, DivScalar Scalar // x op s
	MaxScalar, MinScalar                       Scalar
	ScalarSub, ScalarDiv                       Scalar // s op x

	Neg, Abs, Sqrt, Rsqrt  Unary // Rsqrt is 1/sqrt(x), both rounded
	ReLU                   Unary // keeps NaN
	Exp, Expm1, Log, Log1p Unary
	Tanh, Sigmoid, Erf     Unary

	SubTwo Scalar2 // (x-a) - b

	Sum          Reduce
	MaxOf, MinOf Reduce // -Inf and +Inf of nothing; NaN if any element is

	Equal, NotEqual, Less, LessEqual Compare // 1 or 0
	Select                           func(dst []float32, cond []uint8, x, y []float32)
	SelectLess, SelectLessEqual      func(dst, x, y, a, b []float32) // a where x < y (x <= y), else b

	ToBF16   func(dst []uint16, x []float32) // to nearest even
	FromBF16 func(dst []float32, x []uint16)
	ToF16    func(dst []uint16, x []float32) // to nearest even
	FromF16  func(dst []float32, x []uint16)
	ToF64    func(dst []float64, x []float32)
	FromF64  func(dst []float32, x []float64)

	// To integers: towards zero, saturated, NaN to 0.
	ToI8    func(dst []int8, x []float32)
	ToU8    func(dst []uint8, x []float32)
	ToI32   func(dst []int32, x []float32)
	FromI8  func(dst []float32, x []int8)
	FromU8  func(dst []float32, x []uint8)
	FromI32 func(dst []float32, x []int32)

	sumShortRows, maxShortRows func(dst, x []float32, rows, cols int) // of at most shortRow elements, one after another

	softmaxRows func(dst, x, most, sums []float32, rows, cols, dstLD, xLD int)
	rowStats    func(x, most, sums []float32, rows, cols, xLD int)
	colSums     func(dst, x []float32, rows, ld int)
	transpose   func(dst []float32, dstLD int, src []float32, srcLD, rows, cols int)
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels { return forLevel(level) }
