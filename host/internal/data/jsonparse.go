package data

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind is what a JSON value is.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonInt
	jsonFloat
	jsonString
	jsonArray // of numbers, or of such arrays, all of one shape
)

// jsonValue is one value of a record. text and numbers are valid until the next value is read.
type jsonValue struct {
	kind    jsonKind
	from    int    // offset in the line
	text    []byte // of a string, unescaped; of a number, as written
	truth   bool
	shape   []int
	numbers []float64
}

// jsonError is a mistake at an offset of the line.
type jsonError struct {
	at              int
	code            string
	summary, remedy string
}

// jsonParser reads one line: an object.
type jsonParser struct {
	line    []byte
	at      int
	err     *jsonError
	key     []byte // memory of unescaped keys
	scratch []byte // and strings
	value   jsonValue
}

const maxJSONDepth = 8

func (p *jsonParser) fail(at int, code, summary, remedy string) bool {
	if p.err == nil {
		p.err = &jsonError{min(at, len(p.line)), code, summary, remedy}
	}
	return false
}

func (p *jsonParser) syntax(at int, summary string) bool {
	return p.fail(at, "json_syntax", summary, `Every line must hold one JSON object, such as {"age": 39, "job": "Sales"}.`)
}

func (p *jsonParser) space() {
	for p.at < len(p.line) {
		switch p.line[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next character that is no space, 0 at the end.
func (p *jsonParser) peek() byte {
	p.space()
	if p.at < len(p.line) {
		return p.line[p.at]
	}
	return 0
}

// object calls field for each member of the line's object, in order.
func (p *jsonParser) object(line []byte, field func(key []byte, v *jsonValue) bool) *jsonError {
	p.line, p.at, p.err = line, 0, nil
	if p.peek() != '{' {
		p.syntax(p.at, "the line does not begin with {")
		return p.err
	}
	p.at++
	if p.peek() == '}' {
		p.at++
	} else if !p.members(field) {
		return p.err
	}
	p.space()
	if p.at < len(p.line) {
		p.syntax(p.at, "the line goes on after its object")
	}
	return p.err
}

func (p *jsonParser) members(field func(key []byte, v *jsonValue) bool) bool {
	for {
		if p.peek() != '"' {
			return p.syntax(p.at, "a quoted name is expected here")
		}
		var ok bool
		if p.key, ok = p.str(p.key[:0]); !ok {
			return false
		}
		if p.peek() != ':' {
			return p.syntax(p.at, "a colon is expected here")
		}
		p.at++
		if !p.read() || !field(p.key, &p.value) {
			return false
		}
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return true
		default:
			return p.syntax(p.at, "a comma or } is expected here")
		}
	}
}

// read reads a value into p.value.
func (p *jsonParser) read() bool {
	v := &p.value
	c := p.peek()
	v.from = p.at
	switch {
	case c == '"':
		v.kind = jsonString
		var ok bool
		p.scratch, ok = p.str(p.scratch[:0])
		v.text = p.scratch
		return ok
	case c == '[':
		v.kind, v.shape, v.numbers = jsonArray, v.shape[:0], v.numbers[:0]
		return p.array(0)
	case c == '{':
		return p.fail(p.at, "json_nested", "an object stands inside of the line's object", "Columns hold single values or arrays of numbers: write the inner names as names of their own.")
	case c == '-' || c >= '0' && c <= '9':
		var ok bool
		v.kind, v.text, ok = p.number()
		return ok
	case p.word("null"):
		v.kind = jsonNull
		return true
	case p.word("true"):
		v.kind, v.truth = jsonBool, true
		return true
	case p.word("false"):
		v.kind, v.truth = jsonBool, false
		return true
	case p.word("NaN"), p.word("Infinity"):
		return p.fail(v.from, "json_syntax", "NaN and Infinity are no JSON values", "Write null for a missing value.")
	}
	return p.syntax(p.at, "a value is expected here")
}

func (p *jsonParser) word(w string) bool {
	if len(p.line)-p.at >= len(w) && string(p.line[p.at:p.at+len(w)]) == w {
		p.at += len(w)
		return true
	}
	return false
}

// number reads a number by JSON's grammar.
func (p *jsonParser) number() (jsonKind, []byte, bool) {
	from, kind := p.at, jsonInt
	digits := func() bool {
		start := p.at
		for p.at < len(p.line) && p.line[p.at]-'0' <= 9 {
			p.at++
		}
		return p.at > start
	}
	if p.line[p.at] == '-' {
		p.at++
	}
	leading := p.at
	if !digits() || p.line[leading] == '0' && p.at > leading+1 {
		if p.word("Infinity") {
			return 0, nil, p.fail(from, "json_syntax", "NaN and Infinity are no JSON values", "Write null for a missing value.")
		}
		return 0, nil, p.syntax(from, "this is not a JSON number")
	}
	if p.at < len(p.line) && p.line[p.at] == '.' {
		p.at++
		kind = jsonFloat
		if !digits() {
			return 0, nil, p.syntax(from, "this is not a JSON number")
		}
	}
	if p.at < len(p.line) && p.line[p.at]|0x20 == 'e' {
		p.at++
		kind = jsonFloat
		if p.at < len(p.line) && (p.line[p.at] == '+' || p.line[p.at] == '-') {
			p.at++
		}
		if !digits() {
			return 0, nil, p.syntax(from, "this is not a JSON number")
		}
	}
	return kind, p.line[from:p.at], true
}

// array reads an array of numbers at the given depth, whose lengths must agree with those
// of its sisters.
func (p *jsonParser) array(depth int) bool {
	v := &p.value
	from := p.at
	if depth >= maxJSONDepth {
		return p.fail(from, "json_nested", "arrays are nested more than 8 deep", "A column's tensors have at most 8 dimensions.")
	}
	first := depth == len(v.shape)
	if first {
		if len(v.numbers) > 0 {
			return p.fail(from, "json_ragged", "this array is nested deeper than those before it", "All rows of an array must have one shape.")
		}
		v.shape = append(v.shape, -1)
	}
	p.at++
	n := 0
	for {
		c := p.peek()
		switch {
		case c == '[':
			if !p.array(depth + 1) {
				return false
			}
		case c == '-' || c >= '0' && c <= '9':
			at := p.at
			_, text, ok := p.number()
			if !ok {
				return false
			}
			if depth+1 != len(v.shape) {
				return p.fail(at, "json_ragged", "a number stands where the arrays before it have arrays", "All rows of an array must have one shape.")
			}
			f, what := parseFloat(text)
			if what == infinite {
				return p.fail(at, "json_infinite", "the number is too large for 64 bits", "Mend it, or write null in place of the array.")
			}
			v.numbers = append(v.numbers, f)
		case c == ']' && n == 0:
			return p.fail(from, "json_ragged", "the array is empty", "Write null for a missing value.")
		default:
			return p.fail(p.at, "json_nested", "only numbers may stand in an array", "Mend the value, or write null in place of the whole array.")
		}
		n++
		switch p.peek() {
		case ',':
			p.at++
			continue
		case ']':
			p.at++
		default:
			return p.syntax(p.at, "a comma or ] is expected here")
		}
		break
	}
	if v.shape[depth] < 0 {
		v.shape[depth] = n
	}
	if v.shape[depth] != n {
		return p.fail(from, "json_ragged", "this array has "+strconv.Itoa(n)+" elements, those before it have "+strconv.Itoa(v.shape[depth]), "All rows of an array must have one shape.")
	}
	return true
}

// str reads a string and appends its characters to buf.
func (p *jsonParser) str(buf []byte) ([]byte, bool) {
	from := p.at
	p.at++
	for p.at < len(p.line) {
		start := p.at
		for p.at < len(p.line) && p.line[p.at] != '"' && p.line[p.at] != '\\' && p.line[p.at] >= 0x20 {
			p.at++
		}
		buf = append(buf, p.line[start:p.at]...)
		if p.at >= len(p.line) {
			break
		}
		switch c := p.line[p.at]; {
		case c == '"':
			p.at++
			return buf, true
		case c < 0x20:
			return nil, p.syntax(p.at, "a control character stands in a string")
		}
		var ok bool
		if buf, ok = p.escape(buf); !ok {
			return nil, false
		}
	}
	return nil, p.syntax(from, "the string that begins here is not closed")
}

func (p *jsonParser) escape(buf []byte) ([]byte, bool) {
	at := p.at
	if at+1 >= len(p.line) {
		return nil, p.syntax(at, "the line ends in an escape")
	}
	p.at += 2
	switch c := p.line[at+1]; c {
	case '"', '\\', '/':
		return append(buf, c), true
	case 'b':
		return append(buf, '\b'), true
	case 'f':
		return append(buf, '\f'), true
	case 'n':
		return append(buf, '\n'), true
	case 'r':
		return append(buf, '\r'), true
	case 't':
		return append(buf, '\t'), true
	case 'u':
		r, ok := p.hex4()
		if !ok {
			break
		}
		if utf16.IsSurrogate(r) {
			// A pair is one character; half of one is no character.
			after := p.at
			if p.word(`\u`) {
				if low, ok := p.hex4(); ok {
					if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
						return utf8.AppendRune(buf, both), true
					}
				}
			}
			p.at = after
			r = utf8.RuneError
		}
		return utf8.AppendRune(buf, r), true
	}
	return nil, p.syntax(at, "this is not an escape that JSON knows")
}

func (p *jsonParser) hex4() (rune, bool) {
	if len(p.line)-p.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range p.line[p.at : p.at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.at += 4
	return r, true
}
