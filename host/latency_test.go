package host

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hone-ml/hone/sdk/graph"
)

// idxFolder makes the files of a small set of 28x28 images.
func idxFolder(tb testing.TB, n int) string {
	dir := tb.TempDir()
	for _, part := range []string{"train", "t10k"} {
		images := binary.BigEndian.AppendUint32(nil, 0x803)
		labels := binary.BigEndian.AppendUint32(nil, 0x801)
		for _, k := range []int{n, 28, 28} {
			images = binary.BigEndian.AppendUint32(images, uint32(k))
		}
		labels = binary.BigEndian.AppendUint32(labels, uint32(n))
		for i := range n {
			labels = append(labels, byte(i%10))
			for j := range 28 * 28 {
				images = append(images, byte(i*j%251))
			}
		}
		for name, b := range map[string][]byte{part + "-images-idx3-ubyte": images, part + "-labels-idx1-ubyte": labels} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return dir
}

// BenchmarkPredictOne is the time from one image to the outputs of the network
// of examples/mnist-mlp, through Model.Predict: one call after another, and calls
// a millisecond apart, between which threads go to sleep.
func BenchmarkPredictOne(b *testing.B) {
	ctx := context.Background()
	out := filepath.Join(b.TempDir(), "m.hone")
	p, err := Load(filepath.Join("..", "examples", "mnist-mlp"), Options{Builtin: bundle, Vars: []string{"mnist=" + idxFolder(b, 64)}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := p.Train(ctx, TrainOptions{Out: out}); err != nil {
		b.Fatal(err)
	}
	m, err := Open(out, Options{NoPlugins: true})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	x := graph.NewTensor(graph.F32, 1, 28, 28)
	for i := range x.Len() {
		binary.LittleEndian.PutUint32(x.Data[4*i:], math.Float32bits(float32(i%7)/7))
	}
	in := map[string]*Tensor{"image": x}
	for name, pause := range map[string]time.Duration{"at once": 0, "now and then": time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				if pause > 0 {
					time.Sleep(pause)
				}
				start := time.Now()
				if _, err := m.Predict(ctx, in); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "us-median")
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "us-99%")
		})
	}
}
