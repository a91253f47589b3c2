package modelfmt

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrNotCheckpoint is wrapped by the error of opening a file that does not begin
// as a checkpoint.
var ErrNotCheckpoint = errors.New("not a hone checkpoint")

// ErrLocked is wrapped by the error of writing a path that another writer holds.
var ErrLocked = errors.New("checkpoint is being written by another run")

// LockedError says which path is held. It wraps [ErrLocked].
type LockedError struct{ Path string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is being written by another run: wait for it to end, stop it, or choose another output path", e.Path)
}

func (e *LockedError) Unwrap() error { return ErrLocked }

// NoFolderError says that a path to be written lies in no folder that exists. It
// wraps [fs.ErrNotExist].
type NoFolderError struct{ Path string }

func (e *NoFolderError) Error() string {
	return fmt.Sprintf("the folder of %s does not exist: make it, or choose another path", e.Path)
}

func (e *NoFolderError) Unwrap() error { return fs.ErrNotExist }

// CorruptError reports bytes that cannot be what a writer wrote: a flipped bit, a
// cut file, or a file made to harm.
type CorruptError struct {
	// Section is the part of the file: "header", "footer", "manifest",
	// "index", "extensions", or "tensor NAME" and "blob NAME".
	Section string
	// Offset is the byte in the file where the part (for a tensor or blob, the
	// chunk) begins.
	Offset int64
	// Detail says what was wrong.
	Detail string
	// Err is the cause, when another error was it.
	Err error
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("checkpoint damaged in %s at byte %d: %s", e.Section, e.Offset, e.Detail)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; restore the file from a copy or use an earlier checkpoint"
}

func (e *CorruptError) Unwrap() error { return e.Err }

// LimitError reports a size above a limit. Nothing has been allocated for it.
type LimitError struct {
	// What has the size, for example "manifest bytes".
	What string
	// Value is the declared size and Limit the most that is accepted.
	Value, Limit uint64
	// Remedy says how to raise the limit or what to do instead.
	Remedy string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: %d is above the limit of %d; %s", e.What, e.Value, e.Limit, e.Remedy)
}

// UnsupportedError reports a file that is whole, but needs a newer reader.
type UnsupportedError struct {
	// What is needed, for example "format version 3".
	What string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("checkpoint needs %s, which this version of hone does not have: upgrade hone, or convert the file with the version that wrote it", e.What)
}

// NotFoundError reports a name that a file does not hold.
type NotFoundError struct {
	// Kind is "tensor" or "blob".
	Kind string
	// Name was asked for.
	Name string
	// Near is the most similar name in the file, or empty.
	Near string
}

func (e *NotFoundError) Error() string {
	s := fmt.Sprintf("checkpoint has no %s %q", e.Kind, e.Name)
	if e.Near != "" {
		return s + fmt.Sprintf(": did you mean %q?", e.Near)
	}
	return s + ": list the names with `hone checkpoint show`"
}

// BaseError reports a delta checkpoint whose base is absent or is another file.
type BaseError struct {
	// Want is the digest of the base that the file was written against.
	Want Digest
	// Got is the digest of the checkpoint offered, zero when none was.
	Got Digest
	// Err is the cause, when looking for the base failed.
	Err error
}

func (e *BaseError) Error() string {
	s := fmt.Sprintf("delta checkpoint needs its base %s", e.Want)
	switch {
	case e.Err != nil:
		return s + ": " + e.Err.Error()
	case e.Got != Digest{}:
		return s + fmt.Sprintf(", but was given %s: pass the checkpoint it was written against", e.Got)
	}
	return s + ": pass the base checkpoint, or ask for a flattened file"
}

func (e *BaseError) Unwrap() error { return e.Err }

// InputError reports something that the caller asked to write and that the format
// cannot hold.
type InputError struct {
	// What names the tensor, blob or section; Detail says what is wrong and
	// what would be right.
	What, Detail string
}

func (e *InputError) Error() string { return e.What + ": " + e.Detail }
