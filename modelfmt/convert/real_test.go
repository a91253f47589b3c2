package convert

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/hone-ml/hone/modelfmt"
)

// TestRealWeights prints what real weights take, beside general compressors. It
// runs when HONE_WEIGHTS names a file of float32 weights that [Open] can read:
//
//	HONE_WEIGHTS=model.safetensors go test -run RealWeights -v ./modelfmt/convert
func TestRealWeights(t *testing.T) {
	path := os.Getenv("HONE_WEIGHTS")
	if path == "" {
		t.Skip("HONE_WEIGHTS names no file of weights")
	}
	src, _, err := Open(path, modelfmt.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	type tensor struct {
		info modelfmt.TensorInfo
		data []byte
	}
	var f32, bf16, pruned []tensor
	for _, info := range src.Tensors() {
		if info.DType != modelfmt.F32 {
			continue
		}
		r, err := src.TensorReader(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		f32 = append(f32, tensor{info, b})
		half := info
		half.DType = modelfmt.BF16
		bf16 = append(bf16, tensor{half, toBF16(b)})
		if len(info.Shape) >= 2 {
			pruned = append(pruned, tensor{info, prune(b, 0.9)})
		}
	}
	for _, set := range []struct {
		name    string
		tensors []tensor
		most    float64
	}{{"f32", f32, 0.84}, {"bf16", bf16, 0.68}, {"90% pruned f32", pruned, 0.11}} {
		var all []byte
		var out bytes.Buffer
		w, err := modelfmt.NewWriter(&out, modelfmt.WriterOptions{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, x := range set.tensors {
			if err := w.AddTensor(x.info, x.data); err != nil {
				t.Fatal(err)
			}
			all = append(all, x.data...)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		z, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(3)))
		zs := len(z.EncodeAll(all, nil))
		pct := func(n int) string { return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(len(all))) }
		t.Logf("%-15s raw %d bytes: hone %s (%.2f GB/s), klauspost zstd level 3 %s", set.name, len(all), pct(out.Len()),
			float64(len(all))/took.Seconds()/1e9, pct(zs))
		if dir := os.Getenv("HONE_WEIGHTS_OUT"); dir != "" {
			os.WriteFile(fmt.Sprintf("%s/%s.raw", dir, set.name), all, 0o600)
		}
		if ratio := float64(out.Len()) / float64(len(all)); ratio > set.most {
			t.Errorf("%s: %.4f of its size, and at most %.2f is wanted", set.name, ratio, set.most)
		}
	}
}

// toBF16 rounds to nearest, ties to even.
func toBF16(b []byte) []byte {
	out := make([]byte, 0, len(b)/2)
	for ; len(b) > 0; b = b[4:] {
		u := binary.LittleEndian.Uint32(b)
		out = binary.LittleEndian.AppendUint16(out, uint16((u+0x7fff+(u>>16&1))>>16))
	}
	return out
}

// prune zeroes the given share of smallest magnitudes.
func prune(b []byte, share float64) []byte {
	mag := make([]float64, len(b)/4)
	for i := range mag {
		mag[i] = math.Abs(float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))))
	}
	sorted := append([]float64(nil), mag...)
	sort.Float64s(sorted)
	cut := sorted[int(share*float64(len(sorted)))]
	out := bytes.Clone(b)
	for i, m := range mag {
		if m < cut {
			clear(out[4*i : 4*i+4])
		}
	}
	return out
}
