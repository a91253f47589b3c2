package graph

import "testing"

func TestBuilderTracesABatchPolymorphicLayer(t *testing.T) {
	m := NewModule()
	b := NewBuilder(m, "dense", Train)
	x := b.Input("x", Type{F32, Shape{Batch, N(28), N(28)}})
	h := x.Flatten(1)
	w := b.Param("kernel", T(F32, 784, 10), Decl{})
	bias := b.Param("bias", T(F32, 10), Decl{})
	y := h.MatMul(w).Add(bias).Relu()
	keep := b.Uniform(y.Dim(1)).Ge(b.Hyper("rate", 0.5))
	b.Output("y", keep.Select(y, y.Times(0)))
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Types[f.Results[0].Value].String(); got != "f32[batch, 10]" {
		t.Errorf("result is %s", got)
	}
	c := NewBuilder(m, "model", Train)
	in := c.Input("image", Type{F32, Shape{Batch, N(28), N(28)}})
	out := c.Call("dense", "hidden", in)
	c.Output("logits", out[0])
	g, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for role, name := range map[Role]string{ParamRole: "hidden.kernel", KeyRole: "hidden#0", HyperRole: "hidden.rate"} {
		if g.Param(role, name) < 0 {
			t.Errorf("no %v %q in %+v", role, name, g.Params)
		}
	}
}

func TestBuilderKeepsTheFirstMistakeWithItsLine(t *testing.T) {
	b := NewBuilder(NewModule(), "bad", Any)
	x := b.Input("x", T(F32, 2, 3))
	y := x.MatMul(x).Add(x)
	b.Output("y", y)
	if _, err := b.Finish(); err == nil {
		t.Fatal("no error")
	} else {
		t.Log(err)
	}
}

func TestPhiloxKnownAnswers(t *testing.T) {
	// Vectors published with Random123 (kat_vectors, philox4x32 10).
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}, [2]uint32{^uint32(0), ^uint32(0)}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox4x32(c.ctr, c.key); got != c.want {
			t.Errorf("Philox(%x, %x) = %x, want %x", c.ctr, c.key, got, c.want)
		}
	}
}

func TestReshapeCountsElementsWithSeveralSymbols(t *testing.T) {
	two := Affine("batch", 2, 2)
	for _, c := range []struct {
		from, to Shape
		ok       bool
	}{
		{Shape{Batch, Batch}, Shape{Batch, N(1), Batch}, true},
		{Shape{Affine("batch", 3, 0), Batch}, Shape{Batch, N(3), Batch}, true},
		{Shape{two}, Shape{N(2), Affine("batch", 1, 1)}, true},
		{Shape{two}, Shape{Affine("batch", 1, 1)}, false},
		{Shape{Batch, Batch}, Shape{Batch}, false},
		{Shape{Batch, N(0)}, Shape{N(0)}, true},
		{ShapeOf(6), ShapeOf(2, 3), true},
		{ShapeOf(6), ShapeOf(2, 2), false},
	} {
		b := NewBuilder(NewModule(), "f", Any)
		like := b.Input("like", Type{F32, c.to})
		if b.Input("x", Type{F32, c.from}).Reshape(like.Dims()...).Valid() != c.ok {
			t.Errorf("%v as %v: %v", c.from, c.to, b.Err())
		}
	}
}
