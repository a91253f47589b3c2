//go:build !amd64 || noasm

package optim

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func forLevel(isa.Level) *Kernels { return portable() }
