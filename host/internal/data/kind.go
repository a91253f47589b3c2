package data

import (
	"math"
	"strconv"
	"unsafe"
)

// kind is what the cells of a text column seen so far could be. Kinds form a
// lattice, so that the kind of a whole column does not depend on the order in
// which its parts are seen.
type kind uint8

const (
	kindNull  kind = iota // every value missing
	kindBool              // true, false
	kindInt               // whole numbers that fit 64 bits
	kindFloat             // numbers
	kindText              // anything
)

// join is the narrowest kind that holds the values of both.
func (k kind) join(o kind) kind {
	switch {
	case k == o, o == kindNull:
		return k
	case k == kindNull:
		return o
	case k == kindBool || o == kindBool:
		return kindText
	}
	return max(k, o)
}

// element is the type in which a column of the kind is kept.
func (k kind) element() Type {
	switch k {
	case kindBool:
		return Bool
	case kindInt:
		return I64
	case kindText:
		return String
	}
	return F64
}

// kindOf is the kind that cells must have for a declared type.
func kindOf(t Type) kind {
	switch {
	case t == Bool:
		return kindBool
	case t == String:
		return kindText
	case t.Float():
		return kindFloat
	}
	return kindInt
}

// trimSpaces removes spaces and tabs around a number or a truth value.
func trimSpaces(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// parseInt reads a decimal whole number with an optional sign.
func parseInt(b []byte) (int64, bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		i = 1
	}
	digits := len(b) - i
	if digits == 0 {
		return 0, false
	}
	if digits <= 18 {
		var v int64
		for ; i < len(b); i++ {
			d := b[i] - '0'
			if d > 9 {
				return 0, false
			}
			v = v*10 + int64(d)
		}
		if negative {
			v = -v
		}
		return v, true
	}
	for _, c := range b[i:] {
		if c-'0' > 9 {
			return 0, false
		}
	}
	v, err := strconv.ParseInt(string(b), 10, 64)
	return v, err == nil
}

// exactPowers are the powers of ten that a float64 holds exactly.
var exactPowers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// number says what parseFloat found.
type number uint8

const (
	noNumber number = iota
	finite
	infinite
)

// parseFloat reads a decimal number, correctly rounded: digits with an
// optional sign, point and exponent, or one of the words for infinity. Numbers too
// large for a float64 are infinite as well.
func parseFloat(b []byte) (float64, number) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		i = 1
	}
	if isInfinity(b[i:]) {
		if negative {
			return math.Inf(-1), infinite
		}
		return math.Inf(1), infinite
	}
	var mantissa uint64
	digits, exponent, sawPoint, any := 0, 0, false, false
	for ; i < len(b); i++ {
		c := b[i]
		if d := c - '0'; d <= 9 {
			any = true
			if digits < 19 {
				mantissa = mantissa*10 + uint64(d)
				if mantissa > 0 {
					digits++
				}
			} else {
				digits++ // too many for the short way
			}
			if sawPoint {
				exponent--
			}
			continue
		}
		if c != '.' || sawPoint {
			break
		}
		sawPoint = true
	}
	if !any {
		return 0, noNumber
	}
	if i < len(b) {
		if b[i]|0x20 != 'e' {
			return 0, noNumber
		}
		e, ok := parseInt(b[i+1:])
		if !ok {
			if !decimalExponent(b[i+1:]) {
				return 0, noNumber
			}
			digits = 20 // an exponent of many digits: the long way
		} else if e > 10000 || e < -10000 {
			digits = 20
		} else {
			exponent += int(e)
		}
	}
	// W. D. Clinger, "How to read floating point numbers accurately" (1990): the product or
	// quotient of two exact numbers is rounded once.
	if digits <= 19 && mantissa <= 1<<53 && exponent >= -22 && exponent <= 22 {
		f := float64(mantissa)
		if exponent < 0 {
			f /= exactPowers[-exponent]
		} else {
			f *= exactPowers[exponent]
		}
		if negative {
			f = -f
		}
		return f, finite
	}
	f, _ := strconv.ParseFloat(unsafeString(b), 64)
	if math.IsInf(f, 0) {
		return f, infinite
	}
	return f, finite
}

// decimalExponent reports whether b is a sign and digits, however many.
func decimalExponent(b []byte) bool {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

func isInfinity(b []byte) bool {
	switch len(b) {
	case 3:
		return lowerEqual(b, "inf")
	case 8:
		return lowerEqual(b, "infinity")
	}
	return len(b) == len("∞") && string(b) == "∞"
}

func parseBool(b []byte) (value, ok bool) {
	switch len(b) {
	case 4:
		return true, lowerEqual(b, "true")
	case 5:
		return false, lowerEqual(b, "false")
	}
	return false, false
}

// lowerEqual compares with a lower-case ASCII word, ignoring case.
func lowerEqual(b []byte, word string) bool {
	for i := range len(word) {
		if b[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

// unsafeString views bytes as a string for the length of a call that does not keep it.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// classify returns the narrowest kind of a cell that is not missing.
func classify(cell []byte) kind {
	b := trimSpaces(cell)
	if _, ok := parseInt(b); ok {
		return kindInt
	}
	if _, n := parseFloat(b); n != noNumber {
		return kindFloat
	}
	if _, ok := parseBool(b); ok {
		return kindBool
	}
	return kindText
}
