package philox

import (
	"math/bits"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// Key and Counter are the arguments of the function. Ranges count up the
// first word of the counter, one for each 4 elements, modulo 2^32; the other
// words stay.
type (
	Key     [2]uint32
	Counter [4]uint32
)

// Kernels fill ranges on one instruction set. Element i of dst belongs to
// counter c[0] + i/4. A range can be split at multiples of 4 elements.
type Kernels struct {
	Level isa.Level

	// Fill writes the words.
	Fill func(dst []uint32, key Key, c Counter)

	// Uniform writes multiples of 2^-24 in [0, 1).
	Uniform func(dst []float32, key Key, c Counter)
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels { return forLevel(level) }

// Block is the function: 10 rounds on one counter.
func Block(key Key, c Counter) [4]uint32 {
	for round := range 10 {
		if round > 0 {
			key[0] += 0x9e3779b9
			key[1] += 0xbb67ae85
		}
		hi0, lo0 := bits.Mul32(0xd2511f53, c[0])
		hi1, lo1 := bits.Mul32(0xcd9e8d57, c[2])
		c = Counter{hi1 ^ c[1] ^ key[0], lo1, hi0 ^ c[3] ^ key[1], lo0}
	}
	return c
}

func portable() *Kernels {
	return &Kernels{
		Level: isa.Portable,
		Fill: func(dst []uint32, key Key, c Counter) {
			each(dst, key, c, func(u uint32) uint32 { return u })
		},
		Uniform: func(dst []float32, key Key, c Counter) {
			each(dst, key, c, func(u uint32) float32 { return float32(u>>8) * 0x1p-24 })
		},
	}
}

func each[T any](dst []T, key Key, c Counter, f func(uint32) T) {
	for len(dst) > 0 {
		for i, u := range Block(key, c) {
			if i < len(dst) {
				dst[i] = f(u)
			}
		}
		dst = dst[min(4, len(dst)):]
		c[0]++
	}
}
