package modelfmt

import "fmt"

// DType is the element type of a tensor. Its numeric values are part of the
// format and never change.
type DType uint8

// The element types. All are stored little endian; Bool takes one byte, 0 or 1.
const (
	F64  DType = 1
	F32  DType = 2
	BF16 DType = 3
	F16  DType = 4
	I64  DType = 5
	I32  DType = 6
	I8   DType = 7
	U64  DType = 8
	U32  DType = 9
	U8   DType = 10
	Bool DType = 11
)

type dtypeFacts struct {
	name string
	size int
}

// dtypeTable is indexed by DType. A zero entry is a type this version lacks.
var dtypeTable = [...]dtypeFacts{
	F64: {"f64", 8}, F32: {"f32", 4}, BF16: {"bf16", 2}, F16: {"f16", 2},
	I64: {"i64", 8}, I32: {"i32", 4}, I8: {"i8", 1},
	U64: {"u64", 8}, U32: {"u32", 4}, U8: {"u8", 1}, Bool: {"bool", 1},
}

// DTypes lists every element type, in the order of their codes.
func DTypes() []DType {
	return []DType{F64, F32, BF16, F16, I64, I32, I8, U64, U32, U8, Bool}
}

// Valid reports whether d is a type of this format version.
func (d DType) Valid() bool { return int(d) < len(dtypeTable) && dtypeTable[d].size > 0 }

// Size returns the bytes of one element, 0 for an invalid type.
func (d DType) Size() int {
	if !d.Valid() {
		return 0
	}
	return dtypeTable[d].size
}

// String returns the name of the type: f64, f32, bf16, f16, i64, i32, i8, u64,
// u32, u8 or bool.
func (d DType) String() string {
	if !d.Valid() {
		return fmt.Sprintf("dtype(%d)", uint8(d))
	}
	return dtypeTable[d].name
}

// ParseDType returns the type with the given name, such as "bf16".
func ParseDType(name string) (DType, error) {
	for _, d := range DTypes() {
		if dtypeTable[d].name == name {
			return d, nil
		}
	}
	return 0, fmt.Errorf("unknown element type %q: use one of f64, f32, bf16, f16, i64, i32, i8, u64, u32, u8, bool", name)
}

// MarshalText writes the name of the type, so that JSON shows "f32".
func (d DType) MarshalText() ([]byte, error) {
	if !d.Valid() {
		return nil, fmt.Errorf("element type %d has no name", uint8(d))
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads the name of a type.
func (d *DType) UnmarshalText(text []byte) error {
	v, err := ParseDType(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// TensorInfo describes one tensor.
type TensorInfo struct {
	// Name is unique among the tensors of a file: 1 to 1024 bytes of UTF-8
	// without control characters. It is a name and never a path.
	Name string `json:"name"`
	// DType is the element type.
	DType DType `json:"dtype"`
	// Shape has the dimensions, outermost first; elements lie in row-major
	// order. An empty shape is a scalar, and a dimension may be 0.
	Shape []int `json:"shape"`
	// Role says what the tensor is for its owner: "param", "state", "slot",
	// "mask" and so on. Free text of at most 64 bytes; may be empty.
	Role string `json:"role,omitempty"`
	// Encoding is the owner's note on how the elements are to be understood,
	// for example "bitmap" or "int8". Free text of at most 256 bytes; empty
	// means dense. The stored bytes are always Shape × DType.
	Encoding string `json:"encoding,omitempty"`
}

// Elements returns the number of elements. Shapes that come from a [Reader], or
// that a [Writer] accepted, never overflow.
func (t TensorInfo) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes returns the size of the tensor's dense bytes.
func (t TensorInfo) Bytes() int64 { return int64(t.Elements()) * int64(t.DType.Size()) }
