package graph

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	fn := func(sig, body string) string { return "func f any " + sig + " {\n" + body + "\n}" }
	for name, c := range map[string]struct{ src, want string }{
		"duplicate function":   {fn("() -> ()", "") + fn("() -> ()", ""), `two functions are called "f" for mode any`},
		"later operand":        {fn("(%0 input x: f32[]) -> ()", "%1 = neg(%2): f32[]\n%2 = neg(%0): f32[]"), "operand 0 is %2, which does not stand before it"},
		"wrong type":           {fn("(%0 input x: f32[]) -> ()", "%1 = neg(%0): f32[1]"), "%1 is declared f32[1] and is f32[]"},
		"too many results":     {fn("(%0 input x: f32[]) -> ()", "%1, %2 = neg(%0): f32[], f32[]"), "has 1 results and lists 2"},
		"unknown callee":       {fn("() -> ()", "call() {callee=g}"), `calls "g", which the module lacks`},
		"recursion":            {fn("() -> ()", "call() {callee=f}"), "does not stand before it"},
		"later callee":         {fn("() -> ()", "call() {callee=g}") + "func g any () -> () {\n}", "does not stand before it"},
		"later callee by mode": {"func g any () -> () {\n}\nfunc f train () -> () {\n call() {callee=g}\n}\nfunc g train () -> () {\n}", "does not stand before it"},
		"no such value":        {fn("() -> (output y: %0)", ""), "there is no value %0"},
		"result twice":         {fn("(%0 input x: f32[]) -> (output y: %0, output y: %0)", ""), "returned twice"},
		"state from nowhere":   {fn("(%0 input x: f32[]) -> (state y: %0)", ""), "replaces a state that is no parameter"},
		"state type":           {fn("(%0 state y: f32[2]) -> (state y: %1)", "%1 = size(%0): i64[]"), "the state is f32[2] and cannot become i64[]"},
		"result role":          {fn("(%0 input x: f32[]) -> (key y: %0)", ""), "key is no role of a result"},
		"param role":           {fn("(%0 output x: f32[]) -> ()", ""), "output is no role of a parameter"},
		"param twice":          {fn("(%0 input x: f32[], %1 input x: f32[]) -> ()", ""), "declared twice"},
		"path":                 {fn("(%0 param Kernel: f32[]) -> ()", ""), "paths are names"},
		"symbolic param":       {fn("(%0 param k: f32[batch]) -> ()", ""), "cannot have the symbolic shape"},
		"symbol":               {fn("(%0 input x: f32[time]) -> ()", ""), `the dimension symbol "time" is unknown`},
		"shrinking":            {fn("(%0 input x: f32[-1*batch+9]) -> ()", ""), "shrinks as batch grows"},
		"negative":             {fn("(%0 input x: f32[-2]) -> ()", ""), "negative extent"},
		"axes":                 {fn("(%0 param k: f32[2] {axes=[in, out]}) -> ()", ""), "2 axis tags for f32[2]"},
		"axis tag":             {fn("(%0 param k: f32[2] {axes=[inside]}) -> ()", ""), `unknown axis tag "inside"`},
		"decl of an input":     {fn("(%0 input x: f32[2] {no_decay}) -> ()", ""), "a input has no declaration"},
		"alias":                {fn("(%0 param k: f32[2] {alias=A}) -> ()", ""), "alias"},
		"default":              {fn("(%0 hyper k: f32[] {default=nan}) -> ()", ""), "not finite"},
		"hyper type":           {fn("(%0 hyper k: f64[]) -> ()", ""), "a hyper is f32[], not f64[]"},
		"key name":             {fn("(%0 key k: u64[]) -> ()", ""), "the name of a key is PATH#NUMBER"},
		"index type":           {fn("(%0 index index: i64[4]) -> ()", ""), "a index is i64[batch], not i64[4]"},
		"control character":    {fn("(%0 input \"a\\x01\": f32[]) -> ()", ""), "no printable text"},
		"empty name":           {fn("(%0 input \"\": f32[]) -> ()", ""), "has no name"},
		"bool literal":         {fn("() -> ()", "%0 = constant() {value=bool[2] {1, 2}}: bool[2]"), "neither 0 nor 1"},
		"missing constant":     {fn("() -> ()", "%0 = constant() {ref=w, to=f32, dims=[2]}: f32[2]"), "which the module lacks"},
		"other constant":       {"const w: f32[1] base64:AAAAAA==\n" + fn("() -> ()", "%0 = constant() {ref=w, to=f32, dims=[2]}: f32[2]"), "declared f32[2]"},
		"pairs, inputs":        {"func f train (%0 input x: f32[2]) -> () {\n}\nfunc f infer (%0 input x: f32[3]) -> () {\n}", `function "f" differs between the modes train and infer: inputs`},
		"pairs, params":        {"func f train (%0 param k: f32[2]) -> () {\n}\nfunc f infer () -> () {\n}", "param k is declared in one alone"},
		"pairs, declarations":  {"func f train (%0 param k: f32[2]) -> () {\n}\nfunc f infer (%0 param k: f32[2] {tag=bias}) -> () {\n}", "different properties"},
		"composite name":       {"func f any composite relu () -> () {\n}", "no name of a composite"},
		"instance name":        {"func f any composite a/b@1 () -> () {\n}", "must be called a/b@1#NUMBER"},
		"composite param":      {"func a/b@1#0 any composite a/b@1 (%0 param x: f32[]) -> () {\n}", "inputs alone"},
		"unsorted attributes":  {"func a/b@1#0 any composite a/b@1 {y=1, x=1} () -> () {\n}", "not sorted"},
		"gradient missing":     {"func a/b@1#0 any composite a/b@1 gradient g () -> () {\n}", "must stand before it"},
		"gradient signature":   {"func g any () -> () {\n}\nfunc a/b@1#0 any composite a/b@1 gradient g (%0 input x: f32[]) -> (output y: %0) {\n}", "must take inputs, outputs"},
		"scan counts":          {"func g any () -> () {\n}\n" + fn("() -> ()", "scan() {callee=g, carries=9223372036854775807, consts=1}"), "does not fit"},
	} {
		m, err := ParseText("ir 1\n" + c.src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := Verify(m, Limits{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestVerifyCountsBeforeAnythingIsExpanded(t *testing.T) {
	// Forty functions, each calling the one before it ten times.
	src := "ir 1\nfunc f0 any (%0 input x: f32[]) -> (output y: %1) {\n%1 = exp(%0): f32[]\n}\n"
	for i := 1; i <= 40; i++ {
		src += fmt.Sprintf("func f%d any (%%0 input x: f32[]) -> (output y: %%10) {\n", i)
		for j := range 10 {
			src += fmt.Sprintf("%%%d = call(%%%d) {callee=f%d}: f32[]\n", j+1, j, i-1)
		}
		src += "}\n"
	}
	m, err := ParseText(src)
	if err != nil {
		t.Fatal(err)
	}
	var limit *LimitError
	if err := Verify(m, Limits{}); !errors.As(err, &limit) || !strings.Contains(limit.What, "expanded") {
		t.Errorf("%v", err)
	}
	m.Funcs = m.Funcs[:5]
	if err := Verify(m, Limits{}); err != nil {
		t.Error(err)
	}
	for what, l := range map[string]Limits{
		"functions":    {Funcs: 4},
		"nodes":        {Nodes: 40},
		"expanded":     {Expanded: 21109},
		"levels":       {Depth: 4},
		"bytes":        {NameBytes: 1},
		"operands":     {Operands: -1},
		"of constants": {ConstBytes: 1},
		"elements":     {Elements: 3},
	} {
		switch what {
		case "of constants":
			m.Consts["w"] = NewTensor(U8, 2)
		case "elements":
			m.Funcs = append(m.Funcs, &Func{Name: "g", Params: []Param{{"x", Input, T(F32, 2, 2), nil}}, Types: []Type{T(F32, 2, 2)}})
		}
		if err := Verify(m, l); !errors.As(err, &limit) {
			t.Errorf("%s: %v", what, err)
		}
		m.Funcs = m.Funcs[:5]
		delete(m.Consts, "w")
	}
	if err := Verify(m, Limits{Funcs: 5, Nodes: 41, Expanded: 21110, Depth: 5}); err != nil {
		t.Error(err)
	}
}

func TestSyntaxErrorsNameLineAndColumn(t *testing.T) {
	for src, want := range map[string]string{
		"":                             `1:1: expected "ir"`,
		"ir 2":                         "1:4: the text is written in IR version 2",
		"ir 1\nfn":                     `2:1: expected func, const or the end, found "fn"`,
		"ir 1\nfunc f now () -> () {}": `2:8: unknown mode "now"`,
		"ir 1\nfunc f any (%1 input x: f32[]) -> () {}":                                           "2:13: parameters are numbered in order: expected %0",
		"ir 1\nfunc f any (%0 inputs x: f32[]) -> () {}":                                          `2:16: unknown role "inputs"`,
		"ir 1\nfunc f any (%0 input x: f33[]) -> () {}":                                           `2:25: unknown element type "f33"`,
		"ir 1\nfunc f any () -> () {\n  %0 = exp2(): f32[]\n}":                                    "3:8: unknown op exp2@1",
		"ir 1\nfunc f any () -> () {\n  %0 = exp@2(): f32[]\n}":                                   "3:8: op exp@2 is newer than this host",
		"ir 1\nfunc f any () -> () {\n  %1 = exp(): f32[]\n}":                                     "3:3: values are numbered in order: expected %0, found %1",
		"ir 1\nfunc f any () -> () {\n  %0 = iota() {axes=1}: f32[]\n}":                           `3:16: iota has no attribute "axes"; it has to, axis, shape`,
		"ir 1\nfunc f any () -> () {\n  %0 = iota() {axis=1, axis=1}: f32[]\n}":                   `3:24: attribute "axis" is given twice`,
		"ir 1\nfunc f any () -> () {\n  %0 = constant() {value=u8[] 256}: u8[]\n}":                `3:31: "256" is no u8`,
		"ir 1\nfunc f any () -> () {\n  %0 = constant() {value=f32[2] {1}}: u8[]\n}":              "3:36: f32[2] has 2 elements, the text 1",
		"ir 1\nfunc f any () -> () {\n  %0 = constant() {value=f32[1] {1, 2}}: u8[]\n}":           "f32[1] has 1 elements, the text more",
		"ir 1\nfunc f any () -> () {\n  %0 = constant() {value=f32[999999999] {0, ...}}: u8[]\n}": "3:26: a literal holds at most 65536 bytes",
		"ir 1\nfunc f any () -> () {\n  %0 = constant() {value=f32[] nan:0x1}: u8[]\n}":           "no bits of a NaN",
		"ir 1\nfunc \"f":                      "2:6: unterminated",
		"ir 1\nconst w: f32[2] base64:AA":     "malformed base64",
		"ir 1\nconst w: f32[batch] base64:AA": "symbolic",
		"ir 1\nfunc f any (%0 input x: f32[":  "the end of the text",
	} {
		_, err := ParseText(src)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}
