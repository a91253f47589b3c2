package graph

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// SyntaxError says where the text form of a module is wrong.
type SyntaxError struct {
	Line, Column int // from 1; columns count bytes
	Message      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("graph text %d:%d: %s", e.Line, e.Column, e.Message)
}

// MaxLiteral is the most bytes that a literal in a function may hold. Larger
// constants are named tensors of the module.
const MaxLiteral = 64 << 10

// ParseText reads the text form of a module. It checks the syntax and that
// values are numbered in order; Verify checks the meaning. Errors are
// *SyntaxError.
func ParseText(src string) (m *Module, err error) {
	p := &parser{src: src}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *SyntaxError:
			m, err = nil, e
		default:
			panic(e)
		}
	}()
	return p.module(), nil
}

// parser is a recursive descent over the source. fail leaves it with a panic
// that ParseText catches.
type parser struct {
	src string
	pos int
}

func (p *parser) fail(format string, args ...any) {
	p.failAt(p.pos, format, args...)
}

func (p *parser) failAt(pos int, format string, args ...any) {
	before := p.src[:pos]
	panic(&SyntaxError{
		Line:    1 + strings.Count(before, "\n"),
		Column:  pos - strings.LastIndexByte(before, '\n'),
		Message: fmt.Sprintf(format, args...),
	})
}

// space skips white space and // comments.
func (p *parser) space() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.pos++
		case strings.HasPrefix(p.src[p.pos:], "//"):
			if i := strings.IndexByte(p.src[p.pos:], '\n'); i >= 0 {
				p.pos += i
			} else {
				p.pos = len(p.src)
			}
		default:
			return
		}
	}
}

// accept takes a punctuation mark if it comes next.
func (p *parser) accept(mark string) bool {
	p.space()
	if strings.HasPrefix(p.src[p.pos:], mark) {
		p.pos += len(mark)
		return true
	}
	return false
}

func (p *parser) expect(mark string) {
	if !p.accept(mark) {
		p.fail("expected %q, found %s", mark, p.found())
	}
}

// found describes what stands at the position.
func (p *parser) found() string {
	rest := p.src[p.pos:]
	if rest == "" {
		return "the end of the text"
	}
	if w := p.wordHere(); w != "" {
		return strconv.Quote(w)
	}
	return strconv.QuoteRune([]rune(rest[:min(len(rest), 4)])[0])
}

func (p *parser) wordHere() string {
	i := p.pos
	for i < len(p.src) && i < p.pos+64 {
		c := p.src[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			break
		}
		i++
	}
	return p.src[p.pos:i]
}

// word takes an identifier of letters, digits and underscores.
func (p *parser) word(what string) string {
	p.space()
	w := p.wordHere()
	if w == "" {
		p.fail("expected %s, found %s", what, p.found())
	}
	p.pos += len(w)
	return w
}

// keyword takes the identifier w if it comes next.
func (p *parser) keyword(w string) bool {
	p.space()
	if p.wordHere() != w {
		return false
	}
	p.pos += len(w)
	return true
}

// name takes a bare or quoted name.
func (p *parser) name(what string) string {
	p.space()
	if strings.HasPrefix(p.src[p.pos:], `"`) {
		q, err := strconv.QuotedPrefix(p.src[p.pos:])
		if err != nil {
			p.fail("unterminated or malformed string")
		}
		s, err := strconv.Unquote(q)
		if err != nil {
			p.fail("malformed string %s", q)
		}
		p.pos += len(q)
		return s
	}
	n, ok := bareName(p.src[p.pos:])
	if !ok {
		p.fail("expected %s, found %s", what, p.found())
	}
	p.pos += n
	return p.src[p.pos-n : p.pos]
}

// number takes the characters of a number: signs, digits, letters and dots.
func (p *parser) number() (string, int) {
	p.space()
	start := p.pos
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		sign := (c == '+' || c == '-') && (p.pos == start || strings.IndexByte("eEpP", p.src[p.pos-1]) >= 0)
		if !sign && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != ':' {
			break
		}
		p.pos++
	}
	if p.pos == start {
		p.fail("expected a number, found %s", p.found())
	}
	return p.src[start:p.pos], start
}

func (p *parser) int() int64 {
	p.space()
	start := p.pos
	if p.pos < len(p.src) && (p.src[p.pos] == '-' || p.src[p.pos] == '+') {
		p.pos++
	}
	for p.pos < len(p.src) && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		p.pos++
	}
	n, err := strconv.ParseInt(p.src[start:p.pos], 10, 64)
	if err != nil {
		p.pos = start
		p.fail("expected a whole number of 64 bits, found %s", p.found())
	}
	return n
}

// list takes the items between two marks, separated by commas; a comma may
// follow the last.
func (p *parser) list(open, end string, item func()) {
	p.expect(open)
	for !p.accept(end) {
		item()
		if !p.accept(",") {
			p.expect(end)
			return
		}
	}
}

func (p *parser) module() *Module {
	m := NewModule()
	if !p.keyword("ir") {
		p.fail(`expected "ir" and the IR version, found %s`, p.found())
	}
	p.space()
	at := p.pos
	if v := p.int(); v < 1 || v > Version {
		p.failAt(at, "the text is written in IR version %d; this hone reads versions 1 to %d", v, Version)
	}
	for {
		switch {
		case p.keyword("const"):
			p.constant(m)
		case p.keyword("func"):
			m.Funcs = append(m.Funcs, p.fn())
		default:
			if p.space(); p.pos < len(p.src) {
				p.fail("expected func, const or the end, found %s", p.found())
			}
			return m
		}
	}
}

func (p *parser) constant(m *Module) {
	p.space()
	at := p.pos
	name := p.name("the constant's name")
	if _, ok := m.Consts[name]; ok {
		p.failAt(at, "the constant %q is declared twice", name)
	}
	p.expect(":")
	t := p.tensorType()
	p.space()
	if p.keyword("elided") {
		p.fail("the elements of %q were left out of this text", name)
	}
	if !p.keyword("base64") {
		p.fail("expected base64, found %s", p.found())
	}
	p.expect(":")
	end := p.pos
	for end < len(p.src) && strings.IndexByte(" \t\r\n", p.src[end]) < 0 {
		end++
	}
	data, err := base64.StdEncoding.DecodeString(p.src[p.pos:end])
	if err != nil {
		p.fail("malformed base64: %v", err)
	}
	if want, err := bytesOf(t.DType, t.Shape); err != nil || want != int64(len(data)) {
		p.fail("%v needs %d bytes, the text holds %d", t.Type(), want, len(data))
	}
	p.pos = end
	t.Data = data
	m.Consts[name] = t
}

// tensorType takes a type with constant extents, as an empty tensor.
func (p *parser) tensorType() *Tensor {
	p.space()
	at := p.pos
	t := p.typ()
	ext, ok := t.Shape.Const()
	if !ok {
		p.failAt(at, "a constant cannot have the symbolic shape %v", t.Shape)
	}
	for _, e := range ext {
		if e < 0 {
			p.failAt(at, "a constant with the negative extent %d", e)
		}
	}
	return &Tensor{DType: t.DType, Shape: ext}
}

func (p *parser) typ() Type {
	p.space()
	at := p.pos
	d, err := ParseDType(p.word("an element type"))
	if err != nil {
		p.failAt(at, "%v", err)
	}
	t := Type{DType: d}
	p.list("[", "]", func() { t.Shape = append(t.Shape, p.dim()) })
	return t
}

// dim takes 28, batch, 784*batch+2.
func (p *parser) dim() Dim {
	coef, k := int64(1), int64(0)
	p.space()
	if p.wordHere() == "" || p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		n := p.int()
		if !p.accept("*") {
			return N(n)
		}
		coef = n
	}
	sym := p.word("a dimension symbol")
	p.space()
	if p.pos < len(p.src) && (p.src[p.pos] == '+' || p.src[p.pos] == '-') {
		k = p.int()
	}
	return Affine(sym, coef, k)
}

// expr takes 28, d0.1*d0.2, 2*d1.0/4+d2.0-1.
func (p *parser) expr() DimExpr {
	var e DimExpr
	for first := true; ; first = false {
		p.space()
		rest := p.src[p.pos:]
		if !first && !strings.HasPrefix(rest, "+") && !strings.HasPrefix(rest, "-") {
			return e
		}
		switch mul := int64(1); {
		case strings.HasPrefix(rest, "-d"):
			mul = -1
			fallthrough
		case strings.HasPrefix(rest, "+d"):
			p.pos++
			fallthrough
		case strings.HasPrefix(rest, "d"):
			e.Terms = append(e.Terms, p.term(mul))
		default:
			at := p.pos
			n := p.int()
			switch {
			case p.accept("*"):
				e.Terms = append(e.Terms, p.term(n))
			case e.Add != 0:
				p.failAt(at, "a dimension expression has one constant")
			default:
				e.Add = n
			}
		}
	}
}

func (p *parser) term(mul int64) DimTerm {
	t := DimTerm{Mul: mul, Div: 1}
	for {
		p.expect("d")
		o := p.int()
		p.expect(".")
		t.Factors = append(t.Factors, DimRef{o, p.int()})
		if !p.accept("*") {
			break
		}
	}
	if p.accept("/") {
		t.Div = p.int()
	}
	return t
}

func (p *parser) fn() *Func {
	f := &Func{Name: p.name("the function's name")}
	p.space()
	at := p.pos
	mode := p.word("the mode: any, train or infer")
	if i := indexOf(modeNames[:], mode); i >= 0 {
		f.Mode = Mode(i)
	} else {
		p.failAt(at, "unknown mode %q; the modes are any, train and infer", mode)
	}
	if p.keyword("composite") {
		c := &Composite{Name: p.name("the composite's name")}
		if p.space(); strings.HasPrefix(p.src[p.pos:], "{") {
			p.list("{", "}", func() {
				n := p.name("an attribute's name")
				p.expect("=")
				c.Attrs = append(c.Attrs, NamedAttr{n, p.name("an attribute's value")})
			})
		}
		if p.keyword("gradient") {
			c.Gradient = p.name("the gradient function's name")
		}
		f.Composite = c
	}
	p.list("(", ")", func() { f.Params = append(f.Params, p.param(f)) })
	p.expect("->")
	p.list("(", ")", func() {
		r := Result{Role: p.role()}
		r.Name = p.name("the result's name")
		p.expect(":")
		r.Value = p.value()
		f.Results = append(f.Results, r)
	})
	p.expect("{")
	for !p.accept("}") {
		p.node(f)
	}
	return f
}

func indexOf(names []string, s string) int {
	for i, n := range names {
		if n == s {
			return i
		}
	}
	return -1
}

func (p *parser) role() Role {
	p.space()
	at := p.pos
	w := p.word("a role")
	i := indexOf(roleNames[:], w)
	if i < 0 {
		p.failAt(at, "unknown role %q; the roles are %s", w, strings.Join(roleNames[1:], ", "))
	}
	return Role(i)
}

func (p *parser) param(f *Func) Param {
	p.space()
	at := p.pos
	if v := p.value(); int(v) != len(f.Params) {
		p.failAt(at, "parameters are numbered in order: expected %%%d, found %%%d", len(f.Params), v)
	}
	q := Param{Role: p.role()}
	q.Name = p.name("the parameter's name")
	p.expect(":")
	q.Type = p.typ()
	f.Types = append(f.Types, q.Type)
	if p.space(); strings.HasPrefix(p.src[p.pos:], "{") {
		q.Decl = p.decl()
	}
	return q
}

func (p *parser) decl() *Decl {
	d := &Decl{}
	p.list("{", "}", func() {
		p.space()
		at := p.pos
		key := p.word("a property of the declaration")
		switch key {
		case "non_trainable":
			d.NonTrainable = true
			return
		case "no_decay":
			d.NoDecay = true
			return
		}
		p.expect("=")
		switch key {
		case "axes":
			p.list("[", "]", func() { d.Axes = append(d.Axes, p.name("an axis tag")) })
		case "tag":
			d.Tag = p.name("a tag")
		case "init":
			d.Initializer = p.name("a function's name")
		case "regularizer":
			d.Regularizer = p.name("a function's name")
		case "constraint":
			d.Constraint = p.name("a function's name")
		case "alias":
			d.Alias = p.name("a path")
		case "default":
			d.Default = p.float()
		default:
			p.failAt(at, "unknown property %q; there are axes, tag, init, regularizer, constraint, non_trainable, no_decay, alias, default", key)
		}
	})
	return d
}

func (p *parser) value() ValueID {
	p.expect("%")
	at := p.pos
	n := p.int()
	if n < 0 || n > math.MaxInt32 {
		p.failAt(at, "value number %d is out of range", n)
	}
	return ValueID(n)
}

func (p *parser) node(f *Func) {
	n := Node{}
	p.space()
	if strings.HasPrefix(p.src[p.pos:], "%") {
		n.Out = ValueID(len(f.Types))
		for {
			p.space()
			at := p.pos
			if v := p.value(); v != n.Out+ValueID(n.NumOut) {
				p.failAt(at, "values are numbered in order: expected %%%d, found %%%d", n.Out+ValueID(n.NumOut), v)
			}
			n.NumOut++
			if !p.accept(",") {
				break
			}
		}
		p.expect("=")
	}
	p.space()
	at := p.pos
	name, version := p.word("an op"), 1
	if p.accept("@") {
		version = int(p.int())
	}
	op, err := LookupOp(name, version)
	if err != nil {
		p.failAt(at, "%v", err)
	}
	n.Op = op
	p.list("(", ")", func() { n.Args = append(n.Args, p.value()) })
	if op.Def().NewAttrs != nil {
		n.Attrs = op.Def().NewAttrs()
	}
	if p.space(); strings.HasPrefix(p.src[p.pos:], "{") {
		seen := map[string]bool{}
		p.list("{", "}", func() {
			p.space()
			at := p.pos
			key := p.word("an attribute")
			d, err := op.Def().attrField(key)
			if err != nil {
				p.failAt(at, "%v", err)
			}
			if seen[key] {
				p.failAt(at, "attribute %q is given twice", key)
			}
			seen[key] = true
			p.expect("=")
			if err := setAttr(n.Attrs, d, p.attr(d.kind)); err != nil {
				p.failAt(at, "%v", err)
			}
		})
	}
	for i := range n.NumOut {
		if i == 0 {
			p.expect(":")
		} else {
			p.expect(",")
		}
		f.Types = append(f.Types, p.typ())
	}
	f.Nodes = append(f.Nodes, n)
}

func (p *parser) attr(k attrKind) any {
	switch k {
	case kindInt:
		return p.int()
	case kindBool:
		return p.bool()
	case kindText:
		return p.name("a word or string")
	case kindFloat:
		return p.float()
	case kindDType:
		p.space()
		at := p.pos
		d, err := ParseDType(p.word("an element type"))
		if err != nil {
			p.failAt(at, "%v", err)
		}
		return d
	case kindTensor:
		return p.literal()
	case kindInts:
		var v []int64
		p.list("[", "]", func() { v = append(v, p.int()) })
		return v
	case kindExprs:
		var v []DimExpr
		p.list("[", "]", func() { v = append(v, p.expr()) })
		return v
	case kindTypes:
		var v []Type
		p.list("[", "]", func() { v = append(v, p.typ()) })
		return v
	}
	panic(fmt.Sprintf("graph: attribute kind %d", k))
}

func (p *parser) bool() bool {
	switch {
	case p.keyword("true"):
		return true
	case !p.keyword("false"):
		p.fail("expected true or false, found %s", p.found())
	}
	return false
}

func (p *parser) float() float64 {
	s, at := p.number()
	return math.Float64frombits(p.floatBits(s, at, F64))
}

// literal takes a type and the elements: one, {a, b, c}, or {a, ...} for the
// same everywhere.
func (p *parser) literal() *Tensor {
	p.space()
	at := p.pos
	t := p.tensorType()
	size, err := bytesOf(t.DType, t.Shape)
	if err != nil || size > MaxLiteral {
		p.failAt(at, "a literal holds at most %d bytes; name larger constants with const", MaxLiteral)
	}
	n := int(size) / t.DType.Size()
	t.Data = make([]byte, 0, size)
	if p.space(); len(t.Shape) == 0 && !strings.HasPrefix(p.src[p.pos:], "{") {
		p.element(t)
		return t
	}
	p.list("{", "}", func() {
		p.space()
		if p.keyword("elided") {
			p.fail("the elements of this literal were left out of this text")
		}
		if p.accept("...") {
			if len(t.Data) != t.DType.Size() {
				p.fail("... stands behind the first element alone")
			}
			for range n - 1 {
				t.Data = append(t.Data, t.Data[:t.DType.Size()]...)
			}
			return
		}
		if len(t.Data) >= int(size) {
			p.fail("%v has %d elements, the text more", t.Type(), n)
		}
		p.element(t)
	})
	if len(t.Data) != int(size) {
		p.fail("%v has %d elements, the text %d", t.Type(), n, t.Len())
	}
	return t
}

// element appends one element to the tensor's data.
func (p *parser) element(t *Tensor) {
	s, at := p.number()
	d := t.DType
	var bits uint64
	switch {
	case d.IsFloat():
		bits = p.floatBits(s, at, d)
	case d == Bool && (s == "true" || s == "false"):
		if s == "true" {
			bits = 1
		}
	case d.IsUnsigned() || d == Bool:
		u, err := strconv.ParseUint(s, 10, 8*d.Size())
		if err != nil {
			p.failAt(at, "%q is no %v", s, d)
		}
		bits = u
	default:
		i, err := strconv.ParseInt(s, 10, 8*d.Size())
		if err != nil {
			p.failAt(at, "%q is no %v", s, d)
		}
		bits = uint64(i)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], bits)
	t.Data = append(t.Data, b[:d.Size()]...)
}

// floatBits reads a decimal, a hexadecimal float, inf, nan or nan:BITS.
func (p *parser) floatBits(s string, at int, d DType) uint64 {
	if s == "nan" {
		return quietNaN(d)
	}
	if hex, ok := strings.CutPrefix(s, "nan:0x"); ok {
		bits, err := strconv.ParseUint(hex, 16, 8*d.Size())
		if err != nil || !isNaNBits(bits, d) {
			p.failAt(at, "%q are no bits of a NaN of type %v", s, d)
		}
		return bits
	}
	width := 32
	if d == F64 {
		width = 64
	}
	f, err := strconv.ParseFloat(s, width)
	if err != nil || f != f {
		p.failAt(at, "%q is no number of type %v", s, d)
	}
	t := NewTensor(d)
	t.SetFloat(0, f)
	return elementBits(t, 0)
}

func isNaNBits(bits uint64, d DType) bool {
	switch d {
	case F64:
		f := math.Float64frombits(bits)
		return f != f
	case F32:
		return bits&0x7f800000 == 0x7f800000 && bits&0x7fffff != 0
	case BF16:
		return bits&0x7f80 == 0x7f80 && bits&0x7f != 0
	case F16:
		return bits&0x7c00 == 0x7c00 && bits&0x3ff != 0
	}
	return false
}
