package graph

import (
	"math"
	"slices"
	"testing"
)

func TestDimsAreAffine(t *testing.T) {
	d := func(v Dim, err error) string {
		if err != nil {
			return "error: " + err.Error()
		}
		return v.String()
	}
	b2 := Affine("batch", 2, -3)
	for want, got := range map[string]string{
		"batch+1":                                d(Batch.Add(N(1))),
		"3*batch-3":                              d(Batch.Add(b2)),
		"0":                                      d(Batch.Add(Affine("batch", -1, 0))),
		"error: batch + time mixes two symbols":  d(Batch.Add(Affine("time", 1, 0))),
		"8*batch-12":                             d(N(4).Mul(b2)),
		"error: 2*batch-3 * batch is not affine": d(b2.Mul(Batch)),
		"error: 2*batch-3 is not divisible by 2": d(b2.Div(2)),
		"3*batch+1":                              d(Affine("batch", 6, 2).Div(2)),
		"error: batch is not divisible by 0":     d(Batch.Div(0)),
		"error: 9223372036854775807 + 1 overflows":   d(N(math.MaxInt64).Add(N(1))),
		"error: 2 * 4611686018427387904 overflows":   d(N(1 << 62).Mul(N(2))),
		"error: -1 * -9223372036854775808 overflows": d(N(math.MinInt64).Mul(N(-1))),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n, err := b2.Eval(map[string]int64{"batch": 5}); n != 7 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if _, err := b2.Eval(nil); err == nil {
		t.Error("no error without a value of the symbol")
	}
	if _, err := Affine("batch", 1<<40, 0).Eval(map[string]int64{"batch": 1 << 40}); err == nil {
		t.Error("no error on overflow")
	}
	if _, err := (Shape{b2}).Eval(map[string]int64{"batch": 1}); err == nil {
		t.Error("no error on a negative extent")
	}
}

func TestExtentsMultiplyOut(t *testing.T) {
	m := NewModule()
	b := NewBuilder(m, "f", Any)
	x := b.Input("x", Type{F32, Shape{Batch, N(6), N(4)}})
	e := x.Dim(1).Plus(E(1)).Times(x.Dim(2).Plus(E(-1))).Plus(x.Dim(0).Times(E(4)).Over(2))
	b.Output("y", b.Full(U8, 1, e))
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Types[f.Results[0].Value].String(); got != "u8[2*batch+21]" {
		t.Error(got)
	}
}

func TestAnExtentThatDoesNotDivideIsAMistake(t *testing.T) {
	for _, n := range []int64{0, -2, 2} {
		b := NewBuilder(NewModule(), "f", Any)
		x := b.Input("x", T(F32, 6))
		if b.Full(F32, 0, x.Dim(0).Plus(E(3)).Over(n).Times(E(2)).Plus(E(1))).Valid() || b.Err() == nil {
			t.Errorf("9 over %d is accepted", n)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for path, ok := range map[string]bool{
		"kernel": true, "body.stage3[2].conv1.kernel": true, "a[0][12].b": true, "a_1": true,
		"": false, "Kernel": false, "1a": false, "_a": false, "a.": false, ".a": false, "a..b": false, "a[": false, "a[]": false, "a[x]": false, "a[1": false,
		"a]": false, "a[1]b": false, "[1]": false, "a b": false, "a#0": false, "ä": false,
	} {
		if err := CheckPath(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestCallsShareParametersUnderOneScopeAndNumberDraws(t *testing.T) {
	m := NewModule()
	b := NewBuilder(m, "noise", Train)
	x := b.Input("x", Type{F32, Shape{Batch, N(2)}})
	w := b.Param("w", T(F32, 2), Decl{})
	s := b.State("mean", T(F32, 2), Decl{})
	b.SetState("mean", s.Add(w))
	b.Output("y", x.Add(w).Mul(b.Uniform(x.Dim(1))).Mul(b.Uniform(x.Dim(1))))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	b = NewBuilder(m, "model", Train)
	h := b.Input("x", Type{F32, Shape{Batch, N(2)}})
	for _, scope := range []string{"block2", "block2", "block", "blocks[3]"} {
		h = b.Call("noise", scope, h)[0]
	}
	b.Output("y", h)
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(m, Limits{}); err != nil {
		t.Fatal(err)
	}
	got := map[Role][]string{}
	for _, p := range f.Params {
		got[p.Role] = append(got[p.Role], p.Name)
	}
	for role, want := range map[Role][]string{
		ParamRole: {"block2.w", "block.w", "blocks[3].w"},
		StateRole: {"block2.mean", "block.mean", "blocks[3].mean"},
		KeyRole:   {"block2#0", "block2#1", "block2#2", "block2#3", "block#0", "block#1", "blocks[3]#0", "blocks[3]#1"},
		StepRole:  {"step"}, IndexRole: {"index"},
	} {
		if !slices.Equal(got[role], want) {
			t.Errorf("%v: %v, want %v", role, got[role], want)
		}
	}
	// The state of the block called twice is that of the second call.
	if n := f.Result(StateRole, "block2.mean"); n < 0 || len(f.Results) != 4 {
		t.Errorf("%v", f.Results)
	}
}
