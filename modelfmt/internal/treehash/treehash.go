// Package treehash computes BLAKE3 digests of 256 bits of buffers in memory.
//
// It is the same function as lukechampine.com/blake3, which does the work for
// short inputs and on machines without AVX2; for long ones it has an assembly
// that hashes eight chunks side by side without gather instructions, which many
// processors run slowly. The package knows of nothing but bytes.
package treehash

import (
	"encoding/binary"

	"lukechampine.com/blake3/guts"
)

//go:generate go -C ../asmgen run . -what treehash -out ../treehash/hash8_amd64.s -stubs ../treehash/hash8_amd64.go -pkg treehash

const (
	chunkLen = guts.ChunkSize
	valueLen = 32 // of a chaining value
)

// Hasher computes digests. The zero value is ready; it keeps scratch memory of
// 1/32 of the longest input, and serves one goroutine at a time.
type Hasher struct{ values []byte }

// tree hashes an input of more than eight chunks. hash8 fills eight chaining
// values; see its declaration.
func (h *Hasher) tree(b []byte, hash8 hash8Func) [32]byte {
	chunks := (len(b) + chunkLen - 1) / chunkLen
	if cap(h.values) < chunks*valueLen {
		h.values = make([]byte, chunks*valueLen)
	}
	values := h.values[:chunks*valueLen]

	full := len(b) / chunkLen &^ 7
	var counters [8]uint32
	for i := 0; i < full; i += 8 {
		for l := range counters {
			counters[l] = uint32(i + l)
		}
		hash8((*[256]byte)(values[i*valueLen:]), &b[i*chunkLen], chunkLen, chunkLen/guts.BlockSize, &counters,
			0, guts.FlagChunkStart, guts.FlagChunkEnd)
	}
	for i := full; i < chunks; i++ {
		n := guts.CompressChunk(b[i*chunkLen:min(len(b), (i+1)*chunkLen)], &guts.IV, uint64(i), 0)
		put(values[i*valueLen:], guts.ChainingValue(n))
	}

	// Joining neighbours level by level, an odd one going up alone, gives the
	// tree of BLAKE3, whose left branches are the largest powers of two.
	counters = [8]uint32{}
	for chunks > 2 {
		pairs := chunks / 2
		full := pairs &^ 7
		for i := 0; i < full; i += 8 {
			// The eight results land on the first half of what was just read.
			hash8((*[256]byte)(values[i*valueLen:]), &values[2*i*valueLen], 2*valueLen, 1, &counters, guts.FlagParent, 0, 0)
		}
		for i := full; i < pairs; i++ {
			put(values[i*valueLen:], guts.ChainingValue(parent(values[2*i*valueLen:])))
		}
		if chunks%2 == 1 {
			copy(values[pairs*valueLen:], values[(chunks-1)*valueLen:chunks*valueLen])
			pairs++
		}
		chunks = pairs
	}
	root := parent(values)
	root.Flags |= guts.FlagRoot
	words := guts.CompressNode(root)
	var out [32]byte
	for i, w := range words[:8] {
		binary.LittleEndian.PutUint32(out[4*i:], w)
	}
	return out
}

type hash8Func func(out *[256]byte, in *byte, stride, blocks uint64, counters *[8]uint32, flags, start, end uint32)

func put(b []byte, v [8]uint32) {
	for i, w := range v {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
}

func get(b []byte) (v [8]uint32) {
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v
}

func parent(b []byte) guts.Node {
	return guts.ParentNode(get(b), get(b[valueLen:]), &guts.IV, 0)
}
