package plugin

import (
	"os"
	"os/exec"
)

const canPassFiles = false

func setGroup(*exec.Cmd) {}

// killGroup kills the process; Windows has no process groups.
func killGroup(p *os.Process) { _ = p.Kill() }
