package graph

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hone-ml/hone/sdk/honepb/graphpb"
)

// Marshal returns the wire form of the module's functions, in this package's
// IR version. The module's named constants travel beside it (MarshalConst).
// Two equal modules may have different bytes; Digest tells equality.
func Marshal(m *Module) ([]byte, error) { return MarshalFor(m, Version) }

// MarshalFor returns the wire form for a reader that knows IR versions up to
// hostIR. It refuses, by name, an op that no such version has.
func MarshalFor(m *Module, hostIR int) ([]byte, error) {
	if hostIR < 1 {
		return nil, fmt.Errorf("the reader's IR version is %d; the first one is 1", hostIR)
	}
	w := &wireWriter{out: &graphpb.Module{}, ops: map[Op]uint32{}, hostIR: hostIR, needs: 1}
	for _, f := range m.Funcs {
		g, err := w.fn(f)
		if err != nil {
			return nil, fmt.Errorf("function %q (%v): %w", f.Name, f.Mode, err)
		}
		w.out.Functions = append(w.out.Functions, g)
	}
	w.out.IrVersion = uint32(w.needs)
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(w.out)
	if err != nil {
		return nil, fmt.Errorf("writing the module: %w", err)
	}
	return data, nil
}

// MarshalConst returns the wire form of one named constant.
func MarshalConst(name string, t *Tensor) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(&graphpb.NamedTensor{Name: name, Tensor: tensorToWire(t)})
}

// UnmarshalConst reads what MarshalConst wrote.
func UnmarshalConst(data []byte, l Limits) (string, *Tensor, error) {
	l = l.withDefaults()
	if n := int64(len(data)); n > l.ConstBytes+l.NameBytes+4<<10 {
		return "", nil, &LimitError{What: "bytes", Where: "a constant", Got: n, Limit: l.ConstBytes}
	}
	var p graphpb.NamedTensor
	if err := readMessage(data, &p, 16); err != nil {
		return "", nil, fmt.Errorf("reading a constant: %w", err)
	}
	t, err := tensorFromWire(p.GetTensor())
	if err != nil {
		return "", nil, fmt.Errorf("constant %q: %w", p.GetName(), err)
	}
	return p.GetName(), t, nil
}

// Unmarshal reads a module's wire form, without its named constants. It checks
// the form and the limits that bound memory; Verify checks the meaning.
func Unmarshal(data []byte, l Limits) (*Module, error) {
	l = l.withDefaults()
	if n := int64(len(data)); n > l.MessageBytes {
		return nil, &LimitError{What: "bytes", Got: n, Limit: l.MessageBytes}
	}
	var p graphpb.Module
	// A node takes some ten messages: types, dimensions, attributes.
	if err := readMessage(data, &p, 20*l.Nodes); err != nil {
		return nil, fmt.Errorf("reading a module: %w", err)
	}
	if v := p.GetIrVersion(); v < 1 || v > Version {
		return nil, fmt.Errorf("the module is written in IR version %d and this hone reads versions 1 to %d; upgrade hone, or trace with an older SDK", v, Version)
	}
	r := wireReader{ops: make([]Op, len(p.GetOps()))}
	for i, o := range p.GetOps() {
		op, err := LookupOp(o.GetName(), int(o.GetVersion()))
		if err != nil {
			return nil, err
		}
		r.ops[i] = op
	}
	m := NewModule()
	for _, f := range p.GetFunctions() {
		g, err := r.fn(f)
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", f.GetName(), err)
		}
		m.Funcs = append(m.Funcs, g)
	}
	return m, nil
}

// readMessage decodes data into p after counting the messages nested in it,
// since a message of two bytes takes a hundred of memory. Fields that this
// version lacks are refused: ignoring them could change the meaning.
func readMessage(data []byte, p proto.Message, most int64) error {
	left := most
	if err := scanMessage(data, p.ProtoReflect().Descriptor(), &left); err != nil {
		if left < 0 {
			return &LimitError{What: "parts", Where: "the message", Got: most + 1, Limit: most}
		}
		return err
	}
	return proto.Unmarshal(data, p)
}

// scanMessage counts down the messages and strings in lists, without taking
// memory, and reports what is malformed or unknown.
func scanMessage(data []byte, d protoreflect.MessageDescriptor, left *int64) error {
	fields := d.Fields()
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("malformed message: %w", protowire.ParseError(n))
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(num, typ, data); n < 0 {
			return fmt.Errorf("malformed message: %w", protowire.ParseError(n))
		}
		f := fields.ByNumber(num)
		if f == nil || !isWiredAs(f, typ) {
			return fmt.Errorf("%s has the unknown field %d; the message was written by a newer hone, or is damaged", d.Name(), num)
		}
		if m := f.Message(); m != nil || typ == protowire.BytesType && f.IsList() {
			if *left--; *left < 0 {
				return fmt.Errorf("too many parts")
			}
			if m != nil {
				b, _ := protowire.ConsumeBytes(data)
				if err := scanMessage(b, m, left); err != nil {
					return err
				}
			}
		}
		data = data[n:]
	}
	return nil
}

// isWiredAs reports whether a field may come with that wire type.
func isWiredAs(f protoreflect.FieldDescriptor, typ protowire.Type) bool {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.StringKind, protoreflect.BytesKind:
		return typ == protowire.BytesType
	case protoreflect.DoubleKind:
		return typ == protowire.Fixed64Type
	}
	return typ == protowire.VarintType || typ == protowire.BytesType && f.IsList()
}

// wireWriter turns a module into messages.
type wireWriter struct {
	out    *graphpb.Module
	ops    map[Op]uint32
	hostIR int
	needs  int // least IR version that has all that is written
}

// opIndex returns the op's place in the module's list.
func (w *wireWriter) opIndex(op Op) (uint32, error) {
	if i, ok := w.ops[op]; ok {
		return i, nil
	}
	if !op.Valid() {
		return 0, fmt.Errorf("unknown op %d", op)
	}
	d := op.Def()
	if d.Since > w.hostIR {
		return 0, fmt.Errorf("op %s@%d came with IR version %d and the host knows version %d; upgrade hone, or write the layer without %s", d.Name, d.Version, d.Since, w.hostIR, d.Name)
	}
	w.needs = max(w.needs, d.Since)
	i := uint32(len(w.out.Ops))
	w.ops[op] = i
	w.out.Ops = append(w.out.Ops, &graphpb.OpId{Name: d.Name, Version: uint32(d.Version)})
	return i, nil
}

func (w *wireWriter) fn(f *Func) (*graphpb.Function, error) {
	g := &graphpb.Function{Name: f.Name, Mode: graphpb.Mode(f.Mode)}
	if c := f.Composite; c != nil {
		g.Composite = &graphpb.Composite{Name: c.Name, Gradient: c.Gradient}
		for _, a := range c.Attrs {
			g.Composite.Attrs = append(g.Composite.Attrs, &graphpb.NamedAttr{Name: a.Name, Value: a.Value})
		}
	}
	for _, p := range f.Params {
		q := &graphpb.Param{Name: p.Name, Role: graphpb.Role(p.Role), Type: typeToWire(p.Type)}
		if d := p.Decl; d != nil {
			q.Decl = &graphpb.Decl{
				Axes: d.Axes, Tag: d.Tag, Initializer: d.Initializer, Regularizer: d.Regularizer, Constraint: d.Constraint,
				NonTrainable: d.NonTrainable, NoDecay: d.NoDecay, Alias: d.Alias, DefaultValue: d.Default,
			}
		}
		g.Params = append(g.Params, q)
	}
	next := ValueID(len(f.Params))
	for i := range f.Nodes {
		n, err := w.node(f, &f.Nodes[i], next)
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		next += ValueID(f.Nodes[i].NumOut)
		g.Nodes = append(g.Nodes, n)
	}
	for _, r := range f.Results {
		g.Results = append(g.Results, &graphpb.Result{Name: r.Name, Role: graphpb.Role(r.Role), Value: uint32(r.Value)})
	}
	if len(f.Scopes) == len(f.Nodes) {
		number := map[string]uint32{}
		for _, s := range f.Scopes {
			if _, ok := number[s]; !ok {
				number[s] = uint32(len(g.Scopes))
				g.Scopes = append(g.Scopes, s)
			}
			g.NodeScopes = append(g.NodeScopes, number[s])
		}
	}
	return g, nil
}

func (w *wireWriter) node(f *Func, n *Node, next ValueID) (*graphpb.Node, error) {
	op, err := w.opIndex(n.Op)
	if err != nil {
		return nil, err
	}
	if n.NumOut > 0 && n.Out != next || n.NumOut < 0 || int(next)+int(n.NumOut) > len(f.Types) {
		return nil, fmt.Errorf("%s: values are not numbered in order", n.Op)
	}
	g := &graphpb.Node{Op: op}
	for _, a := range n.Args {
		g.Args = append(g.Args, uint32(a))
	}
	eachAttr(n.Op, n.Attrs, func(d attrField, v any) {
		if t, ok := v.(*Tensor); ok && len(t.Data) > MaxLiteral {
			err = fmt.Errorf("%s: a literal of %d bytes; above %d bytes a constant must be a named tensor of the module (Builder.Const makes it one)", n.Op, len(t.Data), MaxLiteral)
		}
		g.Attrs = append(g.Attrs, attrToWire(d.name, v))
	})
	for i := range n.NumOut {
		g.Types = append(g.Types, typeToWire(f.Types[n.Out+ValueID(i)]))
	}
	return g, err
}

func attrToWire(name string, v any) *graphpb.Attr {
	a := &graphpb.Attr{Name: name}
	switch v := v.(type) {
	case int64:
		a.Value = &graphpb.Attr_Int{Int: v}
	case bool:
		a.Value = &graphpb.Attr_Bool{Bool: v}
	case string:
		a.Value = &graphpb.Attr_Text{Text: v}
	case float64:
		a.Value = &graphpb.Attr_Float{Float: v}
	case DType:
		a.Value = &graphpb.Attr_Dtype{Dtype: graphpb.DType(v)}
	case *Tensor:
		a.Value = &graphpb.Attr_Tensor{Tensor: tensorToWire(v)}
	case []int64:
		a.Value = &graphpb.Attr_Ints{Ints: &graphpb.Ints{Values: v}}
	case []DimExpr:
		l := &graphpb.DimExprs{}
		for _, e := range v {
			x := &graphpb.DimExpr{Add: e.Add}
			for _, t := range e.Terms {
				y := &graphpb.DimTerm{Mul: t.Mul, Div: t.Div}
				for _, r := range t.Factors {
					y.Factors = append(y.Factors, &graphpb.DimRef{Operand: uint32(r.Operand), Axis: uint32(r.Axis)})
				}
				x.Terms = append(x.Terms, y)
			}
			l.Values = append(l.Values, x)
		}
		a.Value = &graphpb.Attr_Exprs{Exprs: l}
	case []Type:
		l := &graphpb.Types{}
		for _, t := range v {
			l.Values = append(l.Values, typeToWire(t))
		}
		a.Value = &graphpb.Attr_Types{Types: l}
	default:
		panic(fmt.Sprintf("graph: an attribute of type %T", v))
	}
	return a
}

func typeToWire(t Type) *graphpb.Type {
	p := &graphpb.Type{Dtype: graphpb.DType(t.DType)}
	for _, d := range t.Shape {
		p.Dims = append(p.Dims, &graphpb.Dim{Symbol: d.sym, Coef: d.coef, Offset: d.k})
	}
	return p
}

func tensorToWire(t *Tensor) *graphpb.Tensor {
	p := &graphpb.Tensor{Dtype: graphpb.DType(t.DType), Data: t.Data}
	for _, e := range t.Shape {
		p.Shape = append(p.Shape, uint64(e))
	}
	return p
}

// wireReader turns messages into functions.
type wireReader struct {
	ops []Op
}

func (r *wireReader) fn(p *graphpb.Function) (*Func, error) {
	f := &Func{Name: p.GetName()}
	if p.GetMode() < 0 || int(p.GetMode()) >= len(modeNames) {
		return nil, fmt.Errorf("unknown mode %d", p.GetMode())
	}
	f.Mode = Mode(p.GetMode())
	if c := p.GetComposite(); c != nil {
		f.Composite = &Composite{Name: c.GetName(), Gradient: c.GetGradient()}
		for _, a := range c.GetAttrs() {
			f.Composite.Attrs = append(f.Composite.Attrs, NamedAttr{a.GetName(), a.GetValue()})
		}
	}
	for _, q := range p.GetParams() {
		role, err := roleFromWire(q.GetRole())
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", q.GetName(), err)
		}
		t, err := typeFromWire(q.GetType())
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", q.GetName(), err)
		}
		x := Param{Name: q.GetName(), Role: role, Type: t}
		if d := q.GetDecl(); d != nil {
			x.Decl = &Decl{
				Axes: d.GetAxes(), Tag: d.GetTag(), Initializer: d.GetInitializer(), Regularizer: d.GetRegularizer(),
				Constraint: d.GetConstraint(), NonTrainable: d.GetNonTrainable(), NoDecay: d.GetNoDecay(),
				Alias: d.GetAlias(), Default: d.GetDefaultValue(),
			}
		}
		f.Params = append(f.Params, x)
		f.Types = append(f.Types, t)
	}
	for i, q := range p.GetNodes() {
		if err := r.node(f, q); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
	}
	for _, q := range p.GetResults() {
		role, err := roleFromWire(q.GetRole())
		if err != nil {
			return nil, fmt.Errorf("result %q: %w", q.GetName(), err)
		}
		v, err := valueFromWire(q.GetValue())
		if err != nil {
			return nil, fmt.Errorf("result %q: %w", q.GetName(), err)
		}
		f.Results = append(f.Results, Result{Name: q.GetName(), Role: role, Value: v})
	}
	scopes := p.GetNodeScopes()
	if len(scopes) > 0 && len(scopes) != len(f.Nodes) {
		return nil, fmt.Errorf("%d scopes for %d nodes", len(scopes), len(f.Nodes))
	}
	for _, s := range scopes {
		if int64(s) >= int64(len(p.GetScopes())) {
			return nil, fmt.Errorf("scope %d of %d", s, len(p.GetScopes()))
		}
		f.Scopes = append(f.Scopes, p.GetScopes()[s])
	}
	return f, nil
}

func (r *wireReader) node(f *Func, p *graphpb.Node) error {
	if int64(p.GetOp()) >= int64(len(r.ops)) {
		return fmt.Errorf("op %d of a list of %d", p.GetOp(), len(r.ops))
	}
	op := r.ops[p.GetOp()]
	n := Node{Op: op, NumOut: int32(len(p.GetTypes()))}
	if n.NumOut > 0 {
		n.Out = ValueID(len(f.Types))
	}
	for _, a := range p.GetArgs() {
		v, err := valueFromWire(a)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		n.Args = append(n.Args, v)
	}
	if def := op.Def(); def.NewAttrs != nil {
		n.Attrs = def.NewAttrs()
	}
	seen := map[string]bool{}
	for _, a := range p.GetAttrs() {
		d, err := op.Def().attrField(a.GetName())
		if err != nil {
			return err
		}
		if seen[d.name] {
			return fmt.Errorf("%s: attribute %q is given twice", op, d.name)
		}
		seen[d.name] = true
		v, err := attrFromWire(a)
		if err != nil {
			return fmt.Errorf("%s: attribute %q: %w", op, d.name, err)
		}
		if err := setAttr(n.Attrs, d, v); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	for _, q := range p.GetTypes() {
		t, err := typeFromWire(q)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		f.Types = append(f.Types, t)
	}
	f.Nodes = append(f.Nodes, n)
	return nil
}

func attrFromWire(a *graphpb.Attr) (any, error) {
	switch v := a.GetValue().(type) {
	case *graphpb.Attr_Int:
		return v.Int, nil
	case *graphpb.Attr_Bool:
		return v.Bool, nil
	case *graphpb.Attr_Text:
		return v.Text, nil
	case *graphpb.Attr_Float:
		return v.Float, nil
	case *graphpb.Attr_Dtype:
		return dtypeFromWire(v.Dtype)
	case *graphpb.Attr_Tensor:
		return tensorFromWire(v.Tensor)
	case *graphpb.Attr_Ints:
		return v.Ints.GetValues(), nil
	case *graphpb.Attr_Exprs:
		l := make([]DimExpr, len(v.Exprs.GetValues()))
		for i, e := range v.Exprs.GetValues() {
			l[i].Add = e.GetAdd()
			for _, t := range e.GetTerms() {
				x := DimTerm{Mul: t.GetMul(), Div: t.GetDiv()}
				for _, r := range t.GetFactors() {
					x.Factors = append(x.Factors, DimRef{int64(r.GetOperand()), int64(r.GetAxis())})
				}
				l[i].Terms = append(l[i].Terms, x)
			}
		}
		return l, nil
	case *graphpb.Attr_Types:
		l := make([]Type, len(v.Types.GetValues()))
		for i, t := range v.Types.GetValues() {
			var err error
			if l[i], err = typeFromWire(t); err != nil {
				return nil, err
			}
		}
		return l, nil
	}
	return nil, fmt.Errorf("holds no value")
}

func roleFromWire(r graphpb.Role) (Role, error) {
	if r < 0 || int(r) >= len(roleNames) {
		return 0, fmt.Errorf("unknown role %d", r)
	}
	return Role(r), nil
}

func dtypeFromWire(d graphpb.DType) (DType, error) {
	if d <= 0 || int(d) >= len(dtypeNames) {
		return 0, fmt.Errorf("unknown element type %d", d)
	}
	return DType(d), nil
}

func valueFromWire(v uint32) (ValueID, error) {
	if v > math.MaxInt32 {
		return 0, fmt.Errorf("value number %d is out of range", v)
	}
	return ValueID(v), nil
}

func typeFromWire(p *graphpb.Type) (Type, error) {
	d, err := dtypeFromWire(p.GetDtype())
	if err != nil {
		return Type{}, err
	}
	t := Type{DType: d}
	for _, e := range p.GetDims() {
		if (e.GetSymbol() == "") != (e.GetCoef() == 0) {
			return Type{}, fmt.Errorf("a dimension with symbol %q and coefficient %d", e.GetSymbol(), e.GetCoef())
		}
		t.Shape = append(t.Shape, Affine(e.GetSymbol(), e.GetCoef(), e.GetOffset()))
	}
	return t, nil
}

func tensorFromWire(p *graphpb.Tensor) (*Tensor, error) {
	d, err := dtypeFromWire(p.GetDtype())
	if err != nil {
		return nil, err
	}
	t := &Tensor{DType: d, Shape: make([]int64, len(p.GetShape())), Data: slices.Clone(p.GetData())}
	if len(t.Shape) > MaxRank {
		return nil, fmt.Errorf("a tensor with %d axes; there may be %d", len(t.Shape), MaxRank)
	}
	for i, e := range p.GetShape() {
		if e > math.MaxInt64 {
			return nil, fmt.Errorf("a tensor with the extent %d", e)
		}
		t.Shape[i] = int64(e)
	}
	if n, err := bytesOf(d, t.Shape); err != nil || n != int64(len(t.Data)) {
		return nil, fmt.Errorf("a tensor of type %v holds %d bytes", t.Type(), len(t.Data))
	}
	return t, nil
}
