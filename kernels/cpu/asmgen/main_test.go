package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCommitted holds the committed assembly to what the generator writes.
func TestCommitted(t *testing.T) {
	committed := filepath.Join("..", "internal", "asm")
	for _, f := range files {
		for _, w := range []width{avx2, avx512} {
			folder := t.TempDir()
			if err := write(folder, f.pkg, w, f.emit); err != nil {
				t.Fatalf("%s for %s: %v", f.pkg, w.name, err)
			}
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				want, err := os.ReadFile(filepath.Join(folder, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				name := filepath.Join(committed, f.pkg, e.Name())
				if got, err := os.ReadFile(name); err != nil {
					t.Error(err)
				} else if !bytes.Equal(got, want) {
					t.Errorf("%s is not what the generator writes: run go generate ./kernels/cpu/internal/asm", name)
				}
			}
		}
	}
}
