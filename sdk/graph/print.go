package graph

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// String returns the module's text form, which ParseText reads back to an
// equal module.
func (m *Module) String() string {
	var b strings.Builder
	p := printer{w: bufio.NewWriter(&b)}
	p.module(m)
	p.w.Flush()
	return b.String()
}

// Print writes the module's text form for a reader: as String does, but the
// elements of the module's named constants, and of literals of more than 64
// elements, are replaced by their digest, which ParseText refuses.
func (m *Module) Print(w io.Writer) error {
	p := printer{w: bufio.NewWriter(w), elide: true}
	p.module(m)
	return p.w.Flush()
}

// String returns the function's text form.
func (f *Func) String() string {
	var b strings.Builder
	p := printer{w: bufio.NewWriter(&b)}
	p.fn(f)
	p.w.Flush()
	return b.String()
}

// lineWidth is where a signature is broken into one parameter a line.
const lineWidth = 100

// elideAbove is the number of elements a literal may have in Print.
const elideAbove = 64

type printer struct {
	w     *bufio.Writer
	elide bool
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

func (p *printer) module(m *Module) {
	p.f("ir %d\n", Version)
	if len(m.Consts) > 0 {
		p.f("\n")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Consts)) {
		t := m.Consts[name]
		p.f("const %s: %s %s\n", nameText(name), t.Type(), p.constData(t))
	}
	for _, f := range m.Funcs {
		p.f("\n")
		p.fn(f)
	}
}

func (p *printer) constData(t *Tensor) string {
	if p.elide {
		h := sha256.Sum256(t.Data)
		return fmt.Sprintf("elided sha256:%x", h[:8])
	}
	return "base64:" + base64.StdEncoding.EncodeToString(t.Data)
}

func (p *printer) fn(f *Func) {
	p.f("func %s %s", nameText(f.Name), f.Mode)
	if c := f.Composite; c != nil {
		p.f(" composite %s", nameText(c.Name))
		if len(c.Attrs) > 0 {
			items := make([]string, len(c.Attrs))
			for i, a := range c.Attrs {
				items[i] = nameText(a.Name) + "=" + nameText(a.Value)
			}
			p.f(" {%s}", strings.Join(items, ", "))
		}
		if c.Gradient != "" {
			p.f(" gradient %s", nameText(c.Gradient))
		}
	}
	params := make([]string, len(f.Params))
	width := 0
	for i, q := range f.Params {
		params[i] = fmt.Sprintf("%%%d %s %s: %s", i, q.Role, nameText(q.Name), q.Type)
		if q.Decl != nil {
			params[i] += " " + declText(q.Decl)
		}
		width += len(params[i]) + 2
	}
	results := make([]string, len(f.Results))
	for i, r := range f.Results {
		results[i] = fmt.Sprintf("%s %s: %%%d", r.Role, nameText(r.Name), r.Value)
		width += len(results[i]) + 2
	}
	if width+len(f.Name) < lineWidth {
		p.f(" (%s) -> (%s) {\n", strings.Join(params, ", "), strings.Join(results, ", "))
	} else {
		p.f(" (\n")
		for _, q := range params {
			p.f("  %s,\n", q)
		}
		p.f(") -> (\n")
		for _, r := range results {
			p.f("  %s,\n", r)
		}
		p.f(") {\n")
	}
	for i := range f.Nodes {
		p.node(f, &f.Nodes[i])
	}
	p.f("}\n")
}

func (p *printer) node(f *Func, n *Node) {
	p.f("  ")
	results := min(n.NumOut, int32(len(f.Types)))
	for i := range results {
		if i > 0 {
			p.f(", ")
		}
		p.f("%%%d", n.Out+ValueID(i))
	}
	if results > 0 {
		p.f(" = ")
	}
	p.f("%s", n.Op)
	if n.Op.Valid() && n.Op.Def().Version != 1 {
		p.f("@%d", n.Op.Def().Version)
	}
	p.f("(")
	for i, a := range n.Args {
		if i > 0 {
			p.f(", ")
		}
		p.f("%%%d", a)
	}
	p.f(")")
	if n.Attrs != nil && n.Op.Valid() {
		var items []string
		eachAttr(n.Op, n.Attrs, func(d attrField, v any) { items = append(items, d.name+"="+p.attr(v)) })
		if len(items) > 0 {
			p.f(" {%s}", strings.Join(items, ", "))
		}
	}
	for i := range results {
		if i == 0 {
			p.f(": ")
		} else {
			p.f(", ")
		}
		if v := int(n.Out) + int(i); v >= 0 && v < len(f.Types) {
			p.f("%s", f.Types[v])
		}
	}
	p.f("\n")
}

func (p *printer) attr(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case string:
		return nameText(v)
	case float64:
		return floatText(v, F64)
	case DType:
		return v.String()
	case *Tensor:
		return v.Type().String() + " " + p.literal(v)
	case []int64:
		return listText(v, func(n int64) string { return strconv.FormatInt(n, 10) })
	case []DimExpr:
		return listText(v, DimExpr.String)
	case []Type:
		return listText(v, Type.String)
	}
	panic(fmt.Sprintf("graph: an attribute of type %T", v))
}

func listText[T any](v []T, text func(T) string) string {
	items := make([]string, len(v))
	for i, x := range v {
		items[i] = text(x)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// literal renders a tensor's elements: a bare one for a scalar, a list in
// braces else, {x, ...} where all have the same bits.
func (p *printer) literal(t *Tensor) string {
	n := t.Len()
	if len(t.Shape) == 0 && n == 1 {
		return elementText(t, 0)
	}
	if n > 1 && sameElements(t) {
		return "{" + elementText(t, 0) + ", ...}"
	}
	if p.elide && n > elideAbove {
		return "{" + p.constData(t) + "}"
	}
	items := make([]string, n)
	for i := range items {
		items[i] = elementText(t, i)
	}
	return "{" + strings.Join(items, ", ") + "}"
}

func sameElements(t *Tensor) bool {
	s := t.DType.Size()
	for i := s; i < len(t.Data); i++ {
		if t.Data[i] != t.Data[i-s] {
			return false
		}
	}
	return true
}

func elementText(t *Tensor, i int) string {
	switch d := t.DType; {
	case d.IsFloat():
		if f := t.Float(i); f == f {
			return floatText(f, d)
		}
		bits := elementBits(t, i)
		if bits == quietNaN(d) {
			return "nan"
		}
		return fmt.Sprintf("nan:%#x", bits)
	case d == U64:
		return strconv.FormatUint(uint64(t.Int(i)), 10)
	case d == Bool && t.Data[i] <= 1:
		return strconv.FormatBool(t.Data[i] == 1)
	}
	return strconv.FormatInt(t.Int(i), 10)
}

func elementBits(t *Tensor, i int) uint64 {
	switch t.DType.Size() {
	case 8:
		return binary.LittleEndian.Uint64(t.Data[8*i:])
	case 4:
		return uint64(binary.LittleEndian.Uint32(t.Data[4*i:]))
	case 2:
		return uint64(binary.LittleEndian.Uint16(t.Data[2*i:]))
	}
	return uint64(t.Data[i])
}

// quietNaN returns the bits that the word nan stands for.
func quietNaN(d DType) uint64 {
	return map[DType]uint64{F64: 0x7ff8000000000000, F32: 0x7fc00000, BF16: 0x7fc0, F16: 0x7e00}[d]
}

// floatText returns the shortest decimal that reads back to the same number.
func floatText(f float64, d DType) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f != f:
		if math.Float64bits(f) == quietNaN(F64) {
			return "nan"
		}
		return fmt.Sprintf("nan:%#x", math.Float64bits(f))
	case d == F64:
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 32)
}

func declText(d *Decl) string {
	var items []string
	text := func(name, v string) {
		if v != "" {
			items = append(items, name+"="+nameText(v))
		}
	}
	if len(d.Axes) > 0 {
		items = append(items, "axes="+listText(d.Axes, nameText))
	}
	text("tag", d.Tag)
	text("init", d.Initializer)
	text("regularizer", d.Regularizer)
	text("constraint", d.Constraint)
	if d.NonTrainable {
		items = append(items, "non_trainable")
	}
	if d.NoDecay {
		items = append(items, "no_decay")
	}
	text("alias", d.Alias)
	if d.Default != 0 || math.Signbit(d.Default) {
		items = append(items, "default="+floatText(d.Default, F64))
	}
	return "{" + strings.Join(items, ", ") + "}"
}

// nameText renders a name bare where its characters allow, else quoted.
func nameText(s string) string {
	if end, ok := bareName(s); ok && end == len(s) {
		return s
	}
	return strconv.Quote(s)
}

// bareName reports how much of s reads as an unquoted name: letters, digits
// and _ . / @ # -, and [digits] behind at least one of them.
func bareName(s string) (end int, ok bool) {
	i := 0
	for i < len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '/', c == '@', c == '#', c == '-':
			i++
		case c == '[' && i > 0:
			j := i + 1
			for j < len(s) && s[j] >= '0' && s[j] <= '9' {
				j++
			}
			if j == i+1 || j == len(s) || s[j] != ']' {
				return i, i > 0
			}
			i = j + 1
		default:
			return i, i > 0
		}
	}
	return i, i > 0
}
