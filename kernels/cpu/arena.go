package cpu

import "runtime"

// arena is the memory of a program's intermediate values.
type arena struct {
	data []byte
	free func()
	stop runtime.Cleanup
}

// largeArena is the size from which an arena is not on the collector's heap.
const largeArena = 4 << 20

// newArena takes n bytes, which end with owner at the latest.
func newArena[T any](owner *T, n int64) arena {
	if n >= largeArena {
		if data, free, ok := reserve(n); ok {
			return arena{data, free, runtime.AddCleanup(owner, func(free func()) { free() }, free)}
		}
	}
	return arena{data: alignedBytes(n)}
}

// release gives the memory back. Nothing may use it then.
func (a *arena) release() {
	if a.free != nil {
		a.stop.Stop()
		a.free()
	}
	*a = arena{}
}
