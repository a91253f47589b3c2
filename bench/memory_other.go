//go:build !linux

package main

import "os"

// residentMiB is the most memory that a process that has ended had, 0 where
// that is not known.
func residentMiB(*os.ProcessState) int64 { return 0 }
