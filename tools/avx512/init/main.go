//go:build linux

// Command init is the first process of the machine that tools/avx512/run.sh
// emulates: it runs the test binaries under /tests, says how they ended, and
// restarts the machine, which ends it.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	verdict := "all passed"
	if err := run(); err != nil {
		verdict = err.Error()
	}
	fmt.Println("hone:", verdict)
	const tcsbrk = 0x5409 // with 1, wait until all is sent
	syscall.Syscall(syscall.SYS_IOCTL, os.Stdout.Fd(), tcsbrk, 1)
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}

// run runs all test binaries and returns an error that names those that failed.
func run() error {
	for _, m := range []struct{ dir, kind string }{{"/proc", "proc"}, {"/dev", "devtmpfs"}, {"/tmp", "tmpfs"}} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.dir, err)
		}
	}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	for _, feature := range []string{"avx512f", "avx512bw", "avx512dq", "avx512vl"} {
		if !strings.Contains(string(cpu), " "+feature+" ") {
			return errors.New("the machine has no " + feature)
		}
	}
	args, err := lines("/args")
	if err != nil {
		return err
	}
	env, err := lines("/env")
	if err != nil {
		return err
	}
	var failed []string
	err = filepath.WalkDir("/tests", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "test" {
			return err
		}
		dir := filepath.Dir(path)
		name := strings.TrimPrefix(dir, "/tests/")
		fmt.Println("=== " + name)
		cmd := exec.Command(path, args...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, os.Stdout, os.Stdout
		result := "ok"
		if err := cmd.Run(); err != nil {
			failed = append(failed, name)
			result = "FAILED: " + err.Error()
		}
		fmt.Printf("=== %s: %s\n", name, result)
		return nil
	})
	if err == nil && len(failed) > 0 {
		err = errors.New("failed: " + strings.Join(failed, ", "))
	}
	return err
}

func lines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), err
}
