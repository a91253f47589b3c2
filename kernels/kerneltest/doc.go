// Package kerneltest is the suite that every backend passes: [Run] compares it
// with kernels/reference op by op, on shapes and values that hurt, on composites
// and on random graphs, and checks what the interfaces of package kernels
// promise of pools, donation, sessions, contexts and limits.
//
// A backend's test is three lines:
//
//	func TestConformance(t *testing.T) {
//		kerneltest.Run(t, func(t testing.TB) kernels.Backend { return cpu.New(2) }, kerneltest.Options{})
//	}
//
// Start reading at run.go; bound.go says how far a result may be from the
// reference, generate.go makes the random graphs and shrink.go makes a failing
// one small. The package knows nothing of any backend.
package kerneltest
