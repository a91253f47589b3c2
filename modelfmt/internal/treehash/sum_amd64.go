//go:build amd64 && !noasm

package treehash

import (
	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3"
)

// A machine with AVX-512 is left to the library, whose code for it is good.
var useHash8 = cpu.X86.HasAVX2 && !cpu.X86.HasAVX512

// Sum returns the BLAKE3 digest of b.
func (h *Hasher) Sum(b []byte) [32]byte {
	if !useHash8 || len(b) <= 8*chunkLen || uint64(len(b)) > 1<<32 {
		return blake3.Sum256(b)
	}
	return h.tree(b, hash8)
}
