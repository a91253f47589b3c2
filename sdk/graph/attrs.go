package graph

// Attrs is the attribute struct of an op. The struct's exported fields, in
// order, are the attributes; their types are limited to those that the codec
// knows (int64, bool, string and string enums, float64, DType, *Tensor,
// []int64, []DimExpr, []Type), so that text, wire and canonical form all come
// from one table. Attributes are immutable once a node holds them.
type Attrs interface{ attrs() }

// ReduceKind selects the operation of a reduction or window.
type ReduceKind string

// The kinds of reductions.
const (
	Sum  ReduceKind = "sum"
	Prod ReduceKind = "prod"
	Max  ReduceKind = "max"
	Min  ReduceKind = "min"
	All  ReduceKind = "and"
	Some ReduceKind = "or"
)

// Direction selects the comparison of a compare op.
type Direction string

// The comparisons. Every one but Ne is false where an operand is NaN.
const (
	Eq Direction = "eq"
	Ne Direction = "ne"
	Lt Direction = "lt"
	Le Direction = "le"
	Gt Direction = "gt"
	Ge Direction = "ge"
)

// Precision says how freely a dot or convolution may round its operands.
type Precision string

// The precisions of dot and convolution.
const (
	// Default lets a backend take its fastest path that keeps the operands' type.
	Default Precision = ""
	// Fast allows operands to be rounded to a narrower float (tf32, bf16).
	Fast Precision = "fast"
	// Highest forbids any shortcut.
	Highest Precision = "highest"
)

type (
	// ConvertAttrs are those of convert and bitcast.
	ConvertAttrs struct{ To DType }

	// ConstantAttrs hold a literal, or the name of one of the module's
	// constants together with its type.
	ConstantAttrs struct {
		Value *Tensor
		Ref   string
		To    DType
		Dims  []int64
	}

	// IotaAttrs: Shape over the reference operands; counts along Axis.
	IotaAttrs struct {
		To    DType
		Axis  int64
		Shape []DimExpr
	}

	// SizeAttrs: the axis measured.
	SizeAttrs struct{ Axis int64 }

	// CompareAttrs: the comparison.
	CompareAttrs struct{ Direction Direction }

	// ReduceAttrs: the axes are removed from the shape, ascending.
	ReduceAttrs struct {
		Kind ReduceKind
		Axes []int64
	}

	// ArgAttrs are those of arg_reduce: Kind is max or min.
	ArgAttrs struct {
		Kind ReduceKind
		Axis int64
	}

	// SortAttrs: operand 0 is the key, the others are carried along.
	SortAttrs struct {
		Axis       int64
		Descending bool
	}

	// TopKAttrs: the K largest along the last axis.
	TopKAttrs struct{ K int64 }

	// CumSumAttrs: a running sum along Axis.
	CumSumAttrs struct {
		Axis      int64
		Exclusive bool
		Reverse   bool
	}

	// ReshapeAttrs: Shape over operand 0 and the reference operands.
	ReshapeAttrs struct{ Shape []DimExpr }

	// TransposeAttrs: axis i of the result is axis Perm[i] of the operand.
	TransposeAttrs struct{ Perm []int64 }

	// BroadcastAttrs: axis i of the operand becomes axis Dims[i] of the result
	// and has its extent, or 1. Shape is over operand 0 and the references.
	BroadcastAttrs struct {
		Dims  []int64
		Shape []DimExpr
	}

	// SliceAttrs: [Start, Limit) with Stride on every axis; Start and Limit are
	// over operand 0 and the references.
	SliceAttrs struct {
		Start, Limit []DimExpr
		Stride       []int64
	}

	// DynamicSliceAttrs: the extents taken, over operand 0.
	DynamicSliceAttrs struct{ Sizes []DimExpr }

	// PadAttrs: elements added before, after and between those of each axis;
	// Low and High may be negative, which crops. Operand 1 is the scalar put
	// there; Low and High are over operand 0 and the references behind operand 1.
	PadAttrs struct {
		Low, High []DimExpr
		Interior  []int64
	}

	// ReverseAttrs: the axes reversed.
	ReverseAttrs struct{ Axes []int64 }

	// ConcatAttrs: the axis joined.
	ConcatAttrs struct{ Axis int64 }

	// GatherAttrs are those of gather and scatter_add. The first BatchDims axes
	// of operand and indices run together; Axis >= BatchDims is indexed.
	GatherAttrs struct{ Axis, BatchDims int64 }

	// DotAttrs: result axes are batch, free of the left, free of the right.
	DotAttrs struct {
		LeftBatch, RightBatch       []int64
		LeftContract, RightContract []int64
		Precision                   Precision
		Accum, Out                  DType
	}

	// ConvAttrs are those of conv, conv_input_grad and conv_filter_grad.
	// Layouts are fixed: input [n, spatial..., c], filter [spatial..., c/groups,
	// o], output [n, spatial..., o].
	ConvAttrs struct {
		Strides         []int64
		PadLow, PadHigh []int64
		InputDilation   []int64
		FilterDilation  []int64
		Groups          int64
		Precision       Precision
		Accum, Out      DType
	}

	// WindowAttrs are those of reduce_window and reduce_window_grad; one entry
	// for every axis. Padding holds the kind's identity element.
	WindowAttrs struct {
		Kind            ReduceKind
		Window, Strides []int64
		PadLow, PadHigh []int64
		Dilation        []int64
	}

	// RandomBitsAttrs: Shape, over the reference operands that follow key, step
	// and index, is that of one example.
	RandomBitsAttrs struct{ Shape []DimExpr }

	// CallAttrs: the callee is found by name in the caller's mode. Scope is the
	// path under which the callee's parameters stand in the caller's; "" for a
	// call that holds no parameters.
	CallAttrs struct{ Callee, Scope string }

	// ScanAttrs: operands are Carries values, Consts values, then sequences
	// whose leading axis is scanned; the callee maps (carries, consts, slices)
	// to (carries, slices out). Length counts the steps where there is no
	// sequence.
	ScanAttrs struct {
		Callee          string
		Carries, Consts int64
		Length          int64
		Reverse         bool
	}

	// AllReduceAttrs: replicas 0..Shards-1 in groups of Group consecutive ones
	// (0: all); Order is tree (the same bits for any placement) or any.
	AllReduceAttrs struct {
		Kind          ReduceKind
		Shards, Group int64
		Order         string
	}

	// OpaqueAttrs: a component that computes outside the graph, and its result
	// types. Gradient is the component that, from operands, results and the
	// gradients of the floating-point results, gives the gradients of the
	// floating-point operands, with the same Config; "" for none.
	OpaqueAttrs struct {
		Component string
		Config    string
		Types     []Type
		Gradient  string
	}
)

func (*ConvertAttrs) attrs()      {}
func (*ConstantAttrs) attrs()     {}
func (*IotaAttrs) attrs()         {}
func (*SizeAttrs) attrs()         {}
func (*CompareAttrs) attrs()      {}
func (*ReduceAttrs) attrs()       {}
func (*ArgAttrs) attrs()          {}
func (*SortAttrs) attrs()         {}
func (*TopKAttrs) attrs()         {}
func (*CumSumAttrs) attrs()       {}
func (*ReshapeAttrs) attrs()      {}
func (*TransposeAttrs) attrs()    {}
func (*BroadcastAttrs) attrs()    {}
func (*SliceAttrs) attrs()        {}
func (*DynamicSliceAttrs) attrs() {}
func (*PadAttrs) attrs()          {}
func (*ReverseAttrs) attrs()      {}
func (*ConcatAttrs) attrs()       {}
func (*GatherAttrs) attrs()       {}
func (*DotAttrs) attrs()          {}
func (*ConvAttrs) attrs()         {}
func (*WindowAttrs) attrs()       {}
func (*RandomBitsAttrs) attrs()   {}
func (*CallAttrs) attrs()         {}
func (*ScanAttrs) attrs()         {}
func (*AllReduceAttrs) attrs()    {}
func (*OpaqueAttrs) attrs()       {}
