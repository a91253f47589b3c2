package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
	"github.com/hone-ml/hone/sdk/graph"
)

// randomRows writes the examples of widedeep: those of the peers in number and
// kind.
func (b *bench) randomRows(dir string) error {
	if b.rows != "" {
		return nil
	}
	const n, width = 26048, 108
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := make([]byte, 0, 4*n*width), make([]byte, 0, 4*n)
	for range n * width {
		x = binary.LittleEndian.AppendUint32(x, math.Float32bits(float32(rng.NormFloat64())))
	}
	for range n {
		y = binary.LittleEndian.AppendUint32(y, rng.Uint32N(2))
	}
	path := filepath.Join(dir, "rows.npz")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z := npz.NewWriter(f)
	if err := z.Add(modelfmt.TensorInfo{Name: "features", DType: modelfmt.F32, Shape: []int{n, width}}, bytes.NewReader(x)); err != nil {
		return err
	}
	if err := z.Add(modelfmt.TensorInfo{Name: "label", DType: modelfmt.I32, Shape: []int{n}}, bytes.NewReader(y)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	b.rows = path
	return f.Close()
}

// products compares square matrix products on one thread and on all.
func (b *bench) products(ctx context.Context) error {
	sizes := []int{256, 512, 1024, 2048}
	all := runtime.GOMAXPROCS(0)
	for _, threads := range []int{1, all} {
		ours, theirs := map[int][]float64{}, map[int][]float64{}
		for range b.rounds {
			for _, n := range sizes {
				v, err := product(ctx, n, threads)
				if err != nil {
					return err
				}
				ours[n] = append(ours[n], v)
			}
			if b.peers == "" || b.skipped["torchgemm"] {
				continue
			}
			r, err := b.script(ctx, "torch", []string{"gemm"}, fmt.Sprint("THREADS=", threads))
			if err != nil {
				b.skipped["torchgemm"] = true
				fmt.Printf("gemm: torch is skipped: %v\n", err)
				continue
			}
			for _, n := range sizes {
				if v, ok := r[fmt.Sprint("gflops_", n)].(float64); ok {
					theirs[n] = append(theirs[n], v)
				}
			}
		}
		for _, n := range sizes {
			v := median(ours[n])
			fmt.Printf("gemm: %d on %d threads: %.1f GFLOP/s, %.0f%% of the calibrated peak", n, threads, v, 100*v*1e9*float64(all)/(b.peak*float64(threads)))
			if t := theirs[n]; len(t) > 0 {
				fmt.Printf("; torch %.1f, hone is %.2fx", median(t), v/median(t))
			}
			fmt.Println()
		}
		if all == 1 {
			break
		}
	}
	return nil
}

// product returns the GFLOP/s of the fastest of 30 products, the peers' measure.
func product(ctx context.Context, n, threads int) (float64, error) {
	c, err := cpu.New(cpu.Config{Threads: threads})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	m := graph.NewModule()
	g := graph.NewBuilder(m, "product", graph.Any)
	t := graph.T(graph.F32, int64(n), int64(n))
	g.Output("y", g.Input("a", t).MatMul(g.Input("b", t)))
	if _, err := g.Finish(); err != nil {
		return 0, err
	}
	exec, err := c.Compile(ctx, m, "product", kernels.Options{})
	if err != nil {
		return 0, err
	}
	pool, err := c.NewPool("")
	if err != nil {
		return 0, err
	}
	bind := &kernels.Bindings{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		data := make([]byte, 0, 4*n*n)
		for range n * n {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(rng.Float32()))
		}
		h, err := pool.Register(kernels.View{DType: graph.F32, Shape: []int64{int64(n), int64(n)}, Data: data})
		if err != nil {
			return 0, err
		}
		bind.Params = append(bind.Params, h)
	}
	bind.Params, bind.Results = bind.Params[:2], bind.Params[2:]
	s, err := exec.NewSession(pool)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	best := math.Inf(1)
	for range 30 {
		start := time.Now()
		if _, err := s.Run(ctx, bind, 1); err != nil {
			return 0, err
		}
		best = min(best, time.Since(start).Seconds())
	}
	return 2 * math.Pow(float64(n), 3) / best / 1e9, nil
}

// latency prints the time of one prediction through the Go API.
func (b *bench) latency(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "PredictOne", "-benchtime", "5000x", "./host").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the benchmark of predictions: %w\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "BenchmarkPredictOne") {
			fmt.Print("latency: ", line)
		}
	}
	return nil
}
