//go:build unix

package modelfmt

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what the process has used of processors, so that a figure a core
// can be given on a machine that is not idle.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perCore reports the bytes that a benchmark gets through in a second of
// processor time.
func perCore(b *testing.B, bytes int64, loop func()) {
	b.SetBytes(bytes)
	from := cpuTime()
	n := 0
	for b.Loop() {
		loop()
		n++
	}
	if used := cpuTime() - from; used > 0 {
		b.ReportMetric(float64(bytes)*float64(n)/used.Seconds()/1e9, "GB/core-s")
	}
}
