package modelfmt

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}

func lockBusy(err error) bool {
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) ||
		errors.Is(err, windows.ERROR_IO_PENDING)
}

// releaseLock closes first, because an open file cannot be removed there. When
// another process has opened it in between, the removal fails and is that
// process's to do.
func releaseLock(f *os.File) error {
	err := f.Close()
	_ = os.Remove(f.Name())
	return err
}
