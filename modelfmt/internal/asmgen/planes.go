package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// bytesTable declares read-only bytes, given as indices for a byte shuffle and
// repeated in both halves of a register.
func bytesTable(name string, idx [16]int) Mem {
	var words []uint32
	for range 2 {
		for i := 0; i < 16; i += 4 {
			words = append(words, uint32(idx[i])|uint32(idx[i+1])<<8|uint32(idx[i+2])<<16|uint32(idx[i+3])<<24)
		}
	}
	return table(name, words)
}

func planes() {
	for _, rotate := range []bool{false, true} {
		suffix := ""
		if rotate {
			suffix = "Rotated"
		}
		split4("split4"+suffix, rotate)
		join4("join4"+suffix, rotate)
		split2("split2"+suffix, rotate)
		join2("join2"+suffix, rotate)
	}
}

var shuffle4, lanes4, unlanes4, shuffle2 Mem

func pointers(names ...string) []Mem {
	var out []Mem
	for _, n := range names {
		out = append(out, Mem{Base: Load(Param(n), GP64())})
	}
	return out
}

func advance(n uint64, ms ...Mem) {
	for _, m := range ms {
		ADDQ(Imm(n), m.Base)
	}
}

// rotate32 rotates the words of v by one bit: left, or right when back is set.
func rotate32(v, t VecPhysical, back bool) {
	if back {
		VPSLLD(Imm(31), v, t)
		VPSRLD(Imm(1), v, v)
	} else {
		VPSRLD(Imm(31), v, t)
		VPADDD(v, v, v)
	}
	VPOR(t, v, v)
}

func rotate16(v, t VecPhysical, back bool) {
	if back {
		VPSLLW(Imm(15), v, t)
		VPSRLW(Imm(1), v, v)
	} else {
		VPSRLW(Imm(15), v, t)
		VPADDW(v, v, v)
	}
	VPOR(t, v, v)
}

// split4 turns 32 elements of four bytes into 32 bytes for each plane.
func split4(name string, rotate bool) {
	if shuffle4.Base == nil {
		shuffle4 = bytesTable("shuffle4", [16]int{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15})
		lanes4 = table("lanes4", []uint32{0, 4, 1, 5, 2, 6, 3, 7})
	}
	TEXT(name, NOSPLIT, "func(p0, p1, p2, p3, src *byte, n uint64)")
	Pragma("noescape")
	Doc(name + " splits n groups of 32 elements.")
	p := pointers("p0", "p1", "p2", "p3", "src")
	n := Load(Param("n"), GP64())
	shuffle, lanes := Y14, Y15
	VMOVDQU(shuffle4, shuffle)
	VMOVDQU(lanes4, lanes)
	Label("loop")
	for i := range 4 {
		VMOVDQU(p[4].Offset(32*i), y[i])
	}
	for i := range 4 {
		if rotate {
			rotate32(y[i], y[4+i], false)
		}
		VPSHUFB(shuffle, y[i], y[i])
		VPERMD(y[i], lanes, y[i])
	}
	// y[i] now has eight bytes of each plane: a 4×4 transpose of words of 8.
	VPUNPCKLQDQ(y[1], y[0], y[4]) // planes 0 and 2 of 0, 1
	VPUNPCKHQDQ(y[1], y[0], y[5]) // planes 1 and 3 of 0, 1
	VPUNPCKLQDQ(y[3], y[2], y[6])
	VPUNPCKHQDQ(y[3], y[2], y[7])
	VPERM2I128(Imm(0x20), y[6], y[4], y[8])
	VPERM2I128(Imm(0x20), y[7], y[5], y[9])
	VPERM2I128(Imm(0x31), y[6], y[4], y[10])
	VPERM2I128(Imm(0x31), y[7], y[5], y[11])
	for i := range 4 {
		VMOVDQU(y[8+i], p[i])
	}
	advance(128, p[4])
	advance(32, p[:4]...)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// join4 is the inverse of split4.
func join4(name string, rotate bool) {
	if unlanes4.Base == nil {
		unlanes4 = table("unlanes4", []uint32{0, 2, 4, 6, 1, 3, 5, 7})
	}
	TEXT(name, NOSPLIT, "func(dst, p0, p1, p2, p3 *byte, n uint64)")
	Pragma("noescape")
	Doc(name + " joins n groups of 32 elements.")
	p := pointers("p0", "p1", "p2", "p3", "dst")
	n := Load(Param("n"), GP64())
	shuffle, lanes := Y14, Y15
	VMOVDQU(shuffle4, shuffle) // its own inverse
	VMOVDQU(unlanes4, lanes)
	Label("loop")
	for i := range 4 {
		VMOVDQU(p[i], y[i])
	}
	VPUNPCKLQDQ(y[1], y[0], y[4]) // planes 0, 1 of groups 0 and 2
	VPUNPCKHQDQ(y[1], y[0], y[5]) // planes 0, 1 of groups 1 and 3
	VPUNPCKLQDQ(y[3], y[2], y[6])
	VPUNPCKHQDQ(y[3], y[2], y[7])
	VPERM2I128(Imm(0x20), y[6], y[4], y[8])
	VPERM2I128(Imm(0x20), y[7], y[5], y[9])
	VPERM2I128(Imm(0x31), y[6], y[4], y[10])
	VPERM2I128(Imm(0x31), y[7], y[5], y[11])
	for i := range 4 {
		VPERMD(y[8+i], lanes, y[8+i])
		VPSHUFB(shuffle, y[8+i], y[8+i])
		if rotate {
			rotate32(y[8+i], y[i], true)
		}
		VMOVDQU(y[8+i], p[4].Offset(32*i))
	}
	advance(128, p[4])
	advance(32, p[:4]...)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// split2 turns 32 elements of two bytes into 32 bytes for each plane.
func split2(name string, rotate bool) {
	if shuffle2.Base == nil {
		shuffle2 = bytesTable("shuffle2", [16]int{0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15})
	}
	TEXT(name, NOSPLIT, "func(p0, p1, src *byte, n uint64)")
	Pragma("noescape")
	Doc(name + " splits n groups of 32 elements.")
	p := pointers("p0", "p1", "src")
	n := Load(Param("n"), GP64())
	VMOVDQU(shuffle2, Y15)
	Label("loop")
	for i := range 2 {
		VMOVDQU(p[2].Offset(32*i), y[i])
		if rotate {
			rotate16(y[i], y[2+i], false)
		}
		VPSHUFB(Y15, y[i], y[i])
		VPERMQ(Imm(0xd8), y[i], y[i])
	}
	VPERM2I128(Imm(0x20), y[1], y[0], y[4])
	VPERM2I128(Imm(0x31), y[1], y[0], y[5])
	VMOVDQU(y[4], p[0])
	VMOVDQU(y[5], p[1])
	advance(64, p[2])
	advance(32, p[:2]...)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// join2 is the inverse of split2.
func join2(name string, rotate bool) {
	TEXT(name, NOSPLIT, "func(dst, p0, p1 *byte, n uint64)")
	Pragma("noescape")
	Doc(name + " joins n groups of 32 elements.")
	p := pointers("p0", "p1", "dst")
	n := Load(Param("n"), GP64())
	Label("loop")
	VPERMQ(Imm(0xd8), p[0], y[0])
	VPERMQ(Imm(0xd8), p[1], y[1])
	VPUNPCKLBW(y[1], y[0], y[2])
	VPUNPCKHBW(y[1], y[0], y[3])
	for i := range 2 {
		if rotate {
			rotate16(y[2+i], y[i], true)
		}
		VMOVDQU(y[2+i], p[2].Offset(32*i))
	}
	advance(64, p[2])
	advance(32, p[:2]...)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
