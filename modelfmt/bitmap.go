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
	// Room for a store past the last kept element keeps the loop branchless.
	packed = grow(packed, len(data)+8)
	var mask byte
	for i := range n {
		var v uint64
		switch width {
		case 1:
			v = uint64(data[i])
			packed[at] = data[i]
		case 2:
			u := binary.LittleEndian.Uint16(data[2*i:])
			v = uint64(u)
			binary.LittleEndian.PutUint16(packed[at:], u)
		case 4:
			u := binary.LittleEndian.Uint32(data[4*i:])
			v = uint64(u)
			binary.LittleEndian.PutUint32(packed[at:], u)
		case 8:
			v = binary.LittleEndian.Uint64(data[8*i:])
			binary.LittleEndian.PutUint64(packed[at:], v)
		}
		set := nonzero(v)
		at += set * width
		mask |= byte(set) << (i % 8)
		if i%8 == 7 {
			bitmap = append(bitmap, mask)
			mask = 0
		}
	}
	if n%8 != 0 {
		bitmap = append(bitmap, mask)
	}
	return bitmap, packed[:at]
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
