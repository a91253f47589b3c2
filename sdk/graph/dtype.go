package graph

import "fmt"

// DType is the element type of a tensor.
type DType uint8

// The element types. Their numbers are part of the wire format.
const (
	Invalid DType = iota
	F64
	F32
	BF16
	F16
	I64
	I32
	I8
	U64
	U32
	U8
	Bool
)

var dtypeNames = [...]string{"invalid", "f64", "f32", "bf16", "f16", "i64", "i32", "i8", "u64", "u32", "u8", "bool"}
var dtypeSizes = [...]int{0, 8, 4, 2, 2, 8, 4, 1, 8, 4, 1, 1}

// String returns the type's name as the text form and checkpoints spell it.
func (d DType) String() string {
	if int(d) < len(dtypeNames) {
		return dtypeNames[d]
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Size returns the bytes one element takes; 0 for an invalid type.
func (d DType) Size() int {
	if int(d) < len(dtypeSizes) {
		return dtypeSizes[d]
	}
	return 0
}

// Valid reports whether d is one of the declared types.
func (d DType) Valid() bool { return d > Invalid && d <= Bool }

// IsFloat reports whether d is a floating-point type.
func (d DType) IsFloat() bool { return d >= F64 && d <= F16 }

// IsInt reports whether d is an integer type, signed or not.
func (d DType) IsInt() bool { return d >= I64 && d <= U8 }

// IsUnsigned reports whether d is an unsigned integer type.
func (d DType) IsUnsigned() bool { return d >= U64 && d <= U8 }

// ParseDType returns the type called name.
func ParseDType(name string) (DType, error) {
	for i, n := range dtypeNames {
		if i > 0 && n == name {
			return DType(i), nil
		}
	}
	return Invalid, fmt.Errorf("unknown element type %q; the types are f64 f32 bf16 f16 i64 i32 i8 u64 u32 u8 bool", name)
}
