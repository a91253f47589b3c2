package graph

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hone-ml/hone/sdk/honepb/graphpb"
)

func TestTheWireNumbersAreThoseOfThisPackage(t *testing.T) {
	for i, name := range dtypeNames {
		if got := graphpb.DType(i).String(); got != "DTYPE_"+strings.ToUpper(name) {
			t.Errorf("%d: %s", i, got)
		}
	}
	for i, name := range roleNames {
		if got := graphpb.Role(i).String(); got != "ROLE_"+strings.ToUpper(name) {
			t.Errorf("%d: %s", i, got)
		}
	}
	for i, name := range modeNames {
		if got := graphpb.Mode(i).String(); got != "MODE_"+strings.ToUpper(name) {
			t.Errorf("%d: %s", i, got)
		}
	}
	if len(graphpb.DType_name) != len(dtypeNames) || len(graphpb.Role_name) != len(roleNames) || len(graphpb.Mode_name) != len(modeNames) {
		t.Error("an enumeration of the wire form has another number of values")
	}
}

func TestUnmarshalRefusesWhatItCannotTrust(t *testing.T) {
	good, err := Marshal(denseModule(t))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(p *graphpb.Module)) []byte {
		p := &graphpb.Module{}
		if err := proto.Unmarshal(good, p); err != nil {
			t.Fatal(err)
		}
		f(p)
		data, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	function := func(f func(p *graphpb.Function)) []byte {
		return edit(func(p *graphpb.Module) { f(p.Functions[0]) })
	}
	node := func(f func(p *graphpb.Node)) []byte {
		return function(func(p *graphpb.Function) { f(p.Nodes[0]) })
	}
	for want, data := range map[string][]byte{
		"1 scopes for": function(func(p *graphpb.Function) {
			p.Nodes = append(p.Nodes, p.Nodes[0])
			p.Scopes, p.NodeScopes = []string{"a"}, []uint32{0}
		}),
		"scope 7 of 1": function(func(p *graphpb.Function) {
			p.Scopes, p.NodeScopes = []string{"a"}, make([]uint32, len(p.Nodes))
			p.NodeScopes[0] = 7
		}),
		"IR version 9 and this hone reads versions 1 to 1; upgrade hone": edit(func(p *graphpb.Module) { p.IrVersion = 9 }),
		"IR version 0":                    nil,
		"unknown op exp2@1":               edit(func(p *graphpb.Module) { p.Ops[0].Name = "exp2" }),
		"is newer than this host":         edit(func(p *graphpb.Module) { p.Ops[0].Version = 2 }),
		"unknown mode 7":                  function(func(p *graphpb.Function) { p.Mode = 7 }),
		"unknown role 99":                 function(func(p *graphpb.Function) { p.Params[0].Role = 99 }),
		"unknown role -1":                 function(func(p *graphpb.Function) { p.Results[0].Role = -1 }),
		"unknown element type 0":          function(func(p *graphpb.Function) { p.Params[0].Type = nil }),
		"a dimension with symbol":         function(func(p *graphpb.Function) { p.Params[0].Type.Dims[0].Coef = 0 }),
		"op 1000 of a list":               node(func(p *graphpb.Node) { p.Op = 1000 }),
		"is out of range":                 node(func(p *graphpb.Node) { p.Args = []uint32{1 << 31} }),
		`has no attribute "values"`:       node(func(p *graphpb.Node) { p.Attrs[0].Name = "values" }),
		`"value" is given twice`:          node(func(p *graphpb.Node) { p.Attrs = append(p.Attrs, p.Attrs[0]) }),
		"holds no value":                  node(func(p *graphpb.Node) { p.Attrs[0].Value = nil }),
		"cannot hold a int64":             node(func(p *graphpb.Node) { p.Attrs[0].Value = &graphpb.Attr_Int{Int: 1} }),
		"holds 3 bytes":                   node(func(p *graphpb.Node) { p.Attrs[0].GetTensor().Data = make([]byte, 3) }),
		"with the extent":                 node(func(p *graphpb.Node) { p.Attrs[0].GetTensor().Shape = []uint64{1 << 63} }),
		"with 9 axes":                     node(func(p *graphpb.Node) { p.Attrs[0].GetTensor().Shape = make([]uint64, 9) }),
		"Module has the unknown field 77": append(bytes.Clone(good), protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 1)...),
		"Module has the unknown field 1":  append(bytes.Clone(good), protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte{1})...),
		"malformed message":               good[:len(good)-1],
	} {
		if _, err := Unmarshal(data, Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Unmarshal(good, Limits{}); err != nil {
		t.Error(err)
	}
}

func TestUnmarshalCountsBeforeItTakesMemory(t *testing.T) {
	// A million empty nodes are two megabytes; decoded they would take more
	// than a hundred.
	nodes := bytes.Repeat([]byte{5<<3 | 2, 0}, 1<<20)
	data := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	data = protowire.AppendBytes(protowire.AppendTag(data, 3, protowire.BytesType), nodes)
	for _, l := range []Limits{{Nodes: 10_000}, {MessageBytes: 1 << 20}} {
		var limit *LimitError
		if allocs := testing.AllocsPerRun(1, func() {
			if _, err := Unmarshal(data, l); !errors.As(err, &limit) {
				t.Errorf("%v", err)
			}
		}); allocs > 50 {
			t.Errorf("%v allocations", allocs)
		}
	}
}

func TestScopesCrossTheWireAndChangeNoIdentity(t *testing.T) {
	build := func(scoped bool) *Module {
		m := &Module{}
		b := NewBuilder(m, "f", Any)
		x := b.Input("x", T(F32, 2))
		y := x.Mul(x)
		if scoped {
			if old := b.SetScope("hidden"); old != "" {
				t.Errorf("the scope was %q", old)
			}
		}
		y = y.Add(x).Mul(y)
		b.SetScope("")
		b.Output("y", y.Sub(x))
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		return m
	}
	plain, scoped := build(false), build(true)
	if Digest(plain) != Digest(scoped) || plain.String() != scoped.String() {
		t.Error("scopes change the identity or the text of a function")
	}
	data, err := Marshal(scoped)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Unmarshal(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"", "hidden", "hidden", ""}
	if got := back.Funcs[0].Scopes; !slices.Equal(got, want) {
		t.Errorf("scopes %q, wanted %q", got, want)
	}
	if got := scoped.Funcs[0].Clone().Scopes; !slices.Equal(got, want) {
		t.Errorf("a clone has the scopes %q", got)
	}
	if plain.Funcs[0].Scopes != nil {
		t.Error("there are scopes where nobody gave any")
	}
}
