// Package stopwatch times kernels on machines that do other work as well.
package stopwatch

import (
	"runtime"
	"time"
)

// Fastest calls f while more says so, and returns the time of the fastest
// call: the processor time of the thread where the system tells it, so that
// what other processes take does not count.
func Fastest(more func() bool, f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Duration(1<<63 - 1)
	for more() {
		start := threadTime()
		f()
		best = min(best, threadTime()-start)
	}
	return best
}

// Times is a condition for Fastest: n calls.
func Times(n int) func() bool {
	return func() bool { n--; return n >= 0 }
}
