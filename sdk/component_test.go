package sdk_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

type layerFunc struct {
	f func(b *sdk.LayerBuilder, x graph.Value) graph.Value
}

func (l *layerFunc) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value { return l.f(b, x) }

// half is an initializer of the author's own.
type half struct{}

func (*half) Init(b *sdk.InitBuilder) graph.Value { return b.Full(0.5) }

// affine is a sub-layer: x * w, with dropout-like randomness while training.
type affine struct {
	Units  int           `hone:"units,required,min=1"`
	Rate   float64       `hone:"rate,default=0.5,min=0,max=1,runtime"`
	Kernel sdk.Component `hone:"kernel_initializer,kind=initializer,default=ones"`
}

func (a *affine) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	w := b.Param("w", graph.T(graph.F32, x.ConstDim(1), int64(a.Units)), sdk.Param{Axes: []string{"in", "out"}, Initializer: a.Kernel})
	seen := b.State("seen", graph.T(graph.F32), sdk.Component{})
	y := x.MatMul(w)
	if b.Training() {
		b.SetState("seen", seen.Plus(1))
		y = y.Mul(b.Uniform(y.Dim(1)).Ge(b.Hyper("rate", a.Rate)).Convert(graph.F32))
	}
	return y
}

// tower stacks affine layers.
type tower struct {
	Blocks int           `hone:"blocks,default=3,min=1"`
	Act    sdk.Component `hone:"activation,kind=layer"`
}

func (t *tower) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	for i := range t.Blocks {
		l := sdk.Defaults(&affine{Units: int(x.ConstDim(1))})
		if i == 1 {
			l.Kernel = sdk.Own(&half{})
		}
		x = b.Component("act["+string(rune('0'+i))+"]", t.Act, b.Layer("block["+string(rune('0'+i))+"].affine", l, x))
	}
	b.Output("double", x.Times(2))
	return x
}

// gain is an activation with a parameter of its own.
type gain struct{}

func (*gain) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Mul(b.Param("g", graph.T(graph.F32, x.ConstDim(1)), sdk.Param{Initializer: sdk.Named("ones")}))
}

type fill struct {
	To float64 `hone:"to,default=1"`
}

func (f *fill) Init(b *sdk.InitBuilder) graph.Value { return b.Full(f.To) }

func testPlugin() sdk.Plugin {
	return sdk.Plugin{
		Name: "test", Version: "1.0.0",
		Layers: sdk.Layers{
			"affine": func() sdk.Layer { return &affine{} },
			"tower":  func() sdk.Layer { return &tower{} },
			"gain":   func() sdk.Layer { return &gain{} },
		},
		Initializers: sdk.Initializers{
			"ones":  func() sdk.Initializer { return &fill{} },
			"zeros": func() sdk.Initializer { return &fill{} },
		},
	}
}

var vectors = graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}

func TestSubLayersStandUnderTheirScopes(t *testing.T) {
	k := plugintest.New(t, testPlugin())
	m := k.MustTrace(sdk.LayerKind, "tower", plugintest.Config{"activation": "gain"}, vectors)
	train, infer := m.Func("layer", graph.Train), m.Func("layer", graph.Infer)
	if train == nil || infer == nil {
		t.Fatalf("the modes differ and must both be there:\n%v", m)
	}
	var names []string
	for _, p := range train.Params {
		names = append(names, p.Role.String()+" "+p.Name)
	}
	for _, want := range []string{"param block[0].affine.w", "param block[2].affine.w", "state block[1].affine.seen", "key block[2].affine#0",
		"hyper block[1].affine.rate", "param act[1].g"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s among %v", want, names)
		}
	}
	if got := len(train.Results); got != 2+3 || train.Results[0].Name != "y" || train.Result(graph.Output, "double") < 0 {
		t.Errorf("results %v", train.Results)
	}
	affines := 0
	for _, f := range m.Funcs {
		if strings.HasPrefix(f.Name, "affine#") && f.Mode == graph.Train {
			affines++
		}
	}
	if affines != 2 { // the middle one has another initializer
		t.Errorf("three blocks of two kinds are %d functions", affines)
	}
	for i, want := range []float64{1, 0.5, 1} {
		p := train.Params[train.Param(graph.ParamRole, "block["+string(rune('0'+i))+"].affine.w")]
		if got := k.Run(m, p.Decl.Initializer, graph.Any, nil)["value"].Float(3); got != want {
			t.Errorf("block %d starts at %v, wanted %v", i, got, want)
		}
	}
}

func TestAFrozenLayerHasTheSignatureOfTheTrainedOne(t *testing.T) {
	k := plugintest.New(t, testPlugin())
	m := k.MustTrace(sdk.LayerKind, "affine", plugintest.Config{"units": 2, "rate": 0.25}, vectors)
	train, infer := m.Func("layer", graph.Train), m.Func("layer", graph.Infer)
	if len(train.Params) != len(infer.Params) || len(train.Results) != 2 || len(infer.Results) != 2 {
		t.Fatalf("signatures differ:\n%v", m)
	}
	if i := infer.Result(graph.StateRole, "seen"); int(infer.Results[i].Value) != infer.Param(graph.StateRole, "seen") {
		t.Error("inference does not return the state as it is")
	}
	if p := train.Params[train.Param(graph.HyperRole, "rate")]; p.Decl.Default != 0.25 {
		t.Errorf("the rate is %v", p.Decl.Default)
	}
}

func TestLayersThatDoNotFitAreRefused(t *testing.T) {
	build := func(f func(b *sdk.LayerBuilder, x graph.Value) graph.Value) sdk.Plugin {
		p := testPlugin()
		p.Layers["l"] = func() sdk.Layer { return &layerFunc{f} }
		return p
	}
	for _, c := range []struct {
		want string
		f    func(b *sdk.LayerBuilder, x graph.Value) graph.Value
	}{
		{"is f32[4] in training and f32[3] in inference", func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			n := int64(3)
			if b.Training() {
				n = 4
			}
			b.Param("w", graph.T(graph.F32, n), sdk.Param{})
			return x
		}},
		{`"y" is f32[batch, 4] in train and f32[batch] in infer`, func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			if b.Training() {
				return x
			}
			return x.Sum(1)
		}},
		{"the zero Value", func(*sdk.LayerBuilder, graph.Value) graph.Value { return graph.Value{} }},
		{"component_test.go:", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.MatMul(x) }},
		{"panicked: no such thing (component_test.go:", func(*sdk.LayerBuilder, graph.Value) graph.Value { panic("no such thing") }},
		{`parameter "Kernel"`, func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Add(b.Param("Kernel", graph.T(graph.F32, 4), sdk.Param{}))
		}},
		{"component_test.go:", func(b *sdk.LayerBuilder, x graph.Value) graph.Value { // not the SDK's own line
			return x.Add(b.Param("k", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch}}, sdk.Param{}))
		}},
		{"2 axis tags", func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Add(b.Param("k", graph.T(graph.F32, 4), sdk.Param{Axes: []string{"in", "out"}}))
		}},
		{`there is no initializer "unheard_of"`, func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Add(b.Param("k", graph.T(graph.F32, 4), sdk.Param{Initializer: sdk.Named("unheard_of")}))
		}},
		{"is no initializer", func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Add(b.Param("k", graph.T(graph.F32, 4), sdk.Param{Initializer: sdk.Own(&gain{})}))
		}},
		{"takes 1 inputs, got 2", func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return b.Layer("inner", &gain{}, x, x)
		}},
		{"y is taken", func(b *sdk.LayerBuilder, x graph.Value) graph.Value { b.Output("y", x); return x }},
	} {
		k := plugintest.New(t, build(c.f))
		_, err := k.Trace(sdk.LayerKind, "l", nil, vectors)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, wanted %q", err, c.want)
		}
	}
}

// baked takes its runtime argument for a number.
type baked struct {
	Rate float64 `hone:"rate,default=0.5,runtime"`
}

func (r *baked) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Times(1 - r.Rate) }

// forwarder gives its runtime argument to a sub-layer under another name.
type forwarder struct {
	Dropped float64 `hone:"dropped,default=0.5,runtime"`
}

func (f *forwarder) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	l := sdk.Defaults(&affine{Units: 4})
	l.Rate = f.Dropped
	return b.Layer("inner", l, x)
}

func TestRuntimeArgumentsMustReachTheGraphAsHypers(t *testing.T) {
	p := testPlugin()
	p.Layers["baked"] = func() sdk.Layer { return &baked{} }
	p.Layers["forwarder"] = func() sdk.Layer { return &forwarder{} }
	k := plugintest.New(t, p)
	if _, err := k.Trace(sdk.LayerKind, "baked", nil, vectors); err == nil || !strings.Contains(err.Error(), "used as a plain number") {
		t.Errorf("got %v", err)
	}
	if _, err := k.Trace(sdk.LayerKind, "forwarder", nil, vectors); err == nil || !strings.Contains(err.Error(), `hyper "rate"`) {
		t.Errorf("got %v", err)
	}
}

type everything struct {
	Flag  bool          `hone:"flag,default=true"`
	Count int           `hone:"count,default=3,min=1,max=5"`
	Share float64       `hone:"share,default=0.5,above=0,below=1"`
	Word  string        `hone:"word,default=red,enum=red|green"`
	Sizes []int         `hone:"sizes,default=1|2,min=1,len=1..2"`
	Limit *float64      `hone:"limit,optional,min=0"`
	Act   sdk.Component `hone:"act,kind=layer,default=gain"`
	check func(*everything)
}

func (e *everything) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	e.check(e)
	return x
}

func (e *everything) Validate() error {
	if e.Count == 4 {
		return sdk.Invalid("count", "4 is unlucky")
	}
	return nil
}

func TestArgumentsAreCheckedAndFilledIn(t *testing.T) {
	var got everything
	p := testPlugin()
	p.Layers["e"] = func() sdk.Layer { return &everything{check: func(e *everything) { got = *e }} }
	k := plugintest.New(t, p)
	k.MustTrace(sdk.LayerKind, "e", nil, vectors)
	if !got.Flag || got.Count != 3 || got.Share != 0.5 || got.Word != "red" || !slices.Equal(got.Sizes, []int{1, 2}) || got.Limit != nil || got.Act.IsZero() {
		t.Errorf("defaults: %+v", got)
	}
	k.MustTrace(sdk.LayerKind, "e", plugintest.Config{"flag": false, "count": 5.0, "share": 0.25, "word": "green", "sizes": 2, "limit": 7, "act": nil}, vectors)
	if got.Flag || got.Count != 5 || got.Share != 0.25 || got.Word != "green" || !slices.Equal(got.Sizes, []int{2}) || *got.Limit != 7 {
		t.Errorf("given: %+v", got)
	}
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"flag", "yes", "wanted true or false"},
		{"count", 0, "at least 1"},
		{"count", 2.5, "wanted a whole number, got 2.5"},
		{"count", 4, "4 is unlucky"},
		{"share", 0, "above 0"},
		{"share", 1.0, "below 1"},
		{"word", "blue", "Choose one of red, green."},
		{"sizes", []int{1, 2, 3}, "has 3 values, wanted 1 to 2"},
		{"sizes", []any{1, "x"}, "sizes[1]"},
		{"limit", -1, "at least 0"},
		{"act", 7, "wanted a layer"},
		{"act", "nothing", "there is no layer"},
		{"coutn", 7, `Did you mean "count"?`},
	} {
		if _, err := k.Trace(sdk.LayerKind, "e", plugintest.Config{c.name: c.value}, vectors); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: got %v, wanted %q", c.name, c.value, err, c.want)
		}
	}
}

type (
	noDefault struct {
		A int `hone:"a"`
	}
	twoWays struct {
		A int `hone:"a,required,default=1"`
	}
	bareOption struct {
		A int `hone:"a,optional"`
	}
	badType struct {
		A map[string]int `hone:"a,required"`
	}
	badName struct {
		A int `hone:"A-b,required"`
	}
	outOfRange struct {
		A int `hone:"a,default=7,max=5"`
	}
	noKind struct {
		A sdk.Component `hone:"a"`
	}
	runtimeInt struct {
		A int `hone:"a,default=1,runtime"`
	}
	unexported struct {
		a int `hone:"a,required"`
	}
)

func (*noDefault) Init(b *sdk.InitBuilder) graph.Value  { return b.Full(0) }
func (*twoWays) Init(b *sdk.InitBuilder) graph.Value    { return b.Full(0) }
func (*bareOption) Init(b *sdk.InitBuilder) graph.Value { return b.Full(0) }
func (*badType) Init(b *sdk.InitBuilder) graph.Value    { return b.Full(0) }
func (*badName) Init(b *sdk.InitBuilder) graph.Value    { return b.Full(0) }
func (*outOfRange) Init(b *sdk.InitBuilder) graph.Value { return b.Full(0) }
func (*noKind) Init(b *sdk.InitBuilder) graph.Value     { return b.Full(0) }
func (*runtimeInt) Init(b *sdk.InitBuilder) graph.Value { return b.Full(0) }
func (u *unexported) Init(b *sdk.InitBuilder) graph.Value {
	return b.Full(float64(u.a))
}

func TestMalformedComponentsAreFoundWhenDescribed(t *testing.T) {
	for _, c := range []struct {
		make func() sdk.Initializer
		want string
	}{
		{func() sdk.Initializer { return &noDefault{} }, "required, optional and default"},
		{func() sdk.Initializer { return &twoWays{} }, "required, optional and default"},
		{func() sdk.Initializer { return &bareOption{} }, "pointer"},
		{func() sdk.Initializer { return &badType{} }, "map[string]int"},
		{func() sdk.Initializer { return &badName{} }, "A-b"},
		{func() sdk.Initializer { return &outOfRange{} }, "at most 5"},
		{func() sdk.Initializer { return &noKind{} }, "kind=K"},
		{func() sdk.Initializer { return &runtimeInt{} }, "float64"},
		{func() sdk.Initializer { return &unexported{} }, "not exported"},
	} {
		p := sdk.Plugin{Name: "test", Version: "1", Initializers: sdk.Initializers{"i": c.make}}
		if _, err := p.Types(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, wanted %q", err, c.want)
		}
	}
	for _, p := range []sdk.Plugin{{Name: "No", Version: "1"}, {Name: "a"}, {Name: "a", Version: "1"}, {Name: "a", Version: "1", Initializers: sdk.Initializers{"Bad Name": func() sdk.Initializer { return &half{} }}}} {
		if _, err := p.Types(); err == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
}
