// Package preempt lets the garbage collector stop a goroutine between two
// calls into assembly.
//
// Assembly cannot be interrupted by the runtime, and neither are the wrappers
// through which Go calls it: they check no stack. A Go loop around such calls
// spends nearly all of its time where it cannot be stopped, however short each
// call, and holds up the collector until it ends.
package preempt

// Point is a function with a stack check, at which a waiting collector stops
// the goroutine. It costs about a nanosecond.
//
//go:noinline
func Point() { leaf() }

// leaf makes Point a function that calls: those that do not have no check.
//
//go:noinline
func leaf() {}
