//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hone-ml/hone/modelfmt"
)

// interruptedSpec trains for longer than the test lasts.
const interruptedSpec = `
data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
}
model "net" {
  input "image" {}
  layer "flatten" "flat" {}
  layer "dense" "out" {
    units = 10
  }
}
train {
  epochs = 1000000
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {}
}
`

// Ctrl-C reaches hone and its plugins at once, as a terminal sends it to the whole
// group. Whenever it comes, and again, hone ends with 130 (or by the signal itself,
// before it listens), leaves no process behind and no file that is half a one.
func TestAnInterruptAtAnyMoment(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(t.TempDir(), "net.hone.hcl")
	if err := os.WriteFile(spec, []byte(interruptedSpec), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, after := range []int{0, 5, 15, 30, 60, 120, 250, 500} {
		twice := i%2 == 1
		dir, tmp := t.TempDir(), t.TempDir()
		out := filepath.Join(dir, "net.hone")
		cmd := exec.Command(self, "train", spec, "--out", out)
		cmd.Env = append(os.Environ(), asCommand+"=1", "TMPDIR="+tmp, "XDG_RUNTIME_DIR="+tmp)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		group := cmd.Process.Pid
		stuck := time.AfterFunc(10*time.Minute, func() { _ = syscall.Kill(-group, syscall.SIGKILL) })
		time.Sleep(time.Duration(after) * time.Millisecond)
		_ = syscall.Kill(-group, syscall.SIGINT)
		if twice {
			time.Sleep(2 * time.Millisecond)
			_ = syscall.Kill(-group, syscall.SIGINT)
		}
		_ = cmd.Wait()
		stuck.Stop()
		s := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !(s.Exited() && s.ExitStatus() == 130 || s.Signaled() && s.Signal() == syscall.SIGINT) {
			t.Errorf("interrupted after %d ms (twice: %v): %v\n%s", after, twice, cmd.ProcessState, stderr.String())
		}
		// A plugin that the second interrupt orphaned ends by itself.
		for wait := 0; len(alike(self)) > 0 || !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH); wait++ {
			if wait > 6000 {
				t.Fatalf("interrupted after %d ms (twice: %v): processes %v are left, or the group is", after, twice, alike(self))
			}
			time.Sleep(10 * time.Millisecond)
		}
		if _, err := os.Stat(out); err == nil {
			r, err := modelfmt.Open(out)
			if err != nil {
				t.Errorf("interrupted after %d ms (twice: %v): %v", after, twice, err)
			} else {
				r.Close()
			}
		} else if s.Exited() && strings.Contains(stderr.String(), "epoch 1/") && !twice {
			t.Errorf("interrupted after %d ms: no checkpoint\n%s", after, stderr.String())
		}
		if twice {
			continue // what stops at once cleans nothing up: temporary files may stay
		}
		if left, _ := filepath.Glob(filepath.Join(tmp, "*")); s.Exited() && len(left) > 0 {
			t.Errorf("interrupted after %d ms: left %v", after, left)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); s.Exited() {
			for _, f := range left {
				if strings.Contains(f, ".tmp") {
					t.Errorf("interrupted after %d ms: left %s", after, f)
				}
			}
		}
	}
}

// alike lists the other processes that run a program, where there is /proc.
func alike(program string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	var out []int
	for _, l := range links {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(l)))
		if to, err := os.Readlink(l); err == nil && to == program && pid != os.Getpid() {
			out = append(out, pid)
		}
	}
	return out
}
