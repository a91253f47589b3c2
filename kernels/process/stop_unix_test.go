//go:build unix

package process_test

import "syscall"

const canStop = true

// stopSelf suspends the process, as a debugger or a hung driver would.
func stopSelf() { syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }
