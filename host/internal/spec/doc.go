// Package spec is what a user asks for: data, models and how to train them,
// read from *.hone.hcl files or built in Go, as one typed tree.
//
// Load and Parse read HCL, evaluate its expressions against the variables given,
// and return a Spec in which every value is final and every node knows the Range
// of text that it came from. A Go program fills the same structs; their zero values
// mean what an absent argument means. Validate checks what can be known from the
// words alone: names, references, cycles, ranges of numbers. The arguments of
// components (layers, optimizers, transforms) stay as Args until the host has
// their Schema from a plugin and calls DecodeArgs.
//
// The package knows nothing of plugins' processes, tensors, tables or training, and
// imports nothing of the host but diag.
//
// Start reading at Spec (spec.go), then Load (load.go), read.go for how blocks become
// structs, and schema.go for how arguments become values.
package spec
