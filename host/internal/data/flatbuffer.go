package data

import (
	"encoding/binary"
	"errors"
)

// flatTable is a table of a FlatBuffers message, of which Arrow's metadata are made. Reading outside
// of the message panics with errFlat (or as slices do), which Arrow.guard turns into an
// error; nothing is allocated by what a message says.
type flatTable struct {
	buf    []byte
	at     int // of the table
	vtable int
	slots  int // bytes of the vtable
}

var errFlat = errors.New("its metadata are damaged")

func flatU16(b []byte, at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
func flatU32(b []byte, at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }

// flatRoot returns a message's root table.
func flatRoot(buf []byte) flatTable { return flatAt(buf, flatU32(buf, 0)) }

func flatAt(buf []byte, at int) flatTable {
	vtable := at - int(int32(flatU32(buf, at)))
	if vtable < 0 {
		panic(errFlat)
	}
	return flatTable{buf, at, vtable, flatU16(buf, vtable)}
}

// field returns the place of a field's value, 0 if the field is absent.
func (t flatTable) field(slot int) int {
	if o := 4 + 2*slot; o+2 <= t.slots {
		if at := flatU16(t.buf, t.vtable+o); at != 0 {
			return t.at + at
		}
	}
	return 0
}

func (t flatTable) u8(slot int, otherwise int) int {
	if at := t.field(slot); at != 0 {
		return int(t.buf[at])
	}
	return otherwise
}

func (t flatTable) i16(slot, otherwise int) int {
	if at := t.field(slot); at != 0 {
		return int(int16(flatU16(t.buf, at)))
	}
	return otherwise
}

func (t flatTable) i32(slot, otherwise int) int {
	if at := t.field(slot); at != 0 {
		return int(int32(flatU32(t.buf, at)))
	}
	return otherwise
}

func (t flatTable) i64(slot int) int64 {
	if at := t.field(slot); at != 0 {
		return flatI64(t.buf, at)
	}
	return 0
}

func flatI64(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }

// table follows a field to another table.
func (t flatTable) table(slot int) (flatTable, bool) {
	at := t.field(slot)
	if at == 0 {
		return flatTable{}, false
	}
	return flatAt(t.buf, at+flatU32(t.buf, at)), true
}

func (t flatTable) str(slot int) string {
	at := t.field(slot)
	if at == 0 {
		return ""
	}
	at += flatU32(t.buf, at)
	n := flatU32(t.buf, at)
	return string(t.buf[at+4 : at+4+n])
}

// vector returns the place and number of a vector's elements, each of which
// takes size bytes.
func (t flatTable) vector(slot, size int) (at, n int) {
	if at = t.field(slot); at == 0 {
		return 0, 0
	}
	at += flatU32(t.buf, at)
	n = flatU32(t.buf, at)
	at += 4
	if n > (len(t.buf)-at)/size {
		panic(errFlat)
	}
	return at, n
}

// element returns table i of a vector of tables at at.
func (t flatTable) element(at, i int) flatTable {
	at += 4 * i
	return flatAt(t.buf, at+flatU32(t.buf, at))
}
