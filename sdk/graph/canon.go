package graph

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

// The canonical form is what identity is taken of. It writes a function's body
// as the nodes that its results need, each behind its operands, in the order
// in which a walk from the results, operands from left to right, finishes
// them; so it does not depend on the numbering or order of nodes, nor on nodes
// that nothing uses. A call names its callee by the callee's digest and a
// constant is its contents, so neither the names of callees nor those of
// constants matter. SPEC.md gives the bytes.

// Digest identifies a verified module: SHA-256 of its canonical form. The order
// of functions, instances of composites that nothing calls and constants that
// nothing names do not matter.
func Digest(m *Module) [32]byte {
	d := digester{m: m, done: map[*Func]*[32]byte{}}
	type entry struct {
		f   *Func
		sum [32]byte
	}
	var list []entry
	for _, f := range m.Funcs {
		if f.Composite == nil {
			list = append(list, entry{f, d.fn(f)})
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.f.Name, b.f.Name), cmp.Compare(a.f.Mode, b.f.Mode))
	})
	w := canonWriter{}
	w.text("hone.graph.module.1")
	w.uint(len(list))
	for _, e := range list {
		w.text(e.f.Name)
		w.uint(int(e.f.Mode))
		w.raw(e.sum[:])
	}
	return sha256.Sum256(w.b)
}

// FuncDigest identifies a function of a verified module: its mode, signature,
// composite identity and body, not its name.
func FuncDigest(m *Module, f *Func) [32]byte {
	d := digester{m: m, done: map[*Func]*[32]byte{}}
	return d.fn(f)
}

// BodyEqual reports whether two functions, each of a verified module, compute
// the same by the same nodes: equal parameter types, bodies and results.
// Modes, names and roles do not count.
func BodyEqual(ma *Module, a *Func, mb *Module, b *Func) bool {
	da := digester{m: ma, done: map[*Func]*[32]byte{}}
	db := digester{m: mb, done: map[*Func]*[32]byte{}}
	return slices.Equal(da.body(a), db.body(b))
}

type digester struct {
	m    *Module
	done map[*Func]*[32]byte // nil while under way
}

// fn returns the function's digest; zero for one that calls itself, which no
// verified module holds.
func (d *digester) fn(f *Func) [32]byte {
	if sum, ok := d.done[f]; ok {
		if sum == nil {
			return [32]byte{}
		}
		return *sum
	}
	d.done[f] = nil
	w := canonWriter{}
	w.text("hone.graph.func.1")
	w.uint(int(f.Mode))
	if c := f.Composite; c == nil {
		w.bool(false)
	} else {
		w.bool(true)
		w.text(c.Name)
		w.uint(len(c.Attrs))
		for _, a := range c.Attrs {
			w.text(a.Name)
			w.text(a.Value)
		}
		d.ref(&w, c.Gradient, f.Mode)
	}
	w.uint(len(f.Params))
	for _, p := range f.Params {
		w.text(p.Name)
		w.uint(int(p.Role))
		w.decl(p.Decl)
	}
	w.uint(len(f.Results))
	for _, r := range f.Results {
		w.text(r.Name)
		w.uint(int(r.Role))
	}
	w.raw(d.body(f))
	sum := sha256.Sum256(w.b)
	d.done[f] = &sum
	return sum
}

// ref writes the digest of a function that is named, or its name where the
// module lacks it.
func (d *digester) ref(w *canonWriter, name string, mode Mode) {
	g := d.m.Resolve(name, mode)
	if g == nil {
		w.bool(false)
		w.text(name)
		return
	}
	w.bool(true)
	sum := d.fn(g)
	w.raw(sum[:])
}

// body returns the canonical form of parameter types, nodes and results.
func (d *digester) body(f *Func) []byte {
	w := canonWriter{}
	w.uint(len(f.Params))
	for _, p := range f.Params {
		w.typ(p.Type)
	}
	order, number := canonicalOrder(f)
	w.uint(len(order))
	for _, i := range order {
		n := &f.Nodes[i]
		def := n.Op.Def()
		w.text(def.Name)
		w.uint(def.Version)
		w.uint(len(n.Args))
		for _, a := range n.Args {
			w.uint(number[a])
		}
		d.attrs(&w, f, n)
		w.uint(int(n.NumOut))
		for j := range n.NumOut {
			w.typ(f.Types[n.Out+ValueID(j)])
		}
	}
	w.uint(len(f.Results))
	for _, r := range f.Results {
		w.uint(number[r.Value])
	}
	return w.b
}

// canonicalOrder lists the nodes that the results need, and gives every value
// its canonical number: parameters first, then results of nodes in that order.
func canonicalOrder(f *Func) (order []int, number []int) {
	maker := make([]int, len(f.Types)) // node that makes a value, -1 for parameters
	for i := range maker {
		maker[i] = -1
	}
	for i, n := range f.Nodes {
		for j := range n.NumOut {
			maker[n.Out+ValueID(j)] = i
		}
	}
	number = make([]int, len(f.Types))
	for i := range f.Params {
		number[i] = i
	}
	next := len(f.Params)
	entered := make([]bool, len(f.Nodes))
	type frame struct{ node, arg int }
	var stack []frame
	visit := func(v ValueID) {
		if i := maker[v]; i >= 0 && !entered[i] {
			entered[i] = true
			stack = append(stack, frame{node: i})
		}
	}
	for _, r := range f.Results {
		visit(r.Value)
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			n := &f.Nodes[top.node]
			if top.arg < len(n.Args) {
				top.arg++
				visit(n.Args[top.arg-1])
				continue
			}
			order = append(order, top.node)
			for j := range n.NumOut {
				number[n.Out+ValueID(j)] = next
				next++
			}
			stack = stack[:len(stack)-1]
		}
	}
	return order, number
}

func (d *digester) attrs(w *canonWriter, f *Func, n *Node) {
	if k, ok := n.Attrs.(*ConstantAttrs); ok {
		t := k.Value
		if t == nil {
			t = d.m.Consts[k.Ref]
		}
		if t == nil {
			w.bool(false)
			w.text(k.Ref)
			return
		}
		w.bool(true)
		w.tensor(t)
		return
	}
	count := len(w.b)
	w.b = append(w.b, 0) // an op has fewer attributes than a byte counts
	eachAttr(n.Op, n.Attrs, func(a attrField, v any) {
		w.b[count]++
		w.text(a.name)
		if _, isRef := v.(string); isRef && a.name == "callee" {
			d.ref(w, v.(string), f.Mode)
			return
		}
		w.attr(v)
	})
}

// canonWriter writes the canonical bytes: unsigned varints, zigzag varints,
// length-prefixed strings.
type canonWriter struct{ b []byte }

func (w *canonWriter) raw(b []byte) { w.b = append(w.b, b...) }

func (w *canonWriter) uint(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }

func (w *canonWriter) int(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *canonWriter) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *canonWriter) text(s string) {
	w.uint(len(s))
	w.b = append(w.b, s...)
}

func (w *canonWriter) float(f float64) {
	w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(f))
}

func (w *canonWriter) typ(t Type) {
	w.uint(int(t.DType))
	w.uint(len(t.Shape))
	for _, d := range t.Shape {
		w.text(d.sym)
		w.int(d.coef)
		w.int(d.k)
	}
}

func (w *canonWriter) tensor(t *Tensor) {
	w.typ(t.Type())
	if len(t.Data) <= MaxLiteral {
		w.raw(t.Data)
		return
	}
	sum := sha256.Sum256(t.Data)
	w.raw(sum[:])
}

func (w *canonWriter) decl(d *Decl) {
	w.bool(d != nil)
	if d == nil {
		return
	}
	w.uint(len(d.Axes))
	for _, a := range d.Axes {
		w.text(a)
	}
	w.text(d.Tag)
	w.text(d.Initializer)
	w.text(d.Regularizer)
	w.text(d.Constraint)
	w.bool(d.NonTrainable)
	w.bool(d.NoDecay)
	w.text(d.Alias)
	w.float(d.Default)
}

func (w *canonWriter) attr(v any) {
	switch v := v.(type) {
	case int64:
		w.int(v)
	case bool:
		w.bool(v)
	case string:
		w.text(v)
	case float64:
		w.float(v)
	case DType:
		w.uint(int(v))
	case *Tensor:
		w.tensor(v)
	case []int64:
		w.uint(len(v))
		for _, n := range v {
			w.int(n)
		}
	case []DimExpr:
		w.uint(len(v))
		for _, e := range v {
			w.int(e.Add)
			w.uint(len(e.Terms))
			for _, t := range e.Terms {
				w.int(t.Mul)
				w.int(t.Div)
				w.uint(len(t.Factors))
				for _, r := range t.Factors {
					w.int(r.Operand)
					w.int(r.Axis)
				}
			}
		}
	case []Type:
		w.uint(len(v))
		for _, t := range v {
			w.typ(t)
		}
	}
}
