// Package planes takes elements apart into their bytes of equal significance, and
// puts them together again: plane k of n elements is the n bytes number k.
//
// With rotate, elements are first rotated left by one bit, which moves the sign
// of a float to the lowest bit and gives the exponent a plane of its own, for
// float32 and bfloat16 exactly.
//
// The package must not know what the bytes mean. planes.go is the definition;
// the assembly in planes_amd64.s does the same for groups of 32 elements.
package planes

import "encoding/binary"

//go:generate go -C ../asmgen run . -what planes -out ../planes/planes_amd64.s -stubs ../planes/planes_amd64.go -pkg planes

// Split fills width planes from src, whose length is width × len(planes[0]).
// width is 1, 2, 4 or 8.
func Split(planes [][]byte, src []byte, width int, rotate bool) {
	done := splitFast(planes, src, width, rotate)
	splitPortable(planes, src, width, rotate, done)
}

// Join is the inverse of Split. planes may lie anywhere but in dst.
func Join(dst []byte, planes [][]byte, width int, rotate bool) {
	done := joinFast(dst, planes, width, rotate)
	joinPortable(dst, planes, width, rotate, done)
}

// splitPortable splits the elements from the given one on.
func splitPortable(planes [][]byte, src []byte, width int, rotate bool, from int) {
	n := len(src) / width
	var r uint
	if rotate {
		r = 1
	}
	switch width {
	case 1:
		copy(planes[0][from:], src[from:])
	case 2:
		p0, p1 := planes[0][:n], planes[1][:n]
		for i := from; i < n; i++ {
			u := binary.LittleEndian.Uint16(src[2*i:])
			u = u<<r | u>>(16-r)
			p0[i], p1[i] = byte(u), byte(u>>8)
		}
	case 4:
		p0, p1, p2, p3 := planes[0][:n], planes[1][:n], planes[2][:n], planes[3][:n]
		for i := from; i < n; i++ {
			u := binary.LittleEndian.Uint32(src[4*i:])
			u = u<<r | u>>(32-r)
			p0[i], p1[i], p2[i], p3[i] = byte(u), byte(u>>8), byte(u>>16), byte(u>>24)
		}
	case 8:
		for i := from; i < n; i++ {
			u := binary.LittleEndian.Uint64(src[8*i:])
			u = u<<r | u>>(64-r)
			for k := range 8 {
				planes[k][i] = byte(u >> (8 * k))
			}
		}
	}
}

func joinPortable(dst []byte, planes [][]byte, width int, rotate bool, from int) {
	n := len(dst) / width
	var r uint
	if rotate {
		r = 1
	}
	switch width {
	case 1:
		copy(dst[from:], planes[0][from:])
	case 2:
		p0, p1 := planes[0][:n], planes[1][:n]
		for i := from; i < n; i++ {
			u := uint16(p0[i]) | uint16(p1[i])<<8
			binary.LittleEndian.PutUint16(dst[2*i:], u>>r|u<<(16-r))
		}
	case 4:
		p0, p1, p2, p3 := planes[0][:n], planes[1][:n], planes[2][:n], planes[3][:n]
		for i := from; i < n; i++ {
			u := uint32(p0[i]) | uint32(p1[i])<<8 | uint32(p2[i])<<16 | uint32(p3[i])<<24
			binary.LittleEndian.PutUint32(dst[4*i:], u>>r|u<<(32-r))
		}
	case 8:
		for i := from; i < n; i++ {
			var u uint64
			for k := range 8 {
				u |= uint64(planes[k][i]) << (8 * k)
			}
			binary.LittleEndian.PutUint64(dst[8*i:], u>>r|u<<(64-r))
		}
	}
}
