//go:build !noasm

package isa

import "golang.org/x/sys/cpu"

// detect asks for what the generator's TestInstructionSets lets each variant
// take. Package cpu reports vectors of a width only where the operating system
// saves their registers too: XCR0 has bits 1 and 2 for AVX2, and 5 to 7, masks
// and both halves of the 512-bit registers, for AVX-512.
func detect() Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasF16C || !x.HasBMI1:
		return Portable
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL || !x.HasBMI2 || !x.HasPOPCNT:
		return AVX2
	}
	return AVX512
}
