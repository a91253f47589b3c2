package isa

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	tests := []struct {
		value   string
		best    Level
		want    Level
		wantErr string
	}{
		{"", Portable, Portable, ""},
		{"", AVX2, AVX2, ""},
		{"", AVX512, AVX512, ""},
		{"portable", AVX512, Portable, ""},
		{"avx2", AVX512, AVX2, ""},
		{"avx512", AVX512, AVX512, ""},
		{"avx512", AVX2, 0, "at most avx2"},
		{"avx2", Portable, 0, "at most portable"},
		{"sse", AVX512, 0, "unknown variant"},
		{"AVX2", AVX512, 0, "unknown variant"},
	}
	for _, tt := range tests {
		got, err := choose(tt.value, tt.best)
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("choose(%q, %v): error %v, want one with %q", tt.value, tt.best, err, tt.wantErr)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("choose(%q, %v) = %v, %v, want %v", tt.value, tt.best, got, err, tt.want)
		}
	}
}

func TestSupported(t *testing.T) {
	ls := Supported()
	if ls[0] != Portable || ls[len(ls)-1] != Detect() {
		t.Fatalf("Supported() = %v with Detect() = %v", ls, Detect())
	}
	for _, l := range ls {
		if got, err := Select(l.String()); err != nil || got != l {
			t.Errorf("Select(%q) = %v, %v", l, got, err)
		}
	}
}
