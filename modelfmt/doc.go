// Package modelfmt reads and writes checkpoints: one file, "*.hone", that holds
// the tensors of a model, named blobs of bytes, and a readable JSON manifest.
//
// The format is lossless, compressed chunk by chunk, checked on every load, and
// written so that a crash, a full disk or a second writer never costs the
// previous checkpoint. SPEC.md beside this file fixes every byte; a reader can be
// written from it alone.
//
// The package knows bytes, names and element types. It knows nothing of graphs,
// training or plugins, and imports nothing else of this module: what a "slot" is,
// or what the blob "module" means, is its caller's business.
//
// Where to start: [Create] and [Writer] to save, [Open] and [Reader] to load.
// layout.go has the fixed parts of the file, index.go the table of contents,
// chunk.go the codecs, pipeline.go the parallel encoder, lock.go the rule that two
// processes never write one path.
package modelfmt
