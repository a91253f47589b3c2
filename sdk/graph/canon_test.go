package graph

import (
	"encoding/hex"
	"slices"
	"testing"
)

func mustParse(t *testing.T, src string) *Module {
	t.Helper()
	m, err := ParseText("ir 1\n" + src)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(m, Limits{}); err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return m
}

func TestTheDigestIsThatOfTheMeaning(t *testing.T) {
	const relu3 = `func hone/relu@1#3 any composite hone/relu@1 (%0 input x0: f32[2]) -> (output y0: %3) {
  %1 = constant() {value=f32[] 0}: f32[]
  %2 = broadcast(%1, %0) {shape=[d1.0]}: f32[2]
  %3 = max(%0, %2): f32[2]
}
`
	base := mustParse(t, relu3+`func f any (%0 input x: f32[2]) -> (output y: %3) {
  %1 = exp(%0): f32[2]
  %2 = call(%0) {callee=hone/relu@1#3}: f32[2]
  %3 = add(%1, %2): f32[2]
}
func g any (%0 input x: f32[2]) -> (output y: %0) {
}`)
	want := Digest(base)
	for what, src := range map[string]string{
		"another order of nodes, functions and instances, and a dead node": `func g any (%0 input x: f32[2]) -> (output y: %0) {
}
func hone/relu@1#0 any composite hone/relu@1 (%0 input x0: f32[2]) -> (output y0: %3) {
  %1 = constant() {value=f32[] 0}: f32[]
  %2 = broadcast(%1, %0) {shape=[d1.0]}: f32[2]
  %3 = max(%0, %2): f32[2]
}
func hone/relu@1#7 any composite hone/relu@1 (%0 input x0: f32[3]) -> (output y0: %0) {
}
func f any (%0 input x: f32[2]) -> (output y: %4) {
  %1 = call(%0) {callee=hone/relu@1#0}: f32[2]
  %2 = tanh(%1): f32[2]
  %3 = exp(%0): f32[2]
  %4 = add(%3, %1): f32[2]
}`,
	} {
		if Digest(mustParse(t, src)) != want {
			t.Errorf("%s changed the digest", what)
		}
	}
	for what, src := range map[string]string{
		"operands exchanged": relu3 + `func f any (%0 input x: f32[2]) -> (output y: %3) {
  %1 = exp(%0): f32[2]
  %2 = call(%0) {callee=hone/relu@1#3}: f32[2]
  %3 = add(%2, %1): f32[2]
}
func g any (%0 input x: f32[2]) -> (output y: %0) {
}`,
		"the body of a callee": `func hone/relu@1#3 any composite hone/relu@1 (%0 input x0: f32[2]) -> (output y0: %1) {
  %1 = abs(%0): f32[2]
}
func f any (%0 input x: f32[2]) -> (output y: %3) {
  %1 = exp(%0): f32[2]
  %2 = call(%0) {callee=hone/relu@1#3}: f32[2]
  %3 = add(%1, %2): f32[2]
}
func g any (%0 input x: f32[2]) -> (output y: %0) {
}`,
		"the name of a function": relu3 + `func f any (%0 input x: f32[2]) -> (output y: %3) {
  %1 = exp(%0): f32[2]
  %2 = call(%0) {callee=hone/relu@1#3}: f32[2]
  %3 = add(%1, %2): f32[2]
}
func h any (%0 input x: f32[2]) -> (output y: %0) {
}`,
		"a role": relu3 + `func f any (%0 input x: f32[2]) -> (output y: %3) {
  %1 = exp(%0): f32[2]
  %2 = call(%0) {callee=hone/relu@1#3}: f32[2]
  %3 = add(%1, %2): f32[2]
}
func g any (%0 param x: f32[2]) -> (output y: %0) {
}`,
	} {
		if Digest(mustParse(t, src)) == want {
			t.Errorf("%s did not change the digest", what)
		}
	}
}

func TestDigestGolden(t *testing.T) {
	// The canonical form is a promise: this number may never change.
	sum := Digest(denseModule(t))
	const want = "e95a6c81c0f989d1c85926c5b281cae72b2f7fad9231294ac4878d790c1486ac"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("the digest of the dense module is %s, wanted %s", got, want)
	}
}

func TestCompositesAreTrustedForTheirBodyAlone(t *testing.T) {
	m := NewModule()
	b := NewBuilder(m, "f", Any)
	x := b.Input("x", Type{F32, Shape{Batch, N(4)}})
	labels := b.Input("labels", Type{I32, Shape{Batch}})
	for i, v := range []Value{x.Relu(), x.Softmax(1), x.Softmax(0), x.LogSoftmax(1), x.Gelu(true), x.Gelu(false), x.Silu(), x.Softplus(), x.StopGradient(), x.SoftmaxCrossEntropy(labels)} {
		b.Output("y"+string(rune('a'+i)), v)
	}
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range m.Funcs {
		if f.Composite == nil {
			continue
		}
		seen[f.Composite.Name] = true
		if !TrustedComposite(m, f) {
			t.Errorf("%s is not trusted", f.Name)
		}
	}
	for _, name := range BuiltinComposites() {
		if !seen[name] {
			t.Errorf("%s is not tested", name)
		}
	}
	if n := Demote(m); n != 0 {
		t.Errorf("%d demoted", n)
	}

	for what, src := range map[string]string{
		"another body": `func hone/relu@1#0 any composite hone/relu@1 (%0 input x0: f32[2]) -> (output y0: %1) {
  %1 = abs(%0): f32[2]
}`,
		"an unknown version": `func hone/relu@2#0 any composite hone/relu@2 (%0 input x0: f32[2]) -> (output y0: %1) {
  %1 = abs(%0): f32[2]
}`,
		"wrong attributes": `func hone/stop_gradient@1#0 any composite hone/stop_gradient@1 {axis=1} (%0 input x0: f32[2]) -> (output y0: %0) {
}`,
		"an axis out of range": `func hone/softmax@1#0 any composite hone/softmax@1 {axis=9} (%0 input x0: f32[2]) -> (output y0: %0) {
}`,
		"too few operands": `func hone/softmax_cross_entropy@1#0 any composite hone/softmax_cross_entropy@1 (%0 input x0: f32[2, 2]) -> (output y0: %0) {
}`,
	} {
		m := mustParse(t, src)
		if TrustedComposite(m, m.Funcs[0]) {
			t.Errorf("%s is trusted", what)
		}
		if n := Demote(m); n != 1 || m.Funcs[0].Composite != nil {
			t.Errorf("%s: demoted %d", what, n)
		}
		if err := Verify(m, Limits{}); err != nil {
			t.Errorf("%s: after demotion: %v", what, err)
		}
	}
}

func TestMergeSharesEqualCompositesAndRenamesTheRest(t *testing.T) {
	layer := func(name string, swap bool) *Module {
		m := NewModule()
		b := NewBuilder(m, name, Any)
		x := b.Input("x", Type{F32, Shape{Batch, N(4)}})
		y := x
		if swap {
			y = y.Silu() // so that the instances are made in another order
		}
		y = b.CompositeWithGradient("acme/cube@1", nil, []Value{y.Relu()},
			func(_ *Builder, x []Value) []Value { return []Value{x[0].Mul(x[0]).Mul(x[0])} },
			func(_ *Builder, x, _, dy []Value) []Value { return []Value{x[0].Mul(x[0]).Times(3).Mul(dy[0])} })[0]
		b.Output("y", y.Add(b.Const(NewTensor(F32, 200, 100)).Sum()))
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := NewModule()
	for i, name := range []string{"a", "b"} {
		if err := m.Merge(layer(name, i == 1), func(s string) string { return "p" + string(rune('0'+i)) + "." + s }); err != nil {
			t.Fatal(err)
		}
	}
	if err := Verify(m, Limits{}); err != nil {
		t.Fatalf("%v\n%v", err, m)
	}
	var names []string
	for _, f := range m.Funcs {
		names = append(names, f.Name)
	}
	want := []string{"hone/relu@1#0", "acme/cube.gradient@1#0", "acme/cube@1#0", "p0.a", "hone/silu@1#0", "p1.b"}
	if !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}
