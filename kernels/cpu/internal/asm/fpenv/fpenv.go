// Package fpenv sets how vector arithmetic treats denormal numbers, which
// otherwise slow it down some thirtyfold.
package fpenv

// State is the mode that FlushDenormals found.
type State uint32

// FlushDenormals makes denormal arguments and results of float arithmetic
// count as zero on the calling thread, until Restore is given the state that
// it returns. The goroutine must be locked to its thread in between
// (runtime.LockOSThread). Processors other than amd64 keep their mode.
func FlushDenormals() State { return flush() }

// Restore sets the mode that FlushDenormals found.
func Restore(s State) { restore(s) }
