//go:build unix

package plugin

import (
	"os"
	"os/exec"
	"syscall"
)

const canPassFiles = true

// setGroup puts the process into a group of its own.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the process and all that it started. The process must not
// have been waited for, so that its number is still its own.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
