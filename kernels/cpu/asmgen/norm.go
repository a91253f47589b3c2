package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// columnLoop emits sums over rows: params names per-column accumulators, then
// per-column vectors that are read, then matrices, all with cols columns. step
// adds a row's vectors to the accumulators. unroll vectors of columns go
// together.
func (g *gen) columnLoop(name, accs, cols, mats string, unroll int, step func(acc, col, mat []vec)) {
	g.Function(name + g.name)
	g.Pragma("noescape")
	a, c, m := strings.Fields(accs), strings.Fields(cols), strings.Fields(mats)
	all := append(append(append([]string{}, a...), c...), m...)
	expr := "func(" + strings.Join(all, ", ") + " *float32, rows, cols"
	for _, x := range m {
		expr += ", " + x + "Step"
	}
	g.SignatureExpr(expr + " int)")
	ptr := map[string]reg.Register{}
	for _, p := range all {
		ptr[p] = g.Load(g.Param(p), g.GP64())
	}
	n := g.Load(g.Param("cols"), g.GP64())

	down := func(vectors int, mask reg.Register) {
		load := func(names []string) [][]vec {
			vs := make([][]vec, vectors)
			for j := range vs {
				for _, p := range names {
					vs[j] = append(vs[j], g.loadMaybe(operand.Mem{Base: ptr[p], Disp: j * g.bytes()}, mask))
				}
			}
			return vs
		}
		acc, col := load(a), load(c)
		left := g.Load(g.Param("rows"), g.GP64())
		at := map[string]reg.Register{}
		for _, p := range m {
			at[p] = g.GP64()
			g.MOVQ(ptr[p], at[p])
		}
		loop := g.label("down")
		g.Label(loop)
		for j := range vectors {
			var mat []vec
			for _, p := range m {
				mat = append(mat, g.loadMaybe(operand.Mem{Base: at[p], Disp: j * g.bytes()}, mask))
			}
			step(acc[j], col[j], mat)
		}
		for _, p := range m {
			addr, err := g.Param(p + "Step").Resolve()
			if err != nil {
				panic(err)
			}
			g.ADDQ(addr.Addr, at[p])
		}
		g.DECQ(left)
		g.JNZ(operand.LabelRef(loop))
		for j := range vectors {
			for i, p := range a {
				g.storeMaybe(acc[j][i], operand.Mem{Base: ptr[p], Disp: j * g.bytes()}, mask)
			}
		}
		for _, p := range all {
			g.ADDQ(operand.U32(vectors*g.bytes()), ptr[p])
		}
	}
	for _, vectors := range []int{unroll, 1} {
		loop, done := g.label("cols"), g.label("done")
		g.SUBQ(operand.U32(vectors*g.lanes), n)
		g.JLT(operand.LabelRef(done))
		g.Label(loop)
		down(vectors, nil)
		g.SUBQ(operand.U32(vectors*g.lanes), n)
		g.JGE(operand.LabelRef(loop))
		g.Label(done)
		g.ADDQ(operand.U32(vectors*g.lanes), n)
	}
	end := g.label("end")
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef(end))
	down(1, g.mask(n))
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}

// normFile emits the sums of batch normalization.
func normFile(g *gen) {
	// sum += x-pivot; squares += (x-pivot)^2
	g.columnLoop("moments", "sum squares", "pivot", "x", 4, func(acc, col, mat []vec) {
		d := g.sub(mat[0], col[0])
		g.VADDPS(d, acc[0], acc[0])
		g.VFMADD231PS(d, d, acc[1])
	})
	// sum += dy; products += dy*(x-mean)
	products := func(acc []vec, dy, x, mean vec) {
		g.VADDPS(dy, acc[0], acc[0])
		g.VFMADD231PS(g.sub(x, mean), dy, acc[1])
	}
	g.columnLoop("gradMoments", "sum products", "mean", "dy x", 4, func(acc, col, mat []vec) { products(acc, mat[0], mat[1], col[0]) })
	g.columnLoop("gradMomentsReLU", "sum products", "mean", "dy x y", 2, func(acc, col, mat []vec) {
		products(acc, g.keep(cmpGT, mat[2], g.f(0), mat[0]), mat[1], col[0])
	})
}
