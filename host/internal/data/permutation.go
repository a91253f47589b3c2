package data

import (
	"math/bits"

	"github.com/hone-ml/hone/sdk/graph"
)

// Permutation returns the order in which the rows 0..n-1 are visited in an
// epoch. It is part of what a seed means and never changes:
//
// The rows are shuffled by Fisher and Yates' method, from the last place down:
// for i = n-1 .. 1, the entry at i is exchanged with the one at j, where j is
// uniform in 0..i. The draw for place i is the 64-bit number made of the first two
// words (low word first) of Philox4x32-10 with the key
// graph.DeriveKey(seed, "data/permutation", epoch) and the counter
// (i mod 2^32, i / 2^32, attempt, 0). With m = i+1 and the 128-bit product draw*m, j
// is its upper half, unless its lower half is below 2^64 mod m: then the draw is refused and
// the next attempt, counted from 0, is made. So every order is equally likely.
func Permutation(seed uint64, epoch, n int) []int64 {
	return shuffled(graph.DeriveKey(seed, "data/permutation", epoch), n)
}

func shuffled(key uint64, n int) []int64 {
	p := make([]int64, n)
	for i := range p {
		p[i] = int64(i)
	}
	shuffle(key, p)
	return p
}

// shuffle is the method of Permutation for any key and any entries.
func shuffle(key uint64, p []int64) {
	for i := len(p) - 1; i > 0; i-- {
		j := below(key, uint64(i), uint64(i)+1)
		p[i], p[j] = p[j], p[i]
	}
}

// below draws a number uniform in 0..m-1 for a place.
func below(key, place, m uint64) uint64 {
	k := graph.SplitKey(key)
	for attempt := uint32(0); ; attempt++ {
		w := graph.Philox4x32([4]uint32{uint32(place), uint32(place >> 32), attempt, 0}, k)
		hi, lo := bits.Mul64(uint64(w[0])|uint64(w[1])<<32, m)
		if lo >= m || lo >= -m%m {
			return hi
		}
	}
}
