//go:build !amd64 || noasm

package vec

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func forLevel(isa.Level) *Kernels { return portable() }
