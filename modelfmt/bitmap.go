package modelfmt

import (
	"encoding/binary"
	"math/bits"
)

// A bitmap has one bit for each element, set when any bit of the element is; bit
// i%8 of byte i/8 is element i. Negative zero is an element that is not zero.

func countBits(b []byte) int {
	n := 0
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, v := range b {
		n += bits.OnesCount8(v)
	}
	return n
}

// countNonzero counts elements of the given width that are not all zero bits.
func countNonzero(p []byte, width int) int {
	n := 0
	switch width {
	case 1:
		for _, v := range p {
			n += nonzero(uint64(v))
		}
	case 2:
		for ; len(p) >= 2; p = p[2:] {
			n += nonzero(uint64(binary.LittleEndian.Uint16(p)))
		}
	case 4:
		for ; len(p) >= 4; p = p[4:] {
			n += nonzero(uint64(binary.LittleEndian.Uint32(p)))
		}
	case 8:
		for ; len(p) >= 8; p = p[8:] {
			n += nonzero(binary.LittleEndian.Uint64(p))
		}
	}
	return n
}

// nonzero is 1 for v != 0, without a branch.
func nonzero(v uint64) int { return int((v | -v) >> 63) }

// packNonzero appends the bitmap of data and its non-zero elements.
func packNonzero(bitmap, packed, data []byte, width int) ([]byte, []byte) {
	n := len(data) / width
	at := len(packed)
	// Every element is stored and only some are kept, which spares a branch that
	// nobody can predict; the last store may end past the last kept element.
	packed = grow(packed, len(data)+8)
	first := len(bitmap)
	bitmap = grow(bitmap, (n+7)/8)
	bits := bitmap[first:]
	clear(bits)
	switch width {
	case 4:
		at = pack4(bits, packed, at, data)
	case 2:
		for i := 0; i < n; i++ {
			u := binary.LittleEndian.Uint16(data[2*i:])
			binary.LittleEndian.PutUint16(packed[at:], u)
			set := nonzero(uint64(u))
			at += 2 * set
			bits[i/8] |= byte(set) << (i % 8)
		}
	default:
		for i := 0; i < n; i++ {
			element := data[i*width:][:width]
			if set := countNonzero(element, width); set != 0 {
				at += copy(packed[at:], element)
				bits[i/8] |= 1 << (i % 8)
			}
		}
	}
	return bitmap, packed[:at]
}

// pack4 is packNonzero for elements of four bytes, eight of them at a time.
func pack4(bits, packed []byte, at int, data []byte) int {
	for len(data) >= 32 {
		block := (*[32]byte)(data)
		var mask uint32
		for k := range 8 {
			u := binary.LittleEndian.Uint32(block[4*k : 4*k+4])
			binary.LittleEndian.PutUint32(packed[at:at+4], u)
			set := (u | -u) >> 31
			at += int(4 * set)
			mask |= set << k
		}
		bits[0] = byte(mask)
		bits, data = bits[1:], data[32:]
	}
	for k := 0; len(data) >= 4; k++ {
		u := binary.LittleEndian.Uint32(data)
		binary.LittleEndian.PutUint32(packed[at:], u)
		set := (u | -u) >> 31
		at += int(4 * set)
		bits[0] |= byte(set) << k
		data = data[4:]
	}
	return at
}

// grow returns b with n more bytes of length.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		c := make([]byte, len(b), len(b)+max(n, len(b)))
		copy(c, b)
		b = c
	}
	return b[:len(b)+n]
}

// unpackNonzero is the inverse of packNonzero for one chunk. packed must hold as
// many elements as bitmap has bits set.
func unpackNonzero(dst, bitmap, packed []byte, width int) {
	clear(dst)
	for j, m := range bitmap {
		for ; m != 0; m &= m - 1 {
			i := 8*j + bits.TrailingZeros8(m)
			switch width {
			case 1:
				dst[i] = packed[0]
			case 2:
				*(*[2]byte)(dst[2*i:]) = [2]byte(packed)
			case 4:
				*(*[4]byte)(dst[4*i:]) = [4]byte(packed)
			case 8:
				*(*[8]byte)(dst[8*i:]) = [8]byte(packed)
			}
			packed = packed[width:]
		}
	}
}
