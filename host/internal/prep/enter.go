package prep

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
)

// coder finds the places of values in a vocabulary.
type coder struct {
	words   map[string]int32
	numbers map[float64]int32
	n       int32
}

func newCoder(e *entry) (*coder, error) {
	c := &coder{n: int32(len(e.Words) + len(e.Numbers))}
	if len(e.Words) > 0 {
		c.words = make(map[string]int32, len(e.Words))
		for i, w := range e.Words {
			if _, ok := c.words[w]; ok {
				return nil, fmt.Errorf("%q stands twice in a vocabulary", w)
			}
			c.words[w] = int32(i)
		}
	}
	if len(e.Numbers) > 0 {
		c.numbers = make(map[float64]int32, len(e.Numbers))
		for i, x := range e.Numbers {
			if _, ok := c.numbers[x]; ok || x != x {
				return nil, fmt.Errorf("%v stands twice in a vocabulary", x)
			}
			c.numbers[x] = int32(i)
		}
	}
	return c, nil
}

// enter returns what an entry makes of a column's rows; at is for messages.
func (e *entry) enter(c *data.Column, at *placed) ([]byte, error) {
	switch e.How {
	case elements:
		return columnBytes(c), nil
	case missing:
		return maskBytes(c.Missing, c.Rows()), nil
	case vocabulary:
		return e.lookUp(c, at)
	case hashBucket:
		return bytesOf(e.hash(c)), nil
	}
	return e.parse(c, at)
}

func (e *entry) lookUp(c *data.Column, at *placed) ([]byte, error) {
	codes := make([]int32, c.Rows())
	unknown, absent := e.codes.n, e.codes.n+1
	if c.Type == data.String {
		ofWord := make([]int32, len(c.Dict()))
		for i, w := range c.Dict() {
			code, ok := e.codes.words[w]
			if !ok {
				code = unknown
			}
			ofWord[i] = code
		}
		for i, code := range c.Codes() {
			if code < 0 {
				codes[i] = absent
			} else {
				codes[i] = ofWord[code]
			}
		}
	} else {
		for i := range codes {
			if codes[i] = absent; c.IsMissing(i) {
				continue
			}
			x := c.Float64At(i, 0)
			if x != x {
				continue
			}
			code, ok := e.codes.numbers[x]
			if !ok {
				code = unknown
			}
			codes[i] = code
		}
	}
	for i, code := range codes {
		switch {
		case code == unknown && e.Strict:
			return nil, at.trouble("unknown_category", "column %q has the value %s in row %d, which the training rows do not have", c.Name, textOf(c, i), at.row(i)+1).Cell(c.Name, at.row(i)+1).
				Hint("Correct the value, train with rows that have it, or let the transform %q allow unknown values (handle_unknown).", at.name)
		case code == absent && e.Complete:
			return nil, at.trouble("missing_value", "column %q has no value in row %d", c.Name, at.row(i)+1).Cell(c.Name, at.row(i)+1).
				Hint("The transform %q needs every value: put impute or drop_missing before it, or remove the row.", at.name)
		}
	}
	return bytesOf(codes), nil
}

// textOf quotes a value for a message.
func textOf(c *data.Column, row int) string {
	if c.Type == data.String {
		s := c.StringAt(row)
		if len(s) > 60 {
			s = s[:60] + "..."
		}
		return strconv.Quote(s)
	}
	return numberText(c.Type, c.Float64At(row, 0))
}

// numberText is a number as the file had it: true and false for truth values.
func numberText(t data.Type, x float64) string {
	if t == data.Bool {
		return strconv.FormatBool(x != 0)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func (e *entry) hash(c *data.Column) []int32 {
	codes := make([]int32, c.Rows())
	var ofWord []int32
	if c.Type == data.String {
		ofWord = make([]int32, len(c.Dict()))
		for i, w := range c.Dict() {
			ofWord[i] = int32(hash64(e.Salt, w) % uint64(e.Buckets))
		}
	}
	for i := range codes {
		switch {
		case c.IsMissing(i):
			codes[i] = int32(e.Buckets)
		case ofWord != nil:
			codes[i] = ofWord[c.Codes()[i]]
		default:
			x := c.Float64At(i, 0)
			if x == 0 {
				x = 0 // -0 is 0
			}
			codes[i] = int32(hash64(e.Salt, numberText(c.Type, x)) % uint64(e.Buckets))
		}
	}
	return codes
}

// hash64 is FNV-1a of the salt and the text, mixed by MurmurHash3's finalizer:
// the remainder of FNV-1a alone depends on the last letters too evenly.
func hash64(salt, text string) uint64 { return fmix64(fnv1a(salt + text)) }

// fnv1a is the 64-bit FNV-1a hash (draft-eastlake-fnv).
func fnv1a(text string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 0x100000001b3
	}
	return h
}

// fmix64 is the finalizer of MurmurHash3's 128-bit form.
func fmix64(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (e *entry) parse(c *data.Column, at *placed) ([]byte, error) {
	ofWord := make([]float64, len(c.Dict()))
	bad := make([]bool, len(ofWord))
	for i, w := range c.Dict() {
		x, err := strconv.ParseFloat(strings.TrimSpace(w), 64)
		if bad[i] = err != nil || x != x || math.IsInf(x, 0); bad[i] {
			x = math.NaN()
		}
		ofWord[i] = x
	}
	out := make([]float64, c.Rows())
	for i, code := range c.Codes() {
		if out[i] = math.NaN(); code < 0 {
			continue
		}
		if bad[code] && e.Strict {
			return nil, at.trouble("not_a_number", "column %q has %s in row %d, which is no finite number", c.Name, textOf(c, i), at.row(i)+1).Cell(c.Name, at.row(i)+1).
				Hint("Correct the value, or name what stands for a missing value in the column's block.")
		}
		out[i] = ofWord[code]
	}
	return bytesOf(out), nil
}

// placed is what messages about a step's rows need: where the step was written,
// and the numbers of the rows, from 0.
type placed struct {
	name string
	at   *diag.Range
	row  func(int) int64
}

func (p *placed) trouble(code, format string, args ...any) diag.Diagnostic {
	d := diag.Errorf(code, format, args...).In("transform." + p.name)
	if p.at != nil {
		d = d.At(*p.at)
	}
	return d
}
