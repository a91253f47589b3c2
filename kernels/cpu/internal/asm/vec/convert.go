package vec

import "math"

func convert[D, S any](f func(S) D) func(dst []D, x []S) {
	return func(dst []D, x []S) {
		x = x[:len(dst)]
		for i, v := range x {
			dst[i] = f(v)
		}
	}
}

// toBF16 rounds to nearest even; a NaN stays one.
func toBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func fromBF16(x uint16) float32 { return math.Float32frombits(uint32(x) << 16) }

// toF16 rounds to the nearest IEEE 754 half, ties to even.
func toF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN: the upper bits, quiet
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case b >= 0x477ff000: // rounds beyond the largest half
		return sign | 0x7c00
	case b < 0x38800000: // denormal half: adding 1/2 shifts it into place
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
	}
	b += 0xfff + b>>13&1
	return sign | uint16((b-0x38000000)>>13)
}

func fromF16(x uint16) float32 {
	sign := uint32(x&0x8000) << 16
	b := uint32(x&0x7fff) << 13
	switch exp := x & 0x7c00; {
	case exp == 0x7c00 && x&0x3ff != 0: // NaN, made quiet
		return math.Float32frombits(sign | b | 0x7fc00000)
	case exp == 0x7c00:
		return math.Float32frombits(sign | 0x7f800000)
	case exp == 0: // denormal half
		f := float32(x&0x3ff) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(f))
	}
	return math.Float32frombits(sign | (b + 0x38000000))
}

// truncate rounds towards zero, to low or high at most, and NaN to 0.
func truncate(x float32, low, high int64) int64 {
	switch v := float64(x); {
	case v != v:
		return 0
	case v <= float64(low):
		return low
	case v >= float64(high):
		return high
	default:
		return int64(v)
	}
}
