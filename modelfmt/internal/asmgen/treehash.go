package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

var iv = [8]uint32{
	0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
	0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
}

// permutation is applied to the message words between rounds.
var permutation = [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}

var y = [16]VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}

// table declares read-only words.
func table(name string, words []uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i, w := range words {
		DATA(4*i, U32(w))
	}
	return m
}

// transpose8 turns the 8×8 words in y[0:8], one row a register, into columns in
// the returned registers. y[8:16] are overwritten.
func transpose8() [8]VecPhysical {
	for i := 0; i < 8; i += 2 {
		VPUNPCKLDQ(y[i+1], y[i], y[8+i])
		VPUNPCKHDQ(y[i+1], y[i], y[9+i])
	}
	for h := 0; h < 8; h += 4 {
		VPUNPCKLQDQ(y[10+h], y[8+h], y[h])
		VPUNPCKHQDQ(y[10+h], y[8+h], y[h+1])
		VPUNPCKLQDQ(y[11+h], y[9+h], y[h+2])
		VPUNPCKHQDQ(y[11+h], y[9+h], y[h+3])
	}
	var out [8]VecPhysical
	for i := range 4 {
		VPERM2I128(Imm(0x20), y[4+i], y[i], y[8+i])
		VPERM2I128(Imm(0x31), y[4+i], y[i], y[12+i])
		out[i], out[4+i] = y[8+i], y[12+i]
	}
	return out
}

// hash8 compresses eight inputs side by side, one word of the state a register,
// one input a lane.
//
// The sixteen words of a state fill all sixteen registers, and a rotation by 12
// or 7 bits needs one more. Words 8 to 11 therefore live in memory, from where an
// addition takes them as an operand, and their registers are the temporaries.
func hash8() {
	var ivWide, rot16, rot8 []uint32
	for _, w := range iv {
		for range 8 {
			ivWide = append(ivWide, w)
		}
	}
	for l := range 8 {
		base := uint32(l%4) * 0x04040404
		rot16 = append(rot16, base+0x01000302)
		rot8 = append(rot8, base+0x00030201)
	}
	ivTable := table("ivTable", ivWide)
	rot16Table := table("rot16Table", rot16)
	rot8Table := table("rot8Table", rot8)

	TEXT("hash8", 0, "func(out *[256]byte, in *byte, stride, blocks uint64, counters *[8]uint32, flags, start, end uint32)")
	Pragma("noescape")
	Doc("hash8 writes the chaining values of eight inputs of blocks × 64 bytes, which lie stride bytes apart. start and end are or-ed to flags in the first and the last block.")
	in := Load(Param("in"), GP64())
	stride := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())
	counters := Mem{Base: Load(Param("counters"), GP64())}
	flags := Load(Param("flags"), GP32())
	start := Load(Param("start"), GP32())
	ORL(flags, start)

	// Scratch, aligned to 32 bytes: message, words 8 to 11, chaining values.
	local := AllocLocal(16*32 + 4*32 + 8*32 + 32)
	scratch := GP64()
	LEAQ(local, scratch)
	ADDQ(Imm(31), scratch)
	ANDQ(I32(-32), scratch)
	msg := Mem{Base: scratch}
	slot := Mem{Base: scratch, Disp: 16 * 32}
	cv := Mem{Base: scratch, Disp: 20 * 32}
	at := func(m Mem, i int) Mem { return m.Offset(32 * i) }

	for i := range 8 {
		VMOVDQU(at(ivTable, i), y[i])
		VMOVDQU(y[i], at(cv, i))
	}
	stride3, high := GP64(), GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)

	Label("block")
	CMPQ(blocks, Imm(1))
	JNE(LabelRef("notLast"))
	end := Load(Param("end"), GP32())
	ORL(end, start)
	Label("notLast")

	LEAQ(Mem{Base: in, Index: stride, Scale: 4}, high)
	for half := range 2 {
		for l := range 8 {
			base := in
			if l >= 4 {
				base = high
			}
			m := Mem{Base: base, Disp: 32 * half}
			switch l % 4 {
			case 1:
				m.Index, m.Scale = stride, 1
			case 2:
				m.Index, m.Scale = stride, 2
			case 3:
				m.Index, m.Scale = stride3, 1
			}
			VMOVDQU(m, y[l])
		}
		for i, r := range transpose8() {
			VMOVDQA(r, at(msg, 8*half+i))
		}
	}

	for i := range 8 {
		VMOVDQA(at(cv, i), y[i])
	}
	VMOVDQU(counters, y[12])
	VPXOR(y[13], y[13], y[13])
	length := GP32()
	MOVL(U32(64), length)
	VMOVD(length, X14)
	VPBROADCASTD(X14, y[14])
	VMOVD(start, X15)
	VPBROADCASTD(X15, y[15])

	schedule := [16]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for round := range 7 {
		for diagonal := range 2 {
			mix(round == 0 && diagonal == 0, diagonal, schedule[8*diagonal:], msg, slot, ivTable, rot16Table, rot8Table)
		}
		var next [16]int
		for i, p := range permutation {
			next[i] = schedule[p]
		}
		schedule = next
	}
	for i := range 4 {
		VPXOR(at(slot, i), y[i], y[i])
		VPXOR(y[12+i], y[4+i], y[4+i])
	}
	for i := range 8 {
		VMOVDQA(y[i], at(cv, i))
	}

	MOVL(flags, start) // only the first block has the start flags
	ADDQ(Imm(64), in)
	DECQ(blocks)
	JNZ(LabelRef("block"))

	out := Mem{Base: Load(Param("out"), GP64())}
	for i, r := range transpose8() {
		VMOVDQU(r, out.Offset(32*i))
	}
	VZEROUPPER()
	RET()
}

// mix does four quarter rounds at once: on the columns of the state, or on its
// diagonals.
func mix(first bool, diagonal int, words []int, msg, slot, ivTable, rot16, rot8 Mem) {
	a := func(i int) VecPhysical { return y[i] }
	b := func(i int) VecPhysical { return y[4+(i+diagonal)%4] }
	ci := func(i int) int { return (i + 2*diagonal) % 4 }
	c := func(i int) VecPhysical { return y[8+ci(i)] }
	d := func(i int) VecPhysical { return y[12+(i+3*diagonal)%4] }
	for half := range 2 {
		rot, right := rot16, uint64(12)
		if half == 1 {
			rot, right = rot8, 7
		}
		for i := range 4 {
			VPADDD(msg.Offset(32*words[2*i+half]), a(i), a(i))
		}
		for i := range 4 {
			VPADDD(b(i), a(i), a(i))
		}
		for i := range 4 {
			VPXOR(a(i), d(i), d(i))
		}
		for i := range 4 {
			VPSHUFB(rot, d(i), d(i))
		}
		for i := range 4 {
			from := slot.Offset(32 * ci(i))
			if first && half == 0 {
				from = ivTable.Offset(32 * ci(i))
			}
			VPADDD(from, d(i), c(i))
		}
		for i := range 4 {
			VMOVDQA(c(i), slot.Offset(32*ci(i)))
		}
		for i := range 4 {
			VPXOR(c(i), b(i), b(i))
		}
		for i := range 4 {
			VPSRLD(Imm(right), b(i), c(i))
			VPSLLD(Imm(32-right), b(i), b(i))
		}
		for i := range 4 {
			VPOR(c(i), b(i), b(i))
		}
	}
}
