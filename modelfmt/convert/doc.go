// Package convert moves tensors between checkpoints, safetensors files (single or
// sharded) and NumPy archives, renaming and reordering on the way, and matches the
// tensors of one with those that a model wants.
//
// It is strict unless told otherwise: a rule that renames nothing, two tensors
// that would get one name, and a match of nothing at all are errors, and a
// [Report] says what did and did not go over. Start at [Open], [Convert] and
// [Match].
package convert
