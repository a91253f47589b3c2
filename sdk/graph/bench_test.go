package graph

import (
	"fmt"
	"testing"
)

// deepModule has as many nodes as a large model has: 200 layers of one
// function each.
func deepModule(b *testing.B) *Module {
	m := NewModule()
	x := Type{F32, Shape{Batch, N(64)}}
	top := NewBuilder(m, "model", Train)
	h := top.Input("x", x)
	for i := range 200 {
		l := NewBuilder(m, fmt.Sprintf("layer%d", i), Train)
		v := l.Input("x", x)
		w := l.Param("w", T(F32, 64, 64), Decl{Axes: []string{"in", "out"}, Initializer: "glorot"})
		s, t := l.Param("scale", T(F32, 64), Decl{}), l.Param("offset", T(F32, 64), Decl{})
		d := v.MatMul(w)
		d = d.Sub(d.Mean(0))
		l.Output("y", d.Mul(d.Mul(d).Mean(0).Plus(1e-3).Rsqrt()).Mul(s).Add(t).Relu().Add(v))
		if _, err := l.Finish(); err != nil {
			b.Fatal(err)
		}
		h = top.Call(fmt.Sprintf("layer%d", i), fmt.Sprintf("layers[%d]", i), h)[0]
	}
	top.Output("y", h)
	if _, err := top.Finish(); err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkModuleOf200Layers(b *testing.B) {
	m := deepModule(b)
	data, err := Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	text := m.String()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for name, f := range map[string]func(){
		"trace":     func() { deepModule(b) },
		"verify":    func() { must(Verify(m, Limits{})) },
		"digest":    func() { Digest(m) },
		"marshal":   func() { _, err := Marshal(m); must(err) },
		"unmarshal": func() { _, err := Unmarshal(data, Limits{}); must(err) },
		"print":     func() { _ = m.String() },
		"parse":     func() { _, err := ParseText(text); must(err) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f()
			}
		})
	}
}
