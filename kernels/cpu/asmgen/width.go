package main

import (
	"fmt"
	"go/token"
	"go/types"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// width is one instruction set variant: everything in the generators is
// written against it, so that AVX2 and AVX-512 code come from the same text.
type width struct {
	name  string // suffix of the generated functions
	lanes int    // float32 lanes of a vector
	regs  int    // vector registers
}

var (
	avx2   = width{name: "AVX2", lanes: 8, regs: 16}
	avx512 = width{name: "AVX512", lanes: 16, regs: 32}
)

// bytes is the size of a vector.
func (w width) bytes() int { return 4 * w.lanes }

// wide reports whether the variant has mask registers and 512-bit vectors.
func (w width) wide() bool { return w.lanes == 16 }

// gen builds one assembly file.
type gen struct {
	*build.Context
	width

	labels int
	consts map[constKey]operand.Mem
	tables map[constKey]operand.Mem
	named  map[string]operand.Mem
}

func newGen(w width) *gen {
	return &gen{Context: build.NewContext(), width: w, consts: map[constKey]operand.Mem{}, tables: map[constKey]operand.Mem{}, named: map[string]operand.Mem{}}
}

// label returns a label that is unique in the file.
func (g *gen) label(stem string) string {
	g.labels++
	return fmt.Sprintf("%s%d", stem, g.labels)
}

// phys is vector register i.
func (g *gen) phys(i int) reg.VecPhysical {
	if i >= g.regs {
		panic(fmt.Sprintf("%s has no vector register %d", g.name, i))
	}
	if g.wide() {
		return zmms[i]
	}
	return ymms[i]
}

var (
	ymms = []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}
	zmms = []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
		reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
		reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}
)

// zero clears a vector register.
func (g *gen) zero(v reg.Register) {
	if g.wide() {
		g.VPXORD(v, v, v)
	} else {
		g.VXORPS(v, v, v)
	}
}

// field is the 8-byte field at a byte offset of the struct that p points to.
func field(p reg.Register, offset int) operand.Mem {
	return operand.Mem{Base: p, Disp: offset}
}

// signature sets the signature of the function being built; structs names the
// struct types of the target package that it mentions.
func (g *gen) signature(expr string, structs ...string) {
	pkg := types.NewPackage("asm", "asm")
	for _, name := range structs {
		obj := types.NewTypeName(token.NoPos, pkg, name, nil)
		types.NewNamed(obj, types.NewStruct(nil, nil), nil)
		pkg.Scope().Insert(obj)
	}
	s, err := gotypes.ParseSignatureInPackage(pkg, expr)
	if err != nil {
		panic(fmt.Sprintf("signature %s: %v", expr, err))
	}
	g.Signature(s)
}
