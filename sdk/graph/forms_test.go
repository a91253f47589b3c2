package graph

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// same reports where two modules differ, nil and empty lists being alike.
func same(t *testing.T, what string, a, b *Module) {
	t.Helper()
	if len(a.Funcs) != len(b.Funcs) {
		t.Fatalf("%s: %d functions became %d", what, len(a.Funcs), len(b.Funcs))
	}
	for i := range a.Funcs {
		// Text holds every field, and the wire tests compare text; here the two
		// structures are compared too, so that a field missing in both shows.
		x, y := normal(a.Funcs[i]), normal(b.Funcs[i])
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("%s: function %d differs\n%v\n%v", what, i, a.Funcs[i], b.Funcs[i])
		}
	}
	if len(a.Consts) != len(b.Consts) {
		t.Fatalf("%s: %d constants became %d", what, len(a.Consts), len(b.Consts))
	}
	for k, v := range a.Consts {
		if w, ok := b.Consts[k]; !ok || !v.equal(w) {
			t.Fatalf("%s: constant %q differs", what, k)
		}
	}
	if Digest(a) != Digest(b) {
		t.Fatalf("%s: the digest changed", what)
	}
}

// normal copies f with nil in place of every empty list.
func normal(f *Func) *Func {
	v := reflect.New(reflect.TypeFor[Func]()).Elem()
	v.Set(reflect.ValueOf(*f))
	return deepNil(v).Addr().Interface().(*Func)
}

func deepNil(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(deepNil(v.Elem()).Addr())
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(deepNil(v.Elem()))
		}
	case reflect.Slice:
		if v.Len() > 0 {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(deepNil(v.Index(i)))
			}
		}
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if out.Field(i).CanSet() {
				out.Field(i).Set(deepNil(v.Field(i)))
			}
		}
	default:
		out.Set(v)
	}
	return out
}

func TestRandomModulesSurviveBothForms(t *testing.T) {
	for seed := range uint64(150) {
		m := randomModule(seed)
		if err := Verify(m, Limits{}); err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, m)
		}
		text := m.String()
		p, err := ParseText(text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		same(t, "text", m, p)
		if again := p.String(); again != text {
			t.Fatalf("seed %d: the text changed\n%s\n%s", seed, text, again)
		}
		data, err := Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Unmarshal(data, Limits{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w.Consts = m.Consts
		same(t, "wire", m, w)
	}
}

// everyAttr is a module that sets every attribute of every op to something
// other than zero; it need not verify.
func everyAttr() *Module {
	m := NewModule()
	f := &Func{Name: "every attribute", Params: []Param{{Name: "x", Role: Input, Type: Scalar(F32)}}, Types: []Type{Scalar(F32)}}
	expr := DimExpr{Add: -3, Terms: []DimTerm{{-2, 4, []DimRef{{0, 1}, {2, 0}}}, {1, 1, []DimRef{{1, 0}}}, {-1, 1, []DimRef{{1, 0}}}}}
	for _, op := range Ops() {
		n := Node{Op: op, Args: []ValueID{0}, Out: ValueID(len(f.Types)), NumOut: 1}
		if d := op.Def(); d.NewAttrs != nil {
			n.Attrs = d.NewAttrs()
			for _, a := range d.attrs {
				v := map[attrKind]any{
					kindInt: int64(-7), kindBool: true, kindText: "a \"word\"\n\xe2\x82\xac", kindFloat: -0.1, kindDType: BF16,
					kindTensor: Float32s([]float32{1, 2}, 2), kindInts: []int64{0, -1, 1 << 62}, kindExprs: []DimExpr{expr, ConstExpr(0), ConstExpr(-1 << 63)},
					kindTypes: []Type{{F32, Shape{Batch, Affine("batch", 3, -2)}}, Scalar(U8)},
				}[a.kind]
				if err := setAttr(n.Attrs, a, v); err != nil {
					panic(err)
				}
			}
		}
		f.Nodes = append(f.Nodes, n)
		f.Types = append(f.Types, Scalar(F32))
	}
	m.Funcs = append(m.Funcs, f)
	return m
}

func TestEveryAttributeOfEveryOpSurvivesBothForms(t *testing.T) {
	m := everyAttr()
	p, err := ParseText(m.String())
	if err != nil {
		t.Fatalf("%v\n%v", err, m)
	}
	same(t, "text", m, p)
	data, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Unmarshal(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "wire", m, w)
	// Each attribute counts in the digest.
	f := m.Funcs[0]
	for i := range f.Nodes {
		f.Results = append(f.Results, Result{Name: f.Nodes[i].Op.String(), Role: Output, Value: f.Nodes[i].Out})
	}
	before := Digest(m)
	for i, n := range f.Nodes {
		if n.Attrs == nil {
			continue
		}
		for _, a := range n.Op.Def().attrs {
			if n.Op == OpConstant && a.name != "value" {
				continue // a literal has no name; its type is its own
			}
			c := n.Op.Def().NewAttrs()
			reflect.ValueOf(c).Elem().Set(reflect.ValueOf(n.Attrs).Elem())
			reflect.ValueOf(c).Elem().Field(a.index).SetZero()
			f.Nodes[i].Attrs = c
			if Digest(m) == before {
				t.Errorf("%v: the digest ignores %s", n.Op, a.name)
			}
			f.Nodes[i].Attrs = n.Attrs
		}
	}
}

func TestLiteralsKeepTheirBits(t *testing.T) {
	bits := map[DType][]uint64{
		F64:  {0, 1 << 63, 1, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff8000000000001, 0xfff0000000000001, 0x3fb999999999999a, 0x7fefffffffffffff},
		F32:  {0, 1 << 31, 1, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fc00001, 0xff800001, 0x3dcccccd, 0x7f7fffff},
		BF16: {0, 1 << 15, 1, 0x7f80, 0xff80, 0x7fc0, 0x7fc1, 0xff81, 0x3dcd, 0x7f7f},
		F16:  {0, 1 << 15, 1, 0x7c00, 0xfc00, 0x7e00, 0x7e01, 0xfc01, 0x2e66, 0x7bff},
		I64:  {0, 1 << 63, 1<<63 - 1}, U64: {0, 1<<64 - 1}, I32: {0, 1 << 31, 1<<31 - 1}, U32: {1<<32 - 1},
		I8: {0, 0x80, 0x7f}, U8: {0, 0xff}, Bool: {0, 1, 2},
	}
	for d, list := range bits {
		v := NewTensor(d, int64(len(list)))
		for i, b := range list {
			for j := range d.Size() {
				v.Data[i*d.Size()+j] = byte(b >> (8 * j))
			}
		}
		b := NewBuilder(NewModule(), "f", Any)
		b.Output("y", b.Const(v))
		b.Output("splat", b.Const(NewTensor(d, 2, 3)))
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		p, err := ParseText(b.Module().String())
		if err != nil {
			t.Fatalf("%v\n%v", err, b.Module())
		}
		same(t, d.String(), b.Module(), p)
	}
}

func TestLargeConstantsAreNamedAndTravelBesideTheFunctions(t *testing.T) {
	m := NewModule()
	big := NewTensor(F32, 200, 100)
	big.SetFloat(7, 1.5)
	b := NewBuilder(m, "f", Any)
	b.Output("y", b.Const(big))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := Verify(m, Limits{}); err != nil {
		t.Fatal(err)
	}
	p, err := ParseText(m.String())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "text", m, p)
	data, err := Marshal(m)
	if err != nil || len(data) > 1000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	w, err := Unmarshal(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(w, Limits{}); err == nil || !strings.Contains(err.Error(), "which the module lacks") {
		t.Errorf("without its constant: %v", err)
	}
	for name, c := range m.Consts {
		data, err := MarshalConst(name, c)
		if err != nil {
			t.Fatal(err)
		}
		n, u, err := UnmarshalConst(data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		w.Consts[n] = u
		if _, _, err := UnmarshalConst(data, Limits{ConstBytes: 100}); !errors.As(err, new(*LimitError)) {
			t.Errorf("%v", err)
		}
	}
	same(t, "wire", m, w)
	// The name of a constant is not a part of its identity, its contents are.
	var view strings.Builder
	if err := m.Print(&view); err != nil || !strings.Contains(view.String(), "elided sha256:") || len(view.String()) > 1000 {
		t.Errorf("%v %q", err, view.String())
	}
	if _, err := ParseText(view.String()); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("%v", err)
	}
	n := &Func{Name: "f", Nodes: []Node{{Op: OpConstant, Attrs: &ConstantAttrs{Value: big}, Out: 0, NumOut: 1}}, Types: []Type{big.Type()}, Results: []Result{{"y", Output, 0}}}
	literal := &Module{Funcs: []*Func{n}}
	if Digest(literal) != Digest(m) {
		t.Error("a literal and a named constant of the same contents differ")
	}
	if _, err := Marshal(literal); err == nil || !strings.Contains(err.Error(), "named tensor") {
		t.Errorf("%v", err)
	}
	if err := Verify(literal, Limits{}); err == nil || !strings.Contains(err.Error(), "named tensor") {
		t.Errorf("%v", err)
	}
}

func TestMarshalForAnOlderHostNamesTheOp(t *testing.T) {
	d := &opTable[OpErf]
	defer func(v int) { d.Since = v }(d.Since)
	d.Since = 2
	b := NewBuilder(NewModule(), "f", Any)
	b.Output("y", b.Input("x", Scalar(F32)).Erf())
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := MarshalFor(b.Module(), 1); err == nil || !strings.Contains(err.Error(), "erf@1 came with IR version 2 and the host knows version 1; upgrade hone") {
		t.Errorf("%v", err)
	}
	if _, err := MarshalFor(b.Module(), 2); err != nil {
		t.Error(err)
	}
}

func TestTextGoldens(t *testing.T) {
	for name, m := range map[string]*Module{"dense": denseModule(t), "attributes": everyAttr(), "random": randomModule(7)} {
		path := filepath.Join("testdata", name+".graph")
		got := m.String()
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s changed; if that is meant, run the test with -update\n%s", path, got)
		}
	}
}

func denseModule(t *testing.T) *Module {
	t.Helper()
	m := NewModule()
	for _, mode := range []Mode{Train, Infer} {
		b := NewBuilder(m, "dense", mode)
		x := b.Input("x", Type{F32, Shape{Batch, N(784)}})
		w := b.Param("kernel", T(F32, 784, 10), Decl{Axes: []string{"in", "out"}, Tag: "kernel", Initializer: "glorot_uniform"})
		bias := b.Param("bias", T(F32, 10), Decl{Axes: []string{"out"}, Tag: "bias", Initializer: "zeros", NoDecay: true})
		y := x.MatMul(w).Add(bias).Relu()
		if mode == Train {
			y = b.Uniform(y.Dim(1)).Ge(b.Hyper("rate", 0.5)).Select(y, y.Times(0))
		}
		b.Output("y", y)
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []Mode{Train, Infer} {
		b := NewBuilder(m, "model", mode)
		b.Output("p", b.Call("dense", "hidden", b.Input("image", Type{F32, Shape{Batch, N(784)}}))[0].Softmax(-1))
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	if err := Verify(m, Limits{}); err != nil {
		t.Fatal(err)
	}
	return m
}
