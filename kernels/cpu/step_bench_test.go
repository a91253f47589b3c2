package cpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// A step is a training step as the host derives it, kept as text: its first line
// names the entry, the batch size and which parameter each result replaces.
type step struct {
	name, entry string
	batch       int64
	donate      []int
	module      *graph.Module
}

func readSteps(t testing.TB) []step {
	files, err := filepath.Glob("testdata/steps/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no steps: %v", err)
	}
	var out []step
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n")
		s := step{name: strings.TrimSuffix(filepath.Base(f), ".txt")}
		w := strings.Fields(head)
		if _, err := fmt.Sscanf(strings.Join(w[:4], " "), "entry %s batch %d", &s.entry, &s.batch); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, x := range w[5:] {
			var d int
			fmt.Sscan(x, &d)
			s.donate = append(s.donate, d)
		}
		if s.module, err = graph.ParseText(body); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out = append(out, s)
	}
	return out
}

// session compiles a step and fills its parameters: examples at random, a fifth of
// the pixels of images not zero as in those of digits, small weights, slots of
// zero, and orders and indices as they are. The function that it returns goes back to the first batch.
func (s *step) session(t testing.TB, b *Backend, profile bool) (kernels.Session, *kernels.Bindings, kernels.Pool, func()) {
	exec, err := b.Compile(context.Background(), s.module, s.entry, kernels.Options{
		Symbols: map[string]int64{"batch": s.batch}, Donate: s.donate, Profile: profile,
	})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := b.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	f := s.module.Func(s.entry, graph.Any)
	rng := rand.New(rand.NewPCG(1, 2))
	bind := &kernels.Bindings{}
	for i, v := range exec.Params() {
		n := 1
		for _, e := range v.Shape {
			n *= int(e)
		}
		data := make([]byte, n*v.DType.Size())
		p := f.Params[i]
		for k := range n {
			switch {
			case p.Role == graph.IndexRole || p.Name == "run:perm":
				binary.LittleEndian.PutUint64(data[8*k:], uint64(k))
			case v.DType == graph.I32:
				binary.LittleEndian.PutUint32(data[4*k:], uint32(rng.IntN(2)))
			case v.DType == graph.F32 && p.Role == graph.HyperRole:
				putFloat(data, k, 0.001)
			case v.DType == graph.F32 && p.Role == graph.ParamRole:
				putFloat(data, k, float32(rng.NormFloat64()*0.05))
			case v.DType == graph.F32 && p.Role == graph.Input && len(v.Shape) == 2:
				putFloat(data, k, float32(rng.NormFloat64()))
			case v.DType == graph.F32 && p.Role == graph.Input && rng.IntN(5) == 0:
				putFloat(data, k, rng.Float32())
			}
		}
		h, err := pool.New(v.DType, v.Shape)
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.Write(h, data); err != nil {
			t.Fatal(err)
		}
		bind.Params = append(bind.Params, h)
	}
	for i, v := range exec.Results() {
		h := kernels.Handle(0)
		if i >= len(s.donate) || s.donate[i] < 0 {
			if h, err = pool.New(v.DType, v.Shape); err != nil {
				t.Fatal(err)
			}
		}
		bind.Results = append(bind.Results, h)
	}
	session, err := exec.NewSession(pool)
	if err != nil {
		t.Fatal(err)
	}
	rewind := func() {
		for i, p := range f.Params {
			if p.Name == "run:cursor" {
				if err := pool.Write(bind.Params[i], make([]byte, 8)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return session, bind, pool, rewind
}

func putFloat(b []byte, i int, v float32) {
	binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
}

// BenchmarkStep runs training steps on one and two threads, in epochs of 300, and
// reports the time of a step in the best and in the median epoch. With the
// environment variable HONE_STEP_PROFILE it prints the time of every instruction.
func BenchmarkStep(b *testing.B) {
	for _, s := range readSteps(b) {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d", s.name, threads), func(b *testing.B) {
				c, err := New(Config{Threads: threads, shareAll: true})
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				profile := os.Getenv("HONE_STEP_PROFILE") != ""
				session, bind, _, rewind := s.session(b, c, profile)
				const epoch = 300 // of the 10,000 examples
				ctx := context.Background()
				for range 10 {
					rewind()
					session.Run(ctx, bind, epoch)
				}
				b.ReportAllocs()
				var times []float64
				for b.Loop() {
					rewind()
					start := time.Now()
					if _, err := session.Run(ctx, bind, epoch); err != nil {
						b.Fatal(err)
					}
					times = append(times, float64(time.Since(start).Nanoseconds())/1000/epoch)
				}
				slices.Sort(times)
				b.ReportMetric(times[0], "best-us/step")
				b.ReportMetric(times[len(times)/2], "us/step")
				b.ReportMetric(float64(s.batch)/times[len(times)/2]*1e6, "examples/s")
				if profile {
					for _, p := range session.Profile() {
						fmt.Printf("%9.2f us %8.2f GF/s %s %s\n", float64(p.Nanos)/float64(p.Calls)/1000, float64(p.FLOPs)*float64(p.Calls)/float64(p.Nanos), p.Name, p.Scope)
					}
				}
			})
		}
	}
}
