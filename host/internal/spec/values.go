package spec

import (
	"fmt"
	"math/big"

	"github.com/zclconf/go-cty/cty"
)

// The functions below turn an unmarked, known value into a Go one. Their errors
// continue a sentence that begins with the argument's name: `must be a string, but is a list`.

func toText(v cty.Value) (string, error) {
	if v.IsNull() || v.Type() != cty.String {
		return "", mismatch("a string", v)
	}
	return v.AsString(), nil
}

func toFloat(v cty.Value) (float64, error) {
	if v.IsNull() || v.Type() != cty.Number {
		return 0, mismatch("a number", v)
	}
	f, _ := v.AsBigFloat().Float64()
	if f-f != 0 {
		return 0, fmt.Errorf("must be a finite number that fits 64 bits")
	}
	return f, nil
}

func toInt(v cty.Value) (int64, error) {
	if v.IsNull() || v.Type() != cty.Number {
		return 0, mismatch("a whole number", v)
	}
	f := v.AsBigFloat()
	if !f.IsInt() {
		return 0, fmt.Errorf("must be a whole number, but has a fraction")
	}
	i, acc := f.Int64()
	if acc != big.Exact {
		return 0, fmt.Errorf("must be a whole number that fits 64 bits")
	}
	return i, nil
}

func toBool(v cty.Value) (bool, error) {
	if v.IsNull() || v.Type() != cty.Bool {
		return false, mismatch("true or false", v)
	}
	return v.True(), nil
}

// elements returns the elements of a list, tuple or set.
func elements(v cty.Value) ([]cty.Value, bool) {
	if v.IsNull() || !(v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType()) {
		return nil, false
	}
	return v.AsValueSlice(), true
}

func toList[T any](v cty.Value, what string, each func(cty.Value) (T, error)) ([]T, error) {
	items, ok := elements(v)
	if !ok {
		return nil, mismatch(what, v)
	}
	out := make([]T, len(items))
	for i, item := range items {
		var err error
		if out[i], err = each(item); err != nil {
			return nil, fmt.Errorf("must be %s: its element %d %w", what, i, err)
		}
	}
	return out, nil
}

func toTexts(v cty.Value) ([]string, error) { return toList(v, "a list of strings", toText) }

func mismatch(want string, v cty.Value) error {
	return fmt.Errorf("must be %s, but is %s", want, describe(v))
}

// describe names the sort of a value in a user's words, never the value itself, which may be a secret.
func describe(v cty.Value) string {
	ty := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case ty == cty.String:
		return "a string"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "true or false"
	case ty.IsTupleType(), ty.IsListType(), ty.IsSetType():
		return "a list"
	case ty.IsObjectType(), ty.IsMapType():
		return "an object"
	}
	return ty.FriendlyName()
}
