//go:build !noasm

package fpenv

// The bits of MXCSR: results, arguments.
const flushToZero, denormalsAreZero = 1 << 15, 1 << 6

func flush() State {
	old := getMXCSR()
	setMXCSR(old | flushToZero | denormalsAreZero)
	return State(old)
}

func restore(s State) { setMXCSR(uint32(s)) }
