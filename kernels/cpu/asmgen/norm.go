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

// rowLoop emits a map over rows: dst from per-column vectors and matrices.
func (g *gen) rowLoop(name, cols, mats string, body func(col, mat []vec) vec) {
	g.Function(name + g.name)
	g.Pragma("noescape")
	c, m := strings.Fields(cols), strings.Fields(mats)
	all := append(append([]string{"dst"}, c...), m...)
	expr := "func(" + strings.Join(all, ", ") + " *float32, rows, cols, dstStep"
	for _, x := range m {
		expr += ", " + x + "Step"
	}
	g.SignatureExpr(expr + " int)")
	ptr := map[string]reg.Register{}
	for _, p := range all {
		ptr[p] = g.Load(g.Param(p), g.GP64())
	}
	rows := g.Load(g.Param("rows"), g.GP64())
	n := g.Load(g.Param("cols"), g.GP64())
	rest, whole := g.GP64(), g.GP64()
	g.MOVQ(n, rest)
	g.ANDQ(operand.Imm(uint64(g.lanes-1)), rest)
	g.MOVQ(n, whole)
	g.SUBQ(rest, whole)
	mask := g.mask(rest)
	loop := g.label("row")
	g.Label(loop)
	i := g.GP64()
	g.XORQ(i, i)
	vecs, tail, end := g.label("vecs"), g.label("tail"), g.label("end")
	each := func(mask reg.Register) {
		var cv, mv []vec
		for _, p := range c {
			cv = append(cv, g.loadMaybe(operand.Mem{Base: ptr[p], Index: i, Scale: 4}, mask))
		}
		for _, p := range m {
			mv = append(mv, g.loadMaybe(operand.Mem{Base: ptr[p], Index: i, Scale: 4}, mask))
		}
		g.storeMaybe(body(cv, mv), operand.Mem{Base: ptr["dst"], Index: i, Scale: 4}, mask)
	}
	g.Label(vecs)
	g.CMPQ(i, whole)
	g.JGE(operand.LabelRef(tail))
	each(nil)
	g.ADDQ(operand.Imm(uint64(g.lanes)), i)
	g.JMP(operand.LabelRef(vecs))
	g.Label(tail)
	g.TESTQ(rest, rest)
	g.JZ(operand.LabelRef(end))
	each(mask)
	g.Label(end)
	for _, p := range append([]string{"dst"}, m...) {
		addr, err := g.Param(p + "Step").Resolve()
		if err != nil {
			panic(err)
		}
		g.ADDQ(addr.Addr, ptr[p])
	}
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// normFile emits the sums and maps of batch normalization.
func normFile(g *gen) {
	relu := func(x vec) vec { return g.max(g.zeros(), x) }
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
	affine := func(col, mat []vec) vec { return g.fma(mat[0], col[0], col[1]) }
	g.rowLoop("affine", "a b", "x", affine)
	g.rowLoop("affineReLU", "a b", "x", func(col, mat []vec) vec { return relu(affine(col, mat)) })
	g.rowLoop("affineAdd", "a b", "x z", func(col, mat []vec) vec { return g.add(affine(col, mat), mat[1]) })
	g.rowLoop("affineAddReLU", "a b", "x z", func(col, mat []vec) vec { return relu(g.add(affine(col, mat), mat[1])) })
	// a*dy + b*x + c
	grad := func(col []vec, dy, x vec) vec { return g.fma(dy, col[0], g.fma(x, col[1], col[2])) }
	g.rowLoop("grad", "a b c", "dy x", func(col, mat []vec) vec { return grad(col, mat[0], mat[1]) })
	g.rowLoop("gradReLU", "a b c", "dy x y", func(col, mat []vec) vec {
		return grad(col, g.keep(cmpGT, mat[2], g.f(0), mat[0]), mat[1])
	})
	g.rowLoop("addBias", "b", "x", func(col, mat []vec) vec { return g.add(mat[0], col[0]) })
}
