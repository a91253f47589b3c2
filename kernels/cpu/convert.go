package cpu

import (
	"math"

	"github.com/hone-ml/hone/sdk/graph"
)

func saturateTo[F float, T integer](low, high float64, lo, hi T) func(F) T {
	return func(x F) T {
		v := float64(x)
		switch {
		case v != v:
			return 0
		case v <= low:
			return lo
		case v >= high:
			return hi
		}
		return T(v)
	}
}

func fromFloat[F float](to graph.DType) loopFunc {
	switch to {
	case graph.F64:
		return unary(func(x F) float64 { return float64(x) })
	case graph.F32:
		return unary(func(x F) float32 { return float32(x) })
	case graph.BF16:
		return unary(func(x F) uint16 { return roundVia(float64(x), graph.Float32ToBF16) })
	case graph.F16:
		return unary(func(x F) uint16 { return roundVia(float64(x), graph.Float32ToHalf) })
	case graph.I64:
		return unary(saturateTo[F](math.MinInt64, 1<<63, int64(math.MinInt64), int64(math.MaxInt64)))
	case graph.I32:
		return unary(saturateTo[F](math.MinInt32, 1<<31, int32(math.MinInt32), int32(math.MaxInt32)))
	case graph.I8:
		return unary(saturateTo[F](math.MinInt8, 1<<7, int8(math.MinInt8), int8(math.MaxInt8)))
	case graph.U64:
		return unary(saturateTo[F](0, 1<<64, uint64(0), uint64(math.MaxUint64)))
	case graph.U32:
		return unary(saturateTo[F](0, 1<<32, uint32(0), uint32(math.MaxUint32)))
	case graph.U8:
		return unary(saturateTo[F](0, 1<<8, uint8(0), uint8(math.MaxUint8)))
	case graph.Bool:
		return unary(func(x F) uint8 { return b2u(x != 0) })
	}
	return nil
}

// roundVia rounds a float64 to a 16-bit type once: going through float32 would
// round twice, so ties of the first rounding are pushed off centre (round to odd).
func roundVia(v float64, narrow func(float32) uint16) uint16 {
	f := float32(v)
	if r := float64(f); r != v && v == v && math.Float32bits(f)&1 == 0 && !math.IsInf(r, 0) {
		if math.Abs(r) < math.Abs(v) {
			f = math.Float32frombits(math.Float32bits(f) | 1)
		} else {
			f = math.Float32frombits(math.Float32bits(f) - 1)
		}
	}
	return narrow(f)
}

func fromInt[S integer](to graph.DType) loopFunc {
	switch to {
	case graph.F64:
		return unary(func(x S) float64 { return float64(x) })
	case graph.F32:
		return unary(func(x S) float32 { return float32(x) })
	case graph.BF16:
		return unary(func(x S) uint16 { return roundVia(float64(x), graph.Float32ToBF16) })
	case graph.F16:
		return unary(func(x S) uint16 { return roundVia(float64(x), graph.Float32ToHalf) })
	case graph.I64:
		return unary(func(x S) int64 { return int64(x) }) // wraps
	case graph.I32:
		return unary(func(x S) int32 { return int32(x) }) // wraps
	case graph.I8:
		return unary(func(x S) int8 { return int8(x) }) // wraps
	case graph.U64:
		return unary(func(x S) uint64 { return uint64(x) }) // wraps
	case graph.U32:
		return unary(func(x S) uint32 { return uint32(x) }) // wraps
	case graph.U8:
		return unary(func(x S) uint8 { return uint8(x) }) // wraps
	case graph.Bool:
		return unary(func(x S) uint8 { return b2u(x != 0) })
	}
	return nil
}

func fromHalf(widen func(uint16) float32, to graph.DType) loopFunc {
	switch to {
	case graph.F64:
		return unary(func(x uint16) float64 { return float64(widen(x)) })
	case graph.F32:
		return unary(widen)
	case graph.BF16:
		return unary(func(x uint16) uint16 { return graph.Float32ToBF16(widen(x)) })
	case graph.F16:
		return unary(func(x uint16) uint16 { return graph.Float32ToHalf(widen(x)) })
	case graph.I64:
		f := saturateTo[float32](math.MinInt64, 1<<63, int64(math.MinInt64), int64(math.MaxInt64))
		return unary(func(x uint16) int64 { return f(widen(x)) })
	case graph.I32:
		f := saturateTo[float32](math.MinInt32, 1<<31, int32(math.MinInt32), int32(math.MaxInt32))
		return unary(func(x uint16) int32 { return f(widen(x)) })
	case graph.I8:
		f := saturateTo[float32](math.MinInt8, 1<<7, int8(math.MinInt8), int8(math.MaxInt8))
		return unary(func(x uint16) int8 { return f(widen(x)) })
	case graph.U64:
		f := saturateTo[float32](0, 1<<64, uint64(0), uint64(math.MaxUint64))
		return unary(func(x uint16) uint64 { return f(widen(x)) })
	case graph.U32:
		f := saturateTo[float32](0, 1<<32, uint32(0), uint32(math.MaxUint32))
		return unary(func(x uint16) uint32 { return f(widen(x)) })
	case graph.U8:
		f := saturateTo[float32](0, 1<<8, uint8(0), uint8(math.MaxUint8))
		return unary(func(x uint16) uint8 { return f(widen(x)) })
	case graph.Bool:
		return unary(func(x uint16) uint8 { return b2u(widen(x) != 0) })
	}
	return nil
}

// convertFor returns the conversion between two element types.
func convertFor(from, to graph.DType) loopFunc {
	switch from {
	case graph.F64:
		return fromFloat[float64](to)
	case graph.F32:
		return fromFloat[float32](to)
	case graph.BF16:
		return fromHalf(func(x uint16) float32 { return math.Float32frombits(uint32(x) << 16) }, to)
	case graph.F16:
		return fromHalf(graph.HalfToFloat32, to)
	case graph.I64:
		return fromInt[int64](to)
	case graph.I32:
		return fromInt[int32](to)
	case graph.I8:
		return fromInt[int8](to)
	case graph.U64:
		return fromInt[uint64](to)
	case graph.U32:
		return fromInt[uint32](to)
	case graph.U8, graph.Bool:
		return fromInt[uint8](to)
	}
	return nil
}
