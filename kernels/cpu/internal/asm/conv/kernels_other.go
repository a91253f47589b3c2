//go:build !amd64 || noasm

package conv

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func windowsFor(isa.Level) *windows { return portableWindows() }
