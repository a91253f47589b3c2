package main

import (
	"os"
	"syscall"
)

// residentMiB is the most memory that a process that has ended had, 0 where
// that is not known.
func residentMiB(p *os.ProcessState) int64 {
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss >> 10
	}
	return 0
}
