package modelfmt

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// tempFile is a file that will take the place of another.
type tempFile struct {
	fs         FileSystem
	file       File
	path, temp string
}

// openTemp removes what killed writers of path left, and creates a temporary file
// beside it with its mode. The caller holds the lock of path.
func openTemp(fsys FileSystem, path string) (*tempFile, error) {
	if err := removeStale(fsys, path); err != nil {
		return nil, err
	}
	mode, keep := fs.FileMode(0o644), false
	if st, err := fsys.Stat(path); err == nil {
		mode, keep = st.Mode().Perm(), true
	}
	var tag [8]byte
	rand.Read(tag[:])
	t := &tempFile{fs: fsys, path: path}
	t.temp = filepath.Join(filepath.Dir(path), tempPrefix(filepath.Base(path))+hex.EncodeToString(tag[:]))
	var err error
	if t.file, err = fsys.CreateNew(t.temp, mode); err != nil {
		return nil, err
	}
	if keep {
		if err := t.file.Chmod(mode); err != nil {
			t.discard()
			return nil, err
		}
	}
	return t, nil
}

// commit makes the file durable under its path.
func (t *tempFile) commit() error {
	if err := t.file.Sync(); err != nil {
		return err
	}
	file := t.file
	t.file = nil
	if err := file.Close(); err != nil {
		return err
	}
	if err := t.fs.Rename(t.temp, t.path); err != nil {
		return err
	}
	t.temp = ""
	return t.fs.SyncDir(filepath.Dir(t.path))
}

// discard removes the file, unless it was committed.
func (t *tempFile) discard() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
	if t.temp != "" {
		t.fs.Remove(t.temp)
		t.temp = ""
	}
}

// ReplaceFile writes any file the way [Create] writes a checkpoint: under the
// path's lock, to a temporary file beside it, synced and renamed when write
// returned nil. Otherwise what was at path stays, and nothing else is left.
func ReplaceFile(path string, write func(io.Writer) error) error {
	lock, err := LockPath(path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	t, err := openTemp(osFS{}, lock.path)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer t.discard()
	if err := write(t.file); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := t.commit(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
