package main

import (
	"slices"
	"testing"

	"github.com/mmcloughlin/avo/pass"
)

// TestInstructionSets holds each variant to what package isa asks of a
// processor before it chooses it.
func TestInstructionSets(t *testing.T) {
	asked := []string{"CMOV", "MMX+", "SSE", "SSE2", "AVX", "AVX2", "FMA3", "F16C", "BMI"} // the first four all of amd64 have
	for _, w := range []width{avx2, avx512} {
		if w.wide() {
			asked = append(asked, "AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL", "BMI2", "POPCNT")
		}
		for _, f := range files {
			g := newGen(w)
			f.emit(g)
			file, err := g.Result()
			if err != nil {
				t.Fatal(err)
			}
			if err := pass.Compile.Execute(file); err != nil {
				t.Fatal(err)
			}
			for _, fn := range file.Functions() {
				for _, set := range fn.ISA {
					if !slices.Contains(asked, set) {
						t.Errorf("%s: %s takes %s, which is not asked for", f.pkg, fn.Name, set)
					}
				}
			}
		}
	}
}
