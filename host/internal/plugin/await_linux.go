package plugin

import "golang.org/x/sys/unix"

// awaitExit returns when the process has ended, without waiting for it: its
// number stays its own until then.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
