//go:build !amd64 || noasm

package gemm

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func forLevel(isa.Level) *Kernels { return &Kernels{level: isa.Portable} }

// PeakFMA returns 0: there is no assembly to calibrate.
func PeakFMA(isa.Level, int) int { return 0 }
