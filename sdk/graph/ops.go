package graph

import (
	"fmt"
	"reflect"
)

// Op is a primitive operation. The numbers are this process's own; what is
// stored and sent is (name, version).
type Op uint16

// The primitives.
const (
	OpInvalid Op = iota

	// Elementwise, one operand.
	OpNeg
	OpAbs
	OpSign
	OpExp
	OpExpm1
	OpLog
	OpLog1p
	OpSqrt
	OpRsqrt
	OpTanh
	OpSigmoid
	OpErf
	OpSin
	OpCos
	OpFloor
	OpCeil
	OpRound
	OpIsFinite
	OpNot

	// Elementwise, two operands of one type.
	OpAdd
	OpSub
	OpMul
	OpDiv
	OpRem
	OpPow
	OpMax
	OpMin
	OpAnd
	OpOr
	OpXor
	OpShl
	OpShr
	OpCompare

	OpSelect
	OpConvert
	OpBitcast

	// Sources.
	OpConstant
	OpIota
	OpSize
	OpRandomBits

	// Reductions and orders.
	OpReduce
	OpArgReduce
	OpSort
	OpTopK
	OpCumSum

	// Movement.
	OpReshape
	OpTranspose
	OpBroadcast
	OpSlice
	OpDynamicSlice
	OpDynamicUpdateSlice
	OpPad
	OpReverse
	OpConcat
	OpGather
	OpScatterAdd

	// Contractions and windows.
	OpDot
	OpConv
	OpConvInputGrad
	OpConvFilterGrad
	OpReduceWindow
	OpReduceWindowGrad

	// Structure.
	OpCall
	OpScan
	OpAllReduce
	OpOpaque

	numOps
)

// Class groups ops that backends and passes treat alike.
type Class uint8

// The classes of ops.
const (
	Structural  Class = iota
	Elementwise       // one result element from the same element of each operand
	Source            // no data operands
	Reduction
	Movement
	Contraction
	Window
	Order
)

// OpDef is one row of the op table.
type OpDef struct {
	Name    string
	Version int
	// Since is the IR version that brought the op.
	Since int
	Class Class
	// MinArgs and MaxArgs bound the operands; MaxArgs -1 means any number.
	MinArgs, MaxArgs int
	// Shaped counts the leading operands that are data; those behind it are
	// references of which only the shape is used. -1: all are data.
	Shaped int
	// NewAttrs returns a zero attribute struct; nil where the op has none.
	NewAttrs func() Attrs

	attrType reflect.Type // of what NewAttrs returns
	attrs    []attrField
	infer    func(c *inferContext, in []Type, a Attrs) ([]Type, error)
}

var opTable = makeTable()

func makeTable() *[numOps]OpDef {
	t := new([numOps]OpDef)
	def := func(op Op, name string, class Class, minArgs, maxArgs int, newAttrs func() Attrs, infer func(*inferContext, []Type, Attrs) ([]Type, error)) {
		t[op] = OpDef{Name: name, Version: 1, Since: 1, Class: class, MinArgs: minArgs, MaxArgs: maxArgs, Shaped: -1, NewAttrs: newAttrs, infer: infer}
		if newAttrs != nil {
			t[op].attrType, t[op].attrs = reflect.TypeOf(newAttrs()), attrFields(newAttrs())
		}
	}
	refsAfter := func(op Op, data int) { t[op].Shaped = data }
	for op, name := range map[Op]string{
		OpNeg: "neg", OpAbs: "abs", OpSign: "sign", OpExp: "exp", OpExpm1: "expm1", OpLog: "log", OpLog1p: "log1p",
		OpSqrt: "sqrt", OpRsqrt: "rsqrt", OpTanh: "tanh", OpSigmoid: "sigmoid", OpErf: "erf", OpSin: "sin", OpCos: "cos",
		OpFloor: "floor", OpCeil: "ceil", OpRound: "round",
	} {
		rule := inferFloatUnary
		if op == OpNeg || op == OpAbs || op == OpSign {
			rule = inferNumberUnary
		}
		def(op, name, Elementwise, 1, 1, nil, rule)
	}
	def(OpIsFinite, "is_finite", Elementwise, 1, 1, nil, inferIsFinite)
	def(OpNot, "not", Elementwise, 1, 1, nil, inferBits)
	for op, name := range map[Op]string{OpAdd: "add", OpSub: "sub", OpMul: "mul", OpDiv: "div", OpRem: "rem", OpMax: "max", OpMin: "min", OpPow: "pow"} {
		def(op, name, Elementwise, 2, 2, nil, inferNumberBinary)
	}
	for op, name := range map[Op]string{OpAnd: "and", OpOr: "or", OpXor: "xor"} {
		def(op, name, Elementwise, 2, 2, nil, inferBits)
	}
	for op, name := range map[Op]string{OpShl: "shl", OpShr: "shr"} {
		def(op, name, Elementwise, 2, 2, nil, inferShift)
	}
	def(OpCompare, "compare", Elementwise, 2, 2, func() Attrs { return &CompareAttrs{} }, inferCompare)
	def(OpSelect, "select", Elementwise, 3, 3, nil, inferSelect)
	def(OpConvert, "convert", Elementwise, 1, 1, func() Attrs { return &ConvertAttrs{} }, inferConvert)
	def(OpBitcast, "bitcast", Elementwise, 1, 1, func() Attrs { return &ConvertAttrs{} }, inferBitcast)

	def(OpConstant, "constant", Source, 0, 0, func() Attrs { return &ConstantAttrs{} }, inferConstant)
	def(OpIota, "iota", Source, 0, -1, func() Attrs { return &IotaAttrs{} }, inferIota)
	refsAfter(OpIota, 0)
	def(OpSize, "size", Source, 1, 1, func() Attrs { return &SizeAttrs{} }, inferSize)
	refsAfter(OpSize, 0)
	def(OpRandomBits, "random_bits", Source, 3, -1, func() Attrs { return &RandomBitsAttrs{} }, inferRandomBits)
	refsAfter(OpRandomBits, 3)

	def(OpReduce, "reduce", Reduction, 1, 1, func() Attrs { return &ReduceAttrs{} }, inferReduce)
	def(OpArgReduce, "arg_reduce", Reduction, 1, 1, func() Attrs { return &ArgAttrs{} }, inferArg)
	def(OpSort, "sort", Order, 1, -1, func() Attrs { return &SortAttrs{} }, inferSort)
	def(OpTopK, "top_k", Order, 1, 1, func() Attrs { return &TopKAttrs{} }, inferTopK)
	def(OpCumSum, "cumsum", Order, 1, 1, func() Attrs { return &CumSumAttrs{} }, inferCumSum)

	def(OpReshape, "reshape", Movement, 1, -1, func() Attrs { return &ReshapeAttrs{} }, inferReshape)
	refsAfter(OpReshape, 1)
	def(OpTranspose, "transpose", Movement, 1, 1, func() Attrs { return &TransposeAttrs{} }, inferTranspose)
	def(OpBroadcast, "broadcast", Movement, 1, -1, func() Attrs { return &BroadcastAttrs{} }, inferBroadcast)
	refsAfter(OpBroadcast, 1)
	def(OpSlice, "slice", Movement, 1, -1, func() Attrs { return &SliceAttrs{} }, inferSlice)
	refsAfter(OpSlice, 1)
	def(OpDynamicSlice, "dynamic_slice", Movement, 1, -1, func() Attrs { return &DynamicSliceAttrs{} }, inferDynamicSlice)
	def(OpDynamicUpdateSlice, "dynamic_update_slice", Movement, 2, -1, nil, inferDynamicUpdateSlice)
	def(OpPad, "pad", Movement, 2, -1, func() Attrs { return &PadAttrs{} }, inferPad)
	refsAfter(OpPad, 2)
	def(OpReverse, "reverse", Movement, 1, 1, func() Attrs { return &ReverseAttrs{} }, inferReverse)
	def(OpConcat, "concat", Movement, 1, -1, func() Attrs { return &ConcatAttrs{} }, inferConcat)
	def(OpGather, "gather", Movement, 2, 2, func() Attrs { return &GatherAttrs{} }, inferGather)
	def(OpScatterAdd, "scatter_add", Movement, 3, 3, func() Attrs { return &GatherAttrs{} }, inferScatterAdd)

	def(OpDot, "dot", Contraction, 2, 2, func() Attrs { return &DotAttrs{} }, inferDot)
	def(OpConv, "conv", Contraction, 2, 2, func() Attrs { return &ConvAttrs{} }, inferConv)
	def(OpConvInputGrad, "conv_input_grad", Contraction, 3, 3, func() Attrs { return &ConvAttrs{} }, inferConvInputGrad)
	refsAfter(OpConvInputGrad, 2)
	def(OpConvFilterGrad, "conv_filter_grad", Contraction, 3, 3, func() Attrs { return &ConvAttrs{} }, inferConvFilterGrad)
	refsAfter(OpConvFilterGrad, 2)
	def(OpReduceWindow, "reduce_window", Window, 1, 1, func() Attrs { return &WindowAttrs{} }, inferWindow)
	def(OpReduceWindowGrad, "reduce_window_grad", Window, 2, 2, func() Attrs { return &WindowAttrs{} }, inferWindowGrad)

	def(OpCall, "call", Structural, 0, -1, func() Attrs { return &CallAttrs{} }, inferCall)
	def(OpScan, "scan", Structural, 0, -1, func() Attrs { return &ScanAttrs{} }, inferScan)
	def(OpAllReduce, "all_reduce", Structural, 1, 1, func() Attrs { return &AllReduceAttrs{} }, inferAllReduce)
	def(OpOpaque, "opaque_call", Structural, 0, -1, func() Attrs { return &OpaqueAttrs{} }, inferOpaque)
	return t
}

// Ops returns every primitive in declaration order.
func Ops() []Op {
	ops := make([]Op, 0, numOps-1)
	for op := OpInvalid + 1; op < numOps; op++ {
		ops = append(ops, op)
	}
	return ops
}

// Def returns the op's row of the table. It panics on a number that names no
// op, which only a caller's own code can produce.
func (o Op) Def() *OpDef {
	if o <= OpInvalid || o >= numOps {
		panic(fmt.Sprintf("graph: no op %d", o))
	}
	return &opTable[o]
}

// Valid reports whether o names a primitive.
func (o Op) Valid() bool { return o > OpInvalid && o < numOps }

// String returns the op's name.
func (o Op) String() string {
	if o.Valid() {
		return opTable[o].Name
	}
	return fmt.Sprintf("op(%d)", uint16(o))
}

// LookupOp returns the primitive of that name and version. Versions are never
// removed; the error names the versions this host knows.
func LookupOp(name string, version int) (Op, error) {
	for op := OpInvalid + 1; op < numOps; op++ {
		if d := &opTable[op]; d.Name == name {
			if version != d.Version {
				return OpInvalid, fmt.Errorf("op %s@%d is newer than this host, which knows version %d; upgrade hone, or ask the plugin's author to trace for IR version %d", name, version, d.Version, Version)
			}
			return op, nil
		}
	}
	return OpInvalid, fmt.Errorf("unknown op %s@%d; this host's IR is version %d", name, version, Version)
}
