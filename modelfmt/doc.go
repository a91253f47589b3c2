// Package modelfmt reads and writes checkpoints: one file, "*.hone", that holds
// the tensors of a model, named blobs of bytes, and a readable JSON manifest.
//
// The format is lossless, compressed chunk by chunk, checked on every load, and
// written so that a crash, a full disk or a second writer never costs the
// previous checkpoint. SPEC.md beside this file fixes every byte; a reader can be
// written from it alone, and testdata/reader.py was. BENCH.md has figures.
//
// The package knows bytes, names and element types. It knows nothing of graphs,
// training or plugins, and imports nothing else of this module: what a "slot" is,
// or what the blob "module" means, is its caller's business. No name or path in a
// file is ever opened.
//
// # Where to start
//
// [Create] and [Writer] save, [Open] and [Reader] load. Around them: [Reader.Info],
// [Reader.Verify] and [Compare] look into files, [Flatten] makes a delta whole,
// [BaseFolder] finds its base, [AsyncWriter] saves behind the caller's back,
// [Retention] decides which checkpoints to keep, [LockPath] keeps two runs apart and
// [Sweep] clears up after killed ones. Packages safetensors and npz have the formats
// of others, convert moves tensors between all of them.
//
// Inside, layout.go has the fixed parts of the file, index.go the table of
// contents, chunk.go, stream.go and bitmap.go the codecs, estimate.go their choice,
// pipeline.go the parallel encoder, chunkread.go its counterpart.
//
// Files are read with positioned reads and never mapped: the faults of a mapping
// cost more than the copy that it saves (BENCH.md), and a file which is cut
// underneath it kills the process.
package modelfmt
