//go:build !amd64 || noasm

package philox

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func forLevel(isa.Level) *Kernels { return portable() }
