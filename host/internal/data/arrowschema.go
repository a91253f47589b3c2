package data

import (
	"fmt"
)

// The numbers of Arrow's format files Schema.fbs, Message.fbs and File.fbs.
const (
	arrowNull          = 1
	arrowInt           = 2
	arrowFloat         = 3
	arrowBinary        = 4
	arrowUTF8          = 5
	arrowBool          = 6
	arrowDecimal       = 7
	arrowDate          = 8
	arrowTime          = 9
	arrowTimestamp     = 10
	arrowInterval      = 11
	arrowList          = 12
	arrowStruct        = 13
	arrowUnion         = 14
	arrowFixedBinary   = 15
	arrowFixedList     = 16
	arrowMap           = 17
	arrowDuration      = 18
	arrowLargeBinary   = 19
	arrowLargeUTF8     = 20
	arrowLargeList     = 21
	arrowRunEnd        = 22
	arrowBinaryView    = 23
	arrowUTF8View      = 24
	arrowListView      = 25
	arrowLargeListView = 26

	arrowMaxDepth = 64
)

// arrowField is one column of a file's schema, or part of one.
type arrowField struct {
	name     string
	kind     int // one of the constants above
	bits     int // of numbers
	signed   bool
	scale    int // of decimals
	size     int // of fixed lists
	dense    bool
	dict     *int64 // of its dictionary, if it has one
	index    *arrowField
	children []arrowField
}

func readArrowFields(schema flatTable) ([]arrowField, error) {
	if schema.i16(0, 0) != 0 {
		return nil, fmt.Errorf("its numbers are big-endian")
	}
	at, n := schema.vector(1, 4)
	if n > maxColumns {
		return nil, fmt.Errorf("it has %d columns", n)
	}
	fields := make([]arrowField, n)
	budget := maxColumns // of fields within fields, which may share their bytes
	for i := range fields {
		if err := fields[i].read(schema.element(at, i), 0, &budget); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func (f *arrowField) read(t flatTable, depth int, budget *int) error {
	if *budget--; depth > arrowMaxDepth || *budget < 0 {
		return fmt.Errorf("its columns are nested too deep")
	}
	f.name = t.str(0)
	f.kind = t.u8(2, 0)
	details, ok := t.table(3)
	if !ok {
		return errFlat
	}
	switch f.kind {
	case arrowInt:
		f.bits, f.signed = details.i32(0, 0), details.u8(1, 0) != 0
	case arrowFloat:
		f.bits = 16 << min(max(details.i16(0, 0), 0), 2)
	case arrowDecimal:
		f.scale, f.bits = details.i32(1, 0), details.i32(2, 128)
	case arrowDate:
		f.bits = 32 << min(max(details.i16(0, 1), 0), 1)
	case arrowTime:
		f.bits = details.i32(1, 32)
	case arrowTimestamp, arrowDuration:
		f.bits = 64
	case arrowFixedList:
		f.size = details.i32(0, 0)
	case arrowUnion:
		f.dense = details.i16(0, 0) == 1
	}
	if d, ok := t.table(4); ok {
		id := d.i64(0)
		f.dict = &id
		f.index = &arrowField{kind: arrowInt, bits: 32, signed: true}
		if i, ok := d.table(1); ok {
			f.index.bits, f.index.signed = i.i32(0, 0), i.u8(1, 0) != 0
		}
	}
	at, n := t.vector(5, 4)
	if n > *budget {
		return fmt.Errorf("its columns have too many parts")
	}
	f.children = make([]arrowField, n)
	for i := range f.children {
		if err := f.children[i].read(t.element(at, i), depth+1, budget); err != nil {
			return err
		}
	}
	return nil
}

// element returns the type of a column's elements and the shape of one
// example; Invalid for what is not read.
func (f *arrowField) element() (Type, []int) {
	if f.dict != nil {
		if f.kind == arrowUTF8 || f.kind == arrowLargeUTF8 || f.kind == arrowUTF8View {
			return String, nil
		}
		return Invalid, nil
	}
	switch f.kind {
	case arrowNull:
		return F64, nil
	case arrowBool:
		return Bool, nil
	case arrowInt, arrowDate, arrowTime, arrowTimestamp, arrowDuration:
		switch {
		case f.kind == arrowInt && f.bits == 8 && f.signed:
			return I8, nil
		case f.kind == arrowInt && f.bits == 8:
			return U8, nil
		case f.bits == 16, f.bits == 32 && (f.signed || f.kind != arrowInt):
			return I32, nil
		case f.bits == 32, f.bits == 64:
			return I64, nil
		}
	case arrowFloat:
		if f.bits == 64 {
			return F64, nil
		}
		return F32, nil
	case arrowDecimal:
		if f.bits == 32 || f.bits == 64 || f.bits == 128 || f.bits == 256 {
			return F64, nil
		}
	case arrowUTF8, arrowLargeUTF8, arrowUTF8View:
		return String, nil
	case arrowFixedList:
		if len(f.children) == 1 && f.size > 0 && f.size <= 1<<24 {
			if t, shape := f.children[0].element(); t.Numeric() && product(shape) <= 1<<24/f.size {
				return t, append([]int{f.size}, shape...)
			}
		}
	}
	return Invalid, nil
}

// String names the type for messages.
func (f *arrowField) String() string {
	names := map[int]string{arrowBinary: "binary", arrowInterval: "interval", arrowList: "list", arrowStruct: "struct", arrowUnion: "union",
		arrowFixedBinary: "fixed-size binary", arrowFixedList: "fixed-size list", arrowMap: "map", arrowLargeBinary: "large binary",
		arrowLargeList: "large list", arrowRunEnd: "run-end encoded", arrowBinaryView: "binary view", arrowListView: "list view", arrowLargeListView: "large list view"}
	if name := names[f.kind]; name != "" && f.dict == nil {
		return name
	}
	return fmt.Sprintf("type %d of %d bits", f.kind, f.bits)
}
