package data

import (
	"hash/maphash"
	"math"
	"unsafe"
)

// builder collects the cells of one text column, or of a stretch of it, as
// values of one kind.
type builder struct {
	kind    kind
	rows    int
	ints    []int64
	floats  []float64
	bools   []bool
	codes   []int32
	words   words
	missing []uint64
	valued  bool // some row has a value
	expect  int  // rows for which to make room
}

// verdict is what became of a cell.
type verdict uint8

const (
	taken   verdict = iota
	misfit          // the cell is not of the builder's kind; nothing was added
	endless         // an infinite number: NaN was added
)

// reset empties the builder for a stretch of about the given number of rows.
func (b *builder) reset(k kind, expect int) {
	*b = builder{kind: k, expect: expect}
	switch k {
	case kindInt:
		b.ints = make([]int64, 0, expect)
	case kindFloat:
		b.floats = make([]float64, 0, expect)
	case kindBool:
		b.bools = make([]bool, 0, expect)
	case kindText:
		b.codes = make([]int32, 0, expect)
	}
}

// add appends a cell that has a value.
func (b *builder) add(cell []byte) verdict {
	switch b.kind {
	case kindInt:
		v, ok := parseInt(cell)
		if !ok {
			if v, ok = parseInt(trimSpaces(cell)); !ok {
				return misfit
			}
		}
		b.ints = append(b.ints, v)
	case kindFloat:
		v, n := parseFloat(cell)
		if n != finite {
			if v, n = parseFloat(trimSpaces(cell)); n == noNumber {
				return misfit
			}
		}
		if n == infinite {
			b.addMissing()
			b.valued = true
			return endless
		}
		b.floats = append(b.floats, v)
	case kindText:
		b.codes = append(b.codes, b.words.code(cell))
	case kindBool:
		v, ok := parseBool(trimSpaces(cell))
		if !ok {
			return misfit
		}
		b.bools = append(b.bools, v)
	default:
		return misfit
	}
	b.valued = true
	b.rows++
	return taken
}

// addMissing appends a row without a value.
func (b *builder) addMissing() {
	if need := b.rows>>6 + 1; need > len(b.missing) {
		grown := make([]uint64, max(need, 2*len(b.missing), b.expect>>6+1))
		copy(grown, b.missing)
		b.missing = grown
	}
	b.missing[b.rows>>6] |= 1 << (b.rows & 63)
	switch b.kind {
	case kindInt:
		b.ints = append(b.ints, 0)
	case kindFloat:
		b.floats = append(b.floats, math.NaN())
	case kindBool:
		b.bools = append(b.bools, false)
	case kindText:
		b.codes = append(b.codes, -1)
	}
	b.rows++
}

// bytes is about what the collected values take in memory.
func (b *builder) bytes() int64 {
	return int64(8*len(b.ints)+8*len(b.floats)+len(b.bools)+4*len(b.codes)+8*len(b.missing)) + b.words.bytes
}

// column makes a column of type t, which must hold the builder's kind. A
// stretch of narrower kind than the whole is widened.
func (b *builder) column(name string, t Type) *Column {
	c := b.asItIs(name, t)
	if c == nil {
		c = b.widened(name, t)
	}
	if b.missing != nil {
		c.Missing = NewBitmap(b.rows)
		copy(c.Missing, b.missing)
		b.markMissing(c)
	}
	return c
}

// asItIs makes a column of the values themselves, where they are of the type; else nil.
func (b *builder) asItIs(name string, t Type) *Column {
	if b.kind != t.textKind() || b.kind == kindNull {
		return nil
	}
	c := &Column{Name: name, Type: t, rows: b.rows}
	switch t {
	case F64:
		c.values = b.floats
	case I64:
		c.values = b.ints
	case Bool:
		c.values = b.bools
	case String:
		c.values, c.dict = b.codes, b.words.list
	}
	return c
}

// widened makes a column of copies.
func (b *builder) widened(name string, t Type) *Column {
	c := newEmpty(Field{Name: name, Type: t}, b.rows)
	switch v := c.values.(type) {
	case []float64:
		for i, x := range b.ints {
			v[i] = float64(x)
		}
	case []float32:
		for i, x := range b.ints {
			v[i] = float32(x)
		}
		for i, x := range b.floats {
			v[i] = float32(x)
		}
	case []int32:
		for i, x := range b.ints {
			v[i] = int32(x)
		}
	case []int8:
		for i, x := range b.ints {
			v[i] = int8(x)
		}
	case []uint8:
		for i, x := range b.ints {
			v[i] = uint8(x)
		}
	}
	return c
}

// markMissing puts the values that stand under the mark where widening did not.
func (b *builder) markMissing(c *Column) {
	if b.kind == c.Type.textKind() && b.kind != kindNull {
		return
	}
	switch v := c.values.(type) {
	case []float64:
		for i := range v {
			if c.Missing.Get(i) {
				v[i] = math.NaN()
			}
		}
	case []float32:
		for i := range v {
			if c.Missing.Get(i) {
				v[i] = float32(math.NaN())
			}
		}
	case []int32:
		for i := range v {
			if c.Type == String && c.Missing.Get(i) {
				v[i] = -1
			}
		}
	}
}

// textKind is the kind whose builder gives a column of exactly this type.
func (t Type) textKind() kind {
	switch t {
	case F64:
		return kindFloat
	case I64:
		return kindInt
	case Bool:
		return kindBool
	case String:
		return kindText
	}
	return kindNull
}

// words numbers distinct strings by first appearance. It keeps them in large
// pieces of memory rather than one by one, and finds them in an open hash table with a
// random seed, so that no file can be made to fill one corner of it.
type words struct {
	list  []string
	slots []slot // a power of two, at most two thirds used
	seed  maphash.Seed
	piece []byte
	bytes int64
	last  int32 // the code given last: columns often repeat themselves
}

type slot struct {
	hash uint32
	code int32 // 1 more than the word's; 0 where the slot is free
}

func (w *words) code(cell []byte) int32 {
	if len(w.list) == 0 {
		w.seed = maphash.MakeSeed()
		w.slots = make([]slot, 32)
	} else if w.list[w.last] == string(cell) {
		return w.last
	}
	hash := uint32(maphash.Bytes(w.seed, cell))
	mask := uint32(len(w.slots) - 1)
	at := hash & mask
	for ; w.slots[at].code != 0; at = (at + 1) & mask {
		if s := w.slots[at]; s.hash == hash && w.list[s.code-1] == string(cell) {
			w.last = s.code - 1
			return w.last
		}
	}
	w.list = append(w.list, w.keep(cell))
	w.slots[at] = slot{hash, int32(len(w.list))}
	w.last = int32(len(w.list) - 1)
	if 3*len(w.list) > 2*len(w.slots) {
		w.grow()
	}
	return w.last
}

func (w *words) grow() {
	old := w.slots
	w.slots = make([]slot, 2*len(old))
	mask := uint32(len(w.slots) - 1)
	for _, s := range old {
		if s.code == 0 {
			continue
		}
		at := s.hash & mask
		for w.slots[at].code != 0 {
			at = (at + 1) & mask
		}
		w.slots[at] = s
	}
}

func (w *words) keep(cell []byte) string {
	const piece = 8 << 10
	w.bytes += int64(len(cell)) + 32
	if len(cell) > piece/8 {
		return string(cell)
	}
	if len(w.piece)+len(cell) > cap(w.piece) {
		w.piece = make([]byte, 0, min(piece, max(64, 2*cap(w.piece), 2*len(cell))))
	}
	at := len(w.piece)
	w.piece = append(w.piece, cell...)
	return unsafe.String(unsafe.SliceData(w.piece[at:]), len(cell))
}
