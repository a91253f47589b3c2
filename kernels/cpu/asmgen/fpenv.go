package main

// fpenvFile emits access to the control register of vector arithmetic.
func fpenvFile(g *gen) {
	if g.wide() {
		return
	}
	g.Function("getMXCSR")
	g.SignatureExpr("func() uint32")
	ret, err := g.ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	g.STMXCSR(ret.Addr)
	g.RET()
	g.Function("setMXCSR")
	g.SignatureExpr("func(v uint32)")
	p, err := g.Param("v").Resolve()
	if err != nil {
		panic(err)
	}
	g.LDMXCSR(p.Addr)
	g.RET()
}
