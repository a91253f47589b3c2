package modelfmt

import "math"

// Limits bounds what a reader accepts before it takes memory. The zero value of
// each field means its default.
type Limits struct {
	// ManifestBytes bounds the JSON manifest; default 64 MiB.
	ManifestBytes uint64
	// IndexBytes bounds the decompressed index; default 256 MiB, which serves
	// about 6 TiB of tensors.
	IndexBytes uint64
	// Entries bounds tensors and blobs together; default 1,048,576.
	Entries uint64
	// EntryBytes bounds the logical size of one tensor or blob; default 1 TiB.
	EntryBytes uint64
	// BlobBytes bounds a blob, which [Reader.Blob] returns whole; default 1 GiB.
	BlobBytes uint64
	// Inflation bounds the ratio of all logical bytes to the file's size once
	// the logical bytes are above 4 GiB; default 1000.
	Inflation uint64
}

// Bounds of the format itself, which no option raises.
const (
	maxRank         = 32
	maxNameBytes    = 1024
	maxRoleBytes    = 64
	maxEncodingLen  = 256
	maxSectionBytes = 256 // key of a manifest section
	minChunkLog2    = 12
	maxChunkLog2    = 24
	defaultChunk    = 20
	maxBaseDepth    = 64
	inflationFloor  = 4 << 30
)

func (l Limits) withDefaults() Limits {
	set := func(p *uint64, v uint64) {
		if *p == 0 {
			*p = v
		}
	}
	set(&l.ManifestBytes, 64<<20)
	set(&l.IndexBytes, 256<<20)
	set(&l.Entries, 1<<20)
	set(&l.EntryBytes, 1<<40)
	set(&l.BlobBytes, 1<<30)
	set(&l.Inflation, 1000)
	l.EntryBytes = min(l.EntryBytes, math.MaxInt) // what one slice can have
	return l
}

const raiseLimits = "if the file is trusted, raise the limit in ReaderOptions.Limits"
