//go:build !linux

package cpu

// reserve has no memory outside of the heap here.
func reserve(int64) (data []byte, free func(), ok bool) { return nil, nil, false }
