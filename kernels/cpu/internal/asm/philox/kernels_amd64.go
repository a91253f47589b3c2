//go:build amd64 && !noasm

package philox

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

// chunk is the number of elements of a call, a few microseconds' worth, so
// that the garbage collector can stop the goroutine in between.
const chunk = 1 << 14

func forLevel(level isa.Level) *Kernels {
	switch {
	case level >= isa.AVX512:
		return kernels(isa.AVX512, fillRangeAVX512, uniformRangeAVX512)
	case level >= isa.AVX2:
		return kernels(isa.AVX2, fillRangeAVX2, uniformRangeAVX2)
	}
	return portable()
}

func kernels(level isa.Level, fill func([]uint32, Key, Counter), uniform func([]float32, Key, Counter)) *Kernels {
	return &Kernels{
		Level: level,
		Fill: func(dst []uint32, key Key, c Counter) {
			for len(dst) > 0 {
				n := min(len(dst), chunk)
				fill(dst[:n], key, c)
				dst = dst[n:]
				c[0] += chunk / 4
			}
		},
		Uniform: func(dst []float32, key Key, c Counter) {
			for len(dst) > 0 {
				n := min(len(dst), chunk)
				uniform(dst[:n], key, c)
				dst = dst[n:]
				c[0] += chunk / 4
			}
		},
	}
}

// The functions below do whole blocks in place and the rest in a block of
// their own.

//go:noinline
func fillRangeAVX2(dst []uint32, key Key, c Counter) {
	const block = 32 // elements of 8 counters
	if n := len(dst) / block; n > 0 {
		fillAVX2(&dst[0], (*[2]uint32)(&key), (*[4]uint32)(&c), n)
		c[0] += uint32(n * 8)
		dst = dst[n*block:]
	}
	if len(dst) > 0 {
		var rest [block]uint32
		fillAVX2(&rest[0], (*[2]uint32)(&key), (*[4]uint32)(&c), 1)
		copy(dst, rest[:])
	}
}

//go:noinline
func uniformRangeAVX2(dst []float32, key Key, c Counter) {
	const block = 32 // elements of 8 counters
	if n := len(dst) / block; n > 0 {
		uniformAVX2(&dst[0], (*[2]uint32)(&key), (*[4]uint32)(&c), n)
		c[0] += uint32(n * 8)
		dst = dst[n*block:]
	}
	if len(dst) > 0 {
		var rest [block]float32
		uniformAVX2(&rest[0], (*[2]uint32)(&key), (*[4]uint32)(&c), 1)
		copy(dst, rest[:])
	}
}

//go:noinline
func fillRangeAVX512(dst []uint32, key Key, c Counter) {
	const block = 64 // elements of 16 counters
	if n := len(dst) / block; n > 0 {
		fillAVX512(&dst[0], (*[2]uint32)(&key), (*[4]uint32)(&c), n)
		c[0] += uint32(n * 16)
		dst = dst[n*block:]
	}
	if len(dst) > 0 {
		var rest [block]uint32
		fillAVX512(&rest[0], (*[2]uint32)(&key), (*[4]uint32)(&c), 1)
		copy(dst, rest[:])
	}
}

//go:noinline
func uniformRangeAVX512(dst []float32, key Key, c Counter) {
	const block = 64 // elements of 16 counters
	if n := len(dst) / block; n > 0 {
		uniformAVX512(&dst[0], (*[2]uint32)(&key), (*[4]uint32)(&c), n)
		c[0] += uint32(n * 16)
		dst = dst[n*block:]
	}
	if len(dst) > 0 {
		var rest [block]float32
		uniformAVX512(&rest[0], (*[2]uint32)(&key), (*[4]uint32)(&c), 1)
		copy(dst, rest[:])
	}
}
