//go:build !linux

package plugin

import "os"

// awaitExit returns when the process has ended. Where the system cannot tell
// without giving the number free, the group is killed just after.
func awaitExit(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_, _ = p.Wait()
	}
}
