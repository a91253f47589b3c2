package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Philox4x32 is the Philox4x32-10 bijection of Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): four random words
// from a 128-bit counter and a 64-bit key, ten rounds.
func Philox4x32(ctr [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		hi0, lo0 := bits.Mul32(0xD2511F53, ctr[0])
		hi1, lo1 := bits.Mul32(0xCD9E8D57, ctr[2])
		ctr = [4]uint32{hi1 ^ ctr[1] ^ key[0], lo1, hi0 ^ ctr[3] ^ key[1], lo0}
		key[0] += 0x9E3779B9
		key[1] += 0xBB67AE85
	}
	return ctr
}

// RandomCounter is the Philox counter of the block that holds words
// 4*block .. 4*block+3 of example index at the given step. The first word
// numbers the block within the example, the second and the upper half of the
// fourth hold the index, the third and the lower half of the fourth the step.
func RandomCounter(block uint32, index, step uint64) [4]uint32 {
	return [4]uint32{block, uint32(index), uint32(step), uint32(index>>32)<<16 | uint32(step>>32)&0xffff}
}

// SplitKey returns the two words of a 64-bit key, low word first.
func SplitKey(key uint64) [2]uint32 { return [2]uint32{uint32(key), uint32(key >> 32)} }

// DeriveKey returns the key of the ordinal-th random draw under path: the
// first 64 bits, little-endian, of SHA-256 over the seed (8 bytes,
// little-endian), the path, a zero byte and the ordinal (8 bytes,
// little-endian).
func DeriveKey(seed uint64, path string, ordinal int) uint64 {
	b := make([]byte, 0, 17+len(path))
	b = binary.LittleEndian.AppendUint64(b, seed)
	b = append(b, path...)
	b = append(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(ordinal))
	h := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(h[:8])
}
