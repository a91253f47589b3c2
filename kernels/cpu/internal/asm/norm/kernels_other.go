//go:build !amd64 || noasm

package norm

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func functionsFor(isa.Level) *functions { return portable() }
