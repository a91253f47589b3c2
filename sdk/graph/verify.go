package graph

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Verify reports the first way in which m breaks the rules of the IR or a
// limit. A module that passes can be inlined, digested and compiled without
// further checks of its form. Its named constants must be attached.
func Verify(m *Module, l Limits) error {
	l = l.withDefaults()
	if n := int64(len(m.Funcs)); n > l.Funcs {
		return &LimitError{What: "functions", Got: n, Limit: l.Funcs}
	}
	v := verifier{m: m, limits: l, index: map[funcKey]int{}, costs: make([]funcCost, len(m.Funcs))}
	for i, f := range m.Funcs {
		if f == nil {
			return fmt.Errorf("function %d is missing", i)
		}
		if _, ok := v.index[funcKey{f.Name, f.Mode}]; ok {
			return fmt.Errorf("two functions are called %q for mode %v", f.Name, f.Mode)
		}
		v.index[funcKey{f.Name, f.Mode}] = i
	}
	if err := v.consts(); err != nil {
		return err
	}
	for i, f := range m.Funcs {
		v.at = i
		if err := v.fn(f); err != nil {
			return fmt.Errorf("function %q (%v): %w", f.Name, f.Mode, err)
		}
	}
	return v.pairs()
}

type funcKey struct {
	name string
	mode Mode
}

// funcCost is what a function amounts to after its calls are expanded.
type funcCost struct{ nodes, depth int64 }

type verifier struct {
	m      *Module
	limits Limits
	index  map[funcKey]int
	at     int // the function under way
	costs  []funcCost
	nodes  int64 // seen so far in all functions
	bytes  int64 // of constants seen so far
}

// lookup is Module.Resolve by index; -1 for none.
func (v *verifier) lookup(name string, mode Mode) int {
	if i, ok := v.index[funcKey{name, mode}]; ok {
		return i
	}
	if i, ok := v.index[funcKey{name, Any}]; ok {
		return i
	}
	return -1
}

func (v *verifier) name(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s has no name", what)
	case int64(len(s)) > v.limits.NameBytes:
		return &LimitError{What: "bytes", Where: "a name", Got: int64(len(s)), Limit: v.limits.NameBytes}
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s has the name %q, which is no printable text", what, s)
	}
	return nil
}

func (v *verifier) consts() error {
	for _, name := range slices.Sorted(maps.Keys(v.m.Consts)) {
		t := v.m.Consts[name]
		if err := v.name("a constant", name); err != nil {
			return err
		}
		if err := v.tensor(t); err != nil {
			return fmt.Errorf("constant %q: %w", name, err)
		}
	}
	return nil
}

func (v *verifier) tensor(t *Tensor) error {
	if t == nil || !t.DType.Valid() || len(t.Shape) > MaxRank {
		return fmt.Errorf("no valid tensor")
	}
	for _, e := range t.Shape {
		if e < 0 {
			return fmt.Errorf("the extent %d is negative", e)
		}
	}
	if n, err := bytesOf(t.DType, t.Shape); err != nil || n != int64(len(t.Data)) {
		return fmt.Errorf("%v holds %d bytes", t.Type(), len(t.Data))
	}
	if t.DType == Bool && slices.ContainsFunc(t.Data, func(b byte) bool { return b > 1 }) {
		return fmt.Errorf("a bool is neither 0 nor 1")
	}
	if v.bytes += int64(len(t.Data)); v.bytes > v.limits.ConstBytes {
		return &LimitError{What: "bytes of constants", Got: v.bytes, Limit: v.limits.ConstBytes}
	}
	return nil
}

func (v *verifier) typ(t Type) error {
	if !t.DType.Valid() {
		return fmt.Errorf("no valid element type")
	}
	if len(t.Shape) > MaxRank {
		return fmt.Errorf("%v has more than %d axes", t, MaxRank)
	}
	elements := int64(1)
	for _, d := range t.Shape {
		n := d.k
		if d.coef != 0 {
			if d.sym != BatchSymbol {
				return fmt.Errorf("%v: the dimension symbol %q is unknown; this version of the IR knows %q alone", t, d.sym, BatchSymbol)
			}
			if d.coef < 0 {
				return fmt.Errorf("%v: the extent %v shrinks as %s grows", t, d, d.sym)
			}
			n = max(n, 0)
			var ok bool
			if n, ok = addOK(n, d.coef); !ok {
				n = math.MaxInt64
			}
		}
		if n < 0 {
			return fmt.Errorf("%v has a negative extent", t)
		}
		var ok bool
		if elements, ok = mulOK(elements, n); !ok {
			elements = math.MaxInt64
		}
	}
	if elements > v.limits.Elements {
		return &LimitError{What: "elements", Where: "a value " + t.String(), Got: elements, Limit: v.limits.Elements}
	}
	return nil
}

func (v *verifier) fn(f *Func) error {
	if err := v.name("a function", f.Name); err != nil {
		return err
	}
	if int(f.Mode) >= len(modeNames) {
		return fmt.Errorf("unknown mode %d", f.Mode)
	}
	if n := int64(max(len(f.Params), len(f.Results))); n > v.limits.Operands {
		return &LimitError{What: "parameters or results", Where: "the function", Got: n, Limit: v.limits.Operands}
	}
	if len(f.Types) < len(f.Params) {
		return fmt.Errorf("%d types for %d parameters", len(f.Types), len(f.Params))
	}
	seen := map[roleName]Type{}
	for i, p := range f.Params {
		if err := v.param(p); err != nil {
			return fmt.Errorf("parameter %q: %w", p.Name, err)
		}
		if _, ok := seen[roleName{p.Role, p.Name}]; ok {
			return fmt.Errorf("%v %q is declared twice", p.Role, p.Name)
		}
		seen[roleName{p.Role, p.Name}] = p.Type
		if !f.Types[i].Equal(p.Type) {
			return fmt.Errorf("parameter %q is %v and its value %v", p.Name, p.Type, f.Types[i])
		}
	}
	if err := v.body(f); err != nil {
		return err
	}
	returned := map[roleName]bool{}
	for _, r := range f.Results {
		if err := v.result(f, r, seen, returned); err != nil {
			return fmt.Errorf("result %q: %w", r.Name, err)
		}
	}
	return v.composite(f)
}

type roleName struct {
	role Role
	name string
}

var axisTags = []string{"", "in", "out", "group", "spatial"}

func (v *verifier) param(p Param) error {
	what := p.Role.String()
	if err := v.name(what, p.Name); err != nil {
		return err
	}
	if err := v.typ(p.Type); err != nil {
		return err
	}
	needs := func(t Type) error {
		if !p.Type.Equal(t) {
			return fmt.Errorf("a %s is %v, not %v", what, t, p.Type)
		}
		return nil
	}
	constant := func() error {
		if err := CheckPath(p.Name); err != nil {
			return err
		}
		if _, ok := p.Type.Shape.Const(); !ok {
			return fmt.Errorf("a %s cannot have the symbolic shape %v", what, p.Type.Shape)
		}
		return nil
	}
	var err error
	declared := false
	switch p.Role {
	case Input, GlobalRole:
	case ParamRole, StateRole:
		declared = true
		err = constant()
	case SlotRole:
		declared = true
	case HyperRole:
		declared = true
		err = needs(Scalar(F32))
	case KeyRole:
		err = needs(Scalar(U64))
		scope, ordinal, ok := strings.Cut(p.Name, "#")
		if !ok || ordinal == "" || strings.Trim(ordinal, "0123456789") != "" || scope != "" && CheckPath(scope) != nil {
			return fmt.Errorf("the name of a key is PATH#NUMBER")
		}
	case StepRole:
		err = needs(Scalar(U64))
	case IndexRole:
		err = needs(Type{I64, Shape{Batch}})
	default:
		return fmt.Errorf("%v is no role of a parameter", p.Role)
	}
	if err != nil {
		return err
	}
	if p.Decl == nil {
		return nil
	}
	if !declared {
		return fmt.Errorf("a %s has no declaration", what)
	}
	return v.decl(p)
}

func (v *verifier) decl(p Param) error {
	d := p.Decl
	if len(d.Axes) > 0 && len(d.Axes) != p.Type.Rank() {
		return fmt.Errorf("%d axis tags for %v", len(d.Axes), p.Type)
	}
	for _, a := range d.Axes {
		if !slices.Contains(axisTags, a) {
			return fmt.Errorf("unknown axis tag %q; the tags are in, out, group and spatial", a)
		}
	}
	for _, s := range []string{d.Tag, d.Initializer, d.Regularizer, d.Constraint} {
		if s == "" {
			continue
		}
		if err := v.name("a reference", s); err != nil {
			return err
		}
	}
	if d.Alias != "" {
		if err := CheckPath(d.Alias); err != nil {
			return fmt.Errorf("alias %q: %w", d.Alias, err)
		}
	}
	if math.IsNaN(d.Default) || math.IsInf(d.Default, 0) {
		return fmt.Errorf("the default %v is not finite", d.Default)
	}
	return nil
}

func (v *verifier) result(f *Func, r Result, params map[roleName]Type, returned map[roleName]bool) error {
	if err := v.name("a result", r.Name); err != nil {
		return err
	}
	if r.Value < 0 || int(r.Value) >= len(f.Types) {
		return fmt.Errorf("there is no value %%%d", r.Value)
	}
	key := roleName{r.Role, r.Name}
	if returned[key] {
		return fmt.Errorf("returned twice")
	}
	returned[key] = true
	switch r.Role {
	case Output:
	case StateRole, SlotRole, GlobalRole:
		t, ok := params[key]
		if !ok && r.Role == StateRole {
			return fmt.Errorf("replaces a state that is no parameter")
		}
		if ok && !t.Equal(f.Types[r.Value]) {
			return fmt.Errorf("the %v is %v and cannot become %v", r.Role, t, f.Types[r.Value])
		}
	default:
		return fmt.Errorf("%v is no role of a result", r.Role)
	}
	return nil
}

func (v *verifier) body(f *Func) error {
	if v.nodes += int64(len(f.Nodes)); v.nodes > v.limits.Nodes {
		return &LimitError{What: "nodes", Got: v.nodes, Limit: v.limits.Nodes}
	}
	cost := funcCost{nodes: int64(len(f.Nodes)), depth: 1}
	var callErr error
	c := inferContext{module: v.m, mode: f.Mode, resolve: func(name string, mode Mode) *Func {
		i := v.lookup(name, mode)
		if i < 0 {
			return nil
		}
		if i >= v.at {
			callErr = fmt.Errorf("calls %q, which does not stand before it; a function cannot call itself, and callees come first", name)
			return nil
		}
		if n, ok := addOK(cost.nodes, v.costs[i].nodes); ok {
			cost.nodes = n
		} else {
			cost.nodes = math.MaxInt64
		}
		cost.depth = max(cost.depth, v.costs[i].depth+1)
		return v.m.Funcs[i]
	}}
	next := ValueID(len(f.Params))
	for i := range f.Nodes {
		n := &f.Nodes[i]
		err := v.node(f, n, next, &c)
		if callErr != nil {
			err = callErr
		}
		if err != nil {
			return fmt.Errorf("node %d (%%%d = %v): %w", i, next, n.Op, err)
		}
		next += ValueID(n.NumOut)
	}
	if int(next) != len(f.Types) {
		return fmt.Errorf("%d values have types, %d are made", len(f.Types), next)
	}
	if cost.nodes > v.limits.Expanded {
		return &LimitError{What: "nodes after its calls are expanded", Where: "the function", Got: cost.nodes, Limit: v.limits.Expanded}
	}
	if cost.depth > v.limits.Depth {
		return &LimitError{What: "levels of calls", Where: "the function", Got: cost.depth, Limit: v.limits.Depth}
	}
	v.costs[v.at] = cost
	return nil
}

func (v *verifier) node(f *Func, n *Node, next ValueID, c *inferContext) error {
	if !n.Op.Valid() {
		return fmt.Errorf("unknown op")
	}
	if k := int64(max(len(n.Args), int(n.NumOut))); k > v.limits.Operands {
		return &LimitError{What: "operands or results", Where: "the node", Got: k, Limit: v.limits.Operands}
	}
	if n.NumOut < 0 || n.NumOut > 0 && n.Out != next || int(next)+int(n.NumOut) > len(f.Types) {
		return fmt.Errorf("its results are not the next values in order")
	}
	in := make([]Type, len(n.Args))
	for i, a := range n.Args {
		if a < 0 || a >= next {
			return fmt.Errorf("operand %d is %%%d, which does not stand before it", i, a)
		}
		in[i] = f.Types[a]
	}
	if err := v.attrs(n); err != nil {
		return err
	}
	out, err := c.infer(n.Op, in, n.Attrs)
	if err != nil {
		return err
	}
	if len(out) != int(n.NumOut) {
		return fmt.Errorf("has %d results and lists %d", len(out), n.NumOut)
	}
	for i, t := range out {
		if got := f.Types[next+ValueID(i)]; !got.Equal(t) {
			return fmt.Errorf("%%%d is declared %v and is %v", next+ValueID(i), got, t)
		}
		if err := v.typ(t); err != nil {
			return err
		}
	}
	return nil
}

// attrs checks what shape rules rely on: the struct's type, and constants.
func (v *verifier) attrs(n *Node) error {
	d := n.Op.Def()
	if d.NewAttrs == nil {
		if n.Attrs != nil {
			return fmt.Errorf("has no attributes")
		}
		return nil
	}
	if reflect.TypeOf(n.Attrs) != d.attrType || reflect.ValueOf(n.Attrs).IsNil() {
		return fmt.Errorf("lacks its attributes")
	}
	var err error
	eachAttr(n.Op, n.Attrs, func(a attrField, x any) {
		if s, ok := x.(string); ok && err == nil {
			if err = v.name("attribute "+a.name, s); err != nil && n.Op == OpOpaque && a.name == "config" && utf8.ValidString(s) && len(s) <= MaxLiteral {
				err = nil // a component's settings may be long and hold line breaks
			}
		}
	})
	if err != nil {
		return err
	}
	k, ok := n.Attrs.(*ConstantAttrs)
	if !ok {
		return nil
	}
	if k.Ref != "" {
		if _, ok := v.m.Consts[k.Ref]; !ok {
			return fmt.Errorf("names the constant %q, which the module lacks", k.Ref)
		}
		return nil
	}
	if k.To != Invalid || len(k.Dims) > 0 {
		return fmt.Errorf("a literal carries its type itself")
	}
	if k.Value == nil {
		return nil // the shape rule says so
	}
	if len(k.Value.Data) > MaxLiteral {
		return fmt.Errorf("holds a literal of %d bytes; above %d bytes a constant must be a named tensor of the module", len(k.Value.Data), MaxLiteral)
	}
	return v.tensor(k.Value)
}

// composite checks the identity that a function claims.
func (v *verifier) composite(f *Func) error {
	c := f.Composite
	if c == nil {
		return nil
	}
	if err := checkCompositeName(c.Name); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(f.Name, c.Name+"#"); !ok || rest == "" || strings.Trim(rest, "0123456789") != "" {
		return fmt.Errorf("the function of the composite %s must be called %s#NUMBER", c.Name, c.Name)
	}
	if f.Mode != Any {
		return fmt.Errorf("a composite has no mode")
	}
	for i, a := range c.Attrs {
		if err := v.name("a composite's attribute", a.Name); err != nil {
			return err
		}
		if int64(len(a.Value)) > v.limits.NameBytes || !utf8.ValidString(a.Value) {
			return fmt.Errorf("the composite's attribute %q is too long or no text", a.Name)
		}
		if i > 0 && c.Attrs[i-1].Name >= a.Name {
			return fmt.Errorf("the composite's attributes are not sorted by name")
		}
	}
	for _, p := range f.Params {
		if p.Role != Input {
			return fmt.Errorf("a composite takes inputs alone, not a %v", p.Role)
		}
	}
	for _, r := range f.Results {
		if r.Role != Output {
			return fmt.Errorf("a composite gives outputs alone, not a %v", r.Role)
		}
	}
	if c.Gradient == "" {
		return nil
	}
	i := v.lookup(c.Gradient, Any)
	if i < 0 || i >= v.at {
		return fmt.Errorf("its gradient %q must stand before it in the module", c.Gradient)
	}
	return checkGradientSignature(f, v.m.Funcs[i])
}

// checkGradientSignature reports why g cannot be the gradient of f: it takes
// f's inputs, outputs and the gradient of every floating-point output, and
// gives the gradient of every floating-point input.
func checkGradientSignature(f, g *Func) error {
	var want, gives []Type
	for _, p := range f.Params {
		want = append(want, p.Type)
		if p.Type.DType.IsFloat() {
			gives = append(gives, p.Type)
		}
	}
	want = append(want, resultTypes(f)...)
	for _, t := range resultTypes(f) {
		if t.DType.IsFloat() {
			want = append(want, t)
		}
	}
	takes := make([]Type, len(g.Params))
	for i, p := range g.Params {
		takes[i] = p.Type
	}
	if !slices.EqualFunc(takes, want, Type.Equal) {
		return fmt.Errorf("its gradient %q takes %v and must take inputs, outputs and gradients of outputs: %v", g.Name, takes, want)
	}
	if got := resultTypes(g); !slices.EqualFunc(got, gives, Type.Equal) {
		return fmt.Errorf("its gradient %q gives %v and must give the gradients of the inputs: %v", g.Name, got, gives)
	}
	return nil
}

// checkCompositeName reports why s is not namespace/name@version.
func checkCompositeName(s string) error {
	ns, rest, ok1 := strings.Cut(s, "/")
	name, version, ok2 := strings.Cut(rest, "@")
	word := func(s string) bool {
		return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == ""
	}
	if !ok1 || !ok2 || !word(ns) || !word(name) || version == "" || strings.Trim(version, "0123456789") != "" {
		return fmt.Errorf("%q is no name of a composite; those are namespace/name@version", s)
	}
	return nil
}

// pairs checks that the functions of one name, traced for different modes, can
// stand for each other.
func (v *verifier) pairs() error {
	first := map[string]*Func{}
	for _, f := range v.m.Funcs {
		g, ok := first[f.Name]
		if !ok {
			first[f.Name] = f
			continue
		}
		if err := samePublicSignature(g, f); err != nil {
			return fmt.Errorf("function %q differs between the modes %v and %v: %w", f.Name, g.Mode, f.Mode, err)
		}
	}
	return nil
}

// samePublicSignature compares inputs and outputs in order, and parameters and
// states by name. Keys, hypers, steps and indices belong to a mode's own body.
func samePublicSignature(a, b *Func) error {
	pick := func(f *Func) (inputs, outputs []string, params map[string]Param) {
		params = map[string]Param{}
		for _, p := range f.Params {
			switch p.Role {
			case Input:
				inputs = append(inputs, p.Name+" "+p.Type.String())
			case ParamRole, StateRole:
				params[p.Role.String()+" "+p.Name] = p
			}
		}
		for _, r := range f.Results {
			if r.Role == Output {
				outputs = append(outputs, r.Name+" "+f.Types[r.Value].String())
			}
		}
		return inputs, outputs, params
	}
	ai, ao, ap := pick(a)
	bi, bo, bp := pick(b)
	if !slices.Equal(ai, bi) {
		return fmt.Errorf("inputs %v and %v", ai, bi)
	}
	if !slices.Equal(ao, bo) {
		return fmt.Errorf("outputs %v and %v", ao, bo)
	}
	for _, name := range slices.Sorted(maps.Keys(ap)) {
		p := ap[name]
		q, ok := bp[name]
		if !ok {
			return fmt.Errorf("%s is declared in one alone", name)
		}
		if !p.Type.Equal(q.Type) {
			return fmt.Errorf("%s is %v and %v", name, p.Type, q.Type)
		}
		if !reflect.DeepEqual(p.Decl, q.Decl) {
			return fmt.Errorf("%s is declared with different properties", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bp)) {
		if _, ok := ap[name]; !ok {
			return fmt.Errorf("%s is declared in one alone", name)
		}
	}
	return nil
}
