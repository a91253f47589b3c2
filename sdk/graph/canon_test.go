package graph

import (
	"encoding/hex"
	"math/rand/v2"
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

// normalized is x through the composites of batch normalization.
func normalized(x Value) Value {
	gamma, _ := x.Moments(1)
	sum, _ := x.GradientMoments(x, gamma, 1)
	y, _, _ := x.BatchNorm(gamma, sum, 1, 1e-3)
	return y
}

func TestCompositesAreTrustedForTheirBodyAlone(t *testing.T) {
	m := NewModule()
	b := NewBuilder(m, "f", Any)
	x := b.Input("x", Type{F32, Shape{Batch, N(4)}})
	labels := b.Input("labels", Type{I32, Shape{Batch}})
	for i, v := range []Value{x.Relu(), x.Softmax(1), x.Softmax(0), x.LogSoftmax(1), x.Gelu(true), x.Gelu(false), x.Silu(), x.Softplus(), x.StopGradient(), x.SoftmaxCrossEntropy(labels),
		x.GradientSoftmaxCrossEntropy(labels, x.Sum(1)), normalized(x)} {
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
		"no epsilon": `func hone/batch_norm@1#0 any composite hone/batch_norm@1 {axis=1, epsilon=small} (%0 input x0: f32[2, 2], %1 input x1: f32[2], %2 input x2: f32[2]) -> (output y0: %0, output y1: %1, output y2: %2) {
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

// shuffled rewrites f with its nodes in another order that keeps operands
// before their use, and dead nodes strewn in.
func shuffled(r *rand.Rand, f *Func) *Func {
	g := f.Clone()
	g.Nodes, g.Types = nil, slices.Clone(f.Types[:len(f.Params)])
	to := make([]ValueID, len(f.Types))
	for i := range f.Params {
		to[i] = ValueID(i)
	}
	ready := make([]bool, len(f.Types))
	for i := range f.Params {
		ready[i] = true
	}
	left := make([]int, len(f.Nodes))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		k := r.IntN(len(left))
		n := f.Nodes[left[k]]
		if slices.ContainsFunc(n.Args, func(a ValueID) bool { return !ready[a] }) {
			continue
		}
		left = slices.Delete(left, k, k+1)
		c := Node{Op: n.Op, Attrs: n.Attrs, NumOut: n.NumOut, Out: ValueID(len(g.Types))}
		for _, a := range n.Args {
			c.Args = append(c.Args, to[a])
		}
		for copies := 1 + r.IntN(2); copies > 0; copies-- { // the first copy is dead where there are two
			c.Out = ValueID(len(g.Types))
			for j := range n.NumOut {
				to[n.Out+ValueID(j)], ready[n.Out+ValueID(j)] = c.Out+ValueID(j), true
				g.Types = append(g.Types, f.Types[n.Out+ValueID(j)])
			}
			g.Nodes = append(g.Nodes, c)
		}
	}
	for i := range g.Results {
		g.Results[i].Value = to[g.Results[i].Value]
	}
	return g
}

func TestTheDigestOfAShuffledModule(t *testing.T) {
	for seed := range uint64(60) {
		m := randomModule(seed)
		r := rand.New(rand.NewPCG(seed, 9))
		n := NewModule()
		n.Consts = m.Consts
		for _, f := range m.Funcs {
			n.Funcs = append(n.Funcs, shuffled(r, f))
		}
		if err := Verify(n, Limits{}); err != nil {
			t.Fatal(err)
		}
		if Digest(m) != Digest(n) {
			t.Fatalf("seed %d: the order of nodes changed the digest\n%v\n%v", seed, m, n)
		}
	}
	// Different modules have different digests.
	seen := map[[32]byte]string{}
	for seed := range uint64(60) {
		m := randomModule(seed)
		sum := Digest(m)
		if other, ok := seen[sum]; ok && other != m.String() {
			t.Errorf("one digest for two modules\n%s\n%v", other, m)
		}
		seen[sum] = m.String()
	}
}
