//go:build !unix

package modelfmt

import "testing"

func perCore(b *testing.B, bytes int64, loop func()) {
	b.SetBytes(bytes)
	for b.Loop() {
		loop()
	}
}
