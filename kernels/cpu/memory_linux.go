package cpu

import "syscall"

// hugePage is the size of the pages that the system is asked for.
const hugePage = 2 << 20

// reserve returns n zeroed bytes outside of the collector's heap, which so does
// not let garbage grow in proportion to them, in large pages where the system
// has them; free gives them back. It fails where the system has no such memory.
func reserve(n int64) (data []byte, free func(), ok bool) {
	size := (n + hugePage - 1) / hugePage * hugePage
	all, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, false
	}
	// Without large pages the memory is as good, but for some speed.
	_ = syscall.Madvise(all, syscall.MADV_HUGEPAGE)
	return all[:n:n], func() { _ = syscall.Munmap(all) }, true
}
