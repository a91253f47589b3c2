//go:build !noasm

package isa

import "golang.org/x/sys/cpu"

// detect trusts that every processor with AVX2 and FMA converts halves
// (F16C): all that were sold do, and package cpu has no flag for it.
func detect() Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return Portable
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return AVX512
	}
	return AVX2
}
