package modelfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Lock is the exclusive right to write one checkpoint path. The operating
// system holds it for the process and drops it when the process dies, so a crash
// leaves nothing to clear by hand: the empty lock file that may stay behind is
// taken over by the next [LockPath].
//
// The lock is advisory, and is taken on a file ".NAME.lock" in the checkpoint's
// folder: flock on Unix, LockFileEx on Windows.
type Lock struct {
	path string // of the checkpoint
	file *os.File
}

// LockPath takes the lock of a checkpoint path, or returns a [LockedError] at
// once when another process, or another Lock of this one, has it. A run that
// writes one path many times takes the lock once, and passes it to each [Create]
// in WriterOptions.Lock.
func LockPath(path string) (*Lock, error) {
	path, err := resolvePath(path)
	if err != nil {
		return nil, err
	}
	dir, base := filepath.Split(path)
	name := filepath.Join(dir, "."+base+".lock")
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			if lockBusy(err) {
				return nil, &LockedError{Path: path}
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil, &NoFolderError{Path: path}
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if err := lockFile(f); err != nil {
			f.Close()
			if lockBusy(err) {
				return nil, &LockedError{Path: path}
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// The last holder may have removed the file between the open and the
		// lock; then the lock is on a file that nobody else will ever see.
		here, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(here, there) {
			return &Lock{path: path, file: f}, nil
		}
		f.Close()
		if err2 != nil && !errors.Is(err2, os.ErrNotExist) {
			return nil, fmt.Errorf("lock %s: %w", path, err2)
		}
	}
}

// Unlock gives the lock up and removes its file. A second call does nothing.
func (l *Lock) Unlock() error {
	if l == nil || l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return releaseLock(f)
}

// claimed is a lock that a writer has, its own or its caller's.
type claimed struct {
	*Lock
	own bool
}

// claim takes the lock of path, unless the caller has it already.
func claim(path string, held *Lock) (claimed, error) {
	if held == nil {
		l, err := LockPath(path)
		return claimed{l, true}, err
	}
	real, err := resolvePath(path)
	if err == nil && (held.file == nil || held.path != real) {
		err = &InputError{"lock of " + path, "it is released, or is of another path; take it with LockPath"}
	}
	return claimed{held, false}, err
}

// release gives up a lock that is the writer's own.
func (c *claimed) release() error {
	if !c.own {
		return nil
	}
	c.own = false
	if err := c.Unlock(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// resolvePath follows links to the file that a write would replace, so that two
// names of one checkpoint share one lock and a link stays a link.
func resolvePath(path string) (string, error) {
	if path == "" {
		return "", &InputError{"path to write", "it is empty: name a file"}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("path %s: %w", path, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	if st, err := os.Stat(abs); err == nil && !st.Mode().IsRegular() {
		return "", &InputError{"path " + path, "it is a folder or a device: name a file"}
	}
	return abs, nil
}

const tempMark = ".tmp-"

func tempPrefix(base string) string { return "." + base + tempMark }

// removeStale deletes what killed writers of the path left. The caller holds
// the path's lock, so no file of that name belongs to a living writer.
func removeStale(fsys FileSystem, path string) error {
	dir, base := filepath.Dir(path), filepath.Base(path)
	list, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		if strings.HasPrefix(d.Name(), tempPrefix(base)) && d.Type().IsRegular() {
			if err := fsys.Remove(filepath.Join(dir, d.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Sweep deletes what killed writers of any checkpoint left in a folder: temporary
// files and locks. Those of living writers are left alone.
func Sweep(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	var errs []error
	for _, d := range list {
		if name := leftOf(d.Name()); name != "" && d.Type().IsRegular() {
			if err := RemoveStale(filepath.Join(dir, name)); err != nil && !errors.Is(err, ErrLocked) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// leftOf returns the checkpoint of which a file is a lock or temporary, or "".
func leftOf(file string) string {
	name, hidden := strings.CutPrefix(file, ".")
	if lock, ok := strings.CutSuffix(name, ".lock"); ok {
		name = lock
	} else if at := strings.LastIndex(name, tempMark); at >= 0 {
		name = name[:at]
	} else {
		return ""
	}
	if !hidden || !strings.HasSuffix(name, ".hone") {
		return ""
	}
	return name
}

// RemoveStale deletes temporary files that killed writers of the path left
// behind. [Create] does this by itself.
func RemoveStale(path string) error {
	l, err := LockPath(path)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if err := removeStale(osFS{}, l.path); err != nil {
		return fmt.Errorf("remove stale files of %s: %w", path, err)
	}
	return nil
}
