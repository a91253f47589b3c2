package modelfmt

import (
	"io"
	"io/fs"
	"os"
	"runtime"
)

// FileSystem is the part of an operating system that a [Writer] needs. The zero
// WriterOptions use the real one; tests put a failing disk here.
type FileSystem interface {
	// CreateNew creates a file that must not exist, with mode before umask.
	CreateNew(name string, mode fs.FileMode) (File, error)
	// Stat describes a file, following links.
	Stat(name string) (fs.FileInfo, error)
	// Rename replaces newName by oldName at once.
	Rename(oldName, newName string) error
	// Remove deletes a file.
	Remove(name string) error
	// ReadDir lists a folder.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// SyncDir makes renames and removals in the folder durable.
	SyncDir(dir string) error
}

// File is a file being written.
type File interface {
	io.WriteCloser
	// Sync makes what was written durable.
	Sync() error
	// Chmod sets the mode exactly, without umask.
	Chmod(mode fs.FileMode) error
}

type osFS struct{}

func (osFS) CreateNew(name string, mode fs.FileMode) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}
func (osFS) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (osFS) Rename(oldName, newName string) error      { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error                  { return os.Remove(name) }
func (osFS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

func (osFS) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be opened for writing there; NTFS journals the rename
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
