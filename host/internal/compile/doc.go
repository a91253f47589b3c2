// Package compile keeps what a backend has compiled: a [Cache] is a backend that
// compiles equal functions once, whoever asks. It is how a phase or a tuning
// trial that changes numbers alone starts at once.
//
// The package knows graphs and backends; it knows nothing of training.
package compile
