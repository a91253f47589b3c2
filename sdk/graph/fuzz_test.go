package graph

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// small are limits that keep each fuzzed input cheap.
var small = Limits{MessageBytes: 1 << 20, Nodes: 2000, Expanded: 20000, ConstBytes: 1 << 20}

// examine puts a module of unknown origin through all that reads one. Nothing
// may panic, and what verifies must survive both forms.
func examine(t *testing.T, m *Module) {
	text := m.String()
	if Verify(m, small) != nil {
		return
	}
	sum := Digest(m)
	p, err := ParseText(text)
	if err != nil {
		t.Fatalf("the text of a verified module: %v\n%s", err, text)
	}
	if Digest(p) != sum || p.String() != text {
		t.Fatalf("the text form changed the module\n%s\n%s", text, p)
	}
	data, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Unmarshal(data, small)
	if err != nil {
		t.Fatalf("the wire form of a verified module: %v\n%s", err, text)
	}
	w.Consts = m.Consts
	if Digest(w) != sum || w.String() != text {
		t.Fatalf("the wire form changed the module\n%s\n%s", text, w)
	}
	Demote(w)
	if err := Verify(w, small); err != nil {
		t.Fatalf("after demotion: %v\n%s", err, w)
	}
	if err := NewModule().Merge(m, func(s string) string { return "x." + s }); err != nil {
		t.Fatalf("merging: %v\n%s", err, text)
	}
}

func FuzzParseText(f *testing.F) {
	names, err := filepath.Glob("testdata/*.graph")
	if err != nil || len(names) == 0 {
		f.Fatal("no goldens to start from")
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for seed := range uint64(8) {
		f.Add(randomModule(seed).String())
	}
	f.Add("ir 1\nconst \"a b\": bool[2] base64:AQA=\nfunc f any (%0 input x: u8[3*batch+1]) -> () {\n%1 = constant() {ref=\"a b\", to=bool, dims=[2]}: bool[2] // end\n}")
	f.Fuzz(func(t *testing.T, src string) {
		if m, err := ParseText(src); err == nil {
			examine(t, m)
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	for seed := range uint64(16) {
		data, err := Marshal(randomModule(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := Unmarshal(data, small); err == nil {
			examine(t, m)
		}
	})
}

func FuzzUnmarshalConst(f *testing.F) {
	data, err := MarshalConst("w", Float32s([]float32{1, 2}, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		name, v, err := UnmarshalConst(data, small)
		if err != nil {
			return
		}
		if n, err := v.Type().Bytes(nil); err != nil || n != int64(len(v.Data)) {
			t.Fatalf("%q: %v holds %d bytes", name, v.Type(), len(v.Data))
		}
	})
}

// FuzzVerify corrupts random modules where no form could: fields of functions,
// nodes and attributes are changed, dropped and doubled at random.
func FuzzVerify(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, module, damage uint64) {
		m := randomModule(module % 1000)
		r := rand.New(rand.NewPCG(damage, 5))
		for range 1 + r.IntN(3) {
			corrupt(r, reflect.ValueOf(m.Funcs), 0)
		}
		for i, g := range m.Funcs {
			if g == nil { // printing a hole is not promised
				m.Funcs = m.Funcs[:i]
				break
			}
		}
		examine(t, m)
	})
}

// corrupt walks to a random place in v and changes it. Attribute structs are
// copied first, since functions share them.
func corrupt(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || depth > 0 && r.IntN(40) == 0 {
			if v.CanSet() {
				v.SetZero()
			}
			return
		}
		if v.Kind() == reflect.Interface {
			c := reflect.New(v.Elem().Type().Elem())
			c.Elem().Set(v.Elem().Elem())
			v.Set(c)
			corrupt(r, c.Elem(), depth+1)
			return
		}
		corrupt(r, v.Elem(), depth+1)
	case reflect.Struct:
		if f := v.Field(r.IntN(v.NumField())); f.CanSet() {
			corrupt(r, f, depth+1)
		} else if v.Type() == reflect.TypeFor[Dim]() {
			v.Set(reflect.ValueOf([]Dim{N(-1), N(0), N(1 << 62), Affine("batch", 1<<40, -3), Affine("time", 1, 0), Affine("batch", 2, 1)}[r.IntN(6)]))
		}
	case reflect.Slice:
		n := v.Len()
		switch {
		case n > 0 && (depth == 0 || r.IntN(4) > 0):
			corrupt(r, v.Index(r.IntN(n)), depth+1)
		case n > 0 && r.IntN(2) == 0:
			v.Set(reflect.AppendSlice(v.Slice3(0, n-1, n-1), v.Slice(n, n)))
		case n > 0:
			v.Set(reflect.Append(v.Slice3(0, n, n), v.Index(r.IntN(n))))
		default:
			v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
		}
	case reflect.Int32, reflect.Int64:
		v.SetInt([]int64{v.Int() + 1, v.Int() - 1, 0, -1, 1<<31 - 1, v.Int() + int64(r.IntN(20))}[r.IntN(6)])
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(uint64(r.IntN(80)))
	case reflect.String:
		v.SetString([]string{"", "f0", "hone/relu@1", "hone/relu@1#0", "a b", "\xff", "x[1", "sum", "lt", v.String() + "1"}[r.IntN(10)])
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Float64:
		v.SetFloat([]float64{math.NaN(), math.Inf(1), -0.5}[r.IntN(3)])
	}
}
