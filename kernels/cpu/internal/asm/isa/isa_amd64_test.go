//go:build !noasm

package isa

import (
	"testing"

	"golang.org/x/sys/cpu"
)

// A processor, or a machine that hides a part of it, that lacks one of the
// instruction sets runs the level below.
func TestDetect(t *testing.T) {
	x := &cpu.X86
	old := *x
	defer func() { *x = old }()
	tests := []struct {
		name string
		has  *bool
		want Level // without it
	}{
		{"AVX2", &x.HasAVX2, Portable},
		{"FMA", &x.HasFMA, Portable},
		{"F16C", &x.HasF16C, Portable},
		{"BMI1", &x.HasBMI1, Portable},
		{"AVX-512 F", &x.HasAVX512F, AVX2},
		{"AVX-512 BW", &x.HasAVX512BW, AVX2},
		{"AVX-512 DQ", &x.HasAVX512DQ, AVX2},
		{"AVX-512 VL", &x.HasAVX512VL, AVX2},
		{"BMI2", &x.HasBMI2, AVX2},
		{"POPCNT", &x.HasPOPCNT, AVX2},
	}
	for _, tt := range tests {
		*tt.has = true
	}
	if got := Detect(); got != AVX512 {
		t.Errorf("with all: %v, want %v", got, AVX512)
	}
	for _, tt := range tests {
		*tt.has = false
		if got := Detect(); got != tt.want {
			t.Errorf("without %s: %v, want %v", tt.name, got, tt.want)
		}
		*tt.has = true
	}
}
