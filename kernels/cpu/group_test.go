package cpu

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

func TestAQueueGivesEveryRowOnceAStep(t *testing.T) {
	const rows, threads = 1000, 4
	queues := make([]queue, threads)
	var taken [rows]atomic.Int32
	for step := uint16(65530); step != 20; step++ {
		var wg sync.WaitGroup
		for tid := range threads {
			wg.Go(func() {
				for k := range threads {
					owner := (tid + k) % threads
					lo, hi := span(rows, 1, owner, threads)
					for {
						from, to := queues[owner].take(step, lo, hi, 7, 70, k > 0)
						if from == to {
							break
						}
						for i := from; i < to; i++ {
							taken[i].Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
		for i := range taken {
			if n := taken[i].Swap(0); n != 1 {
				t.Fatalf("step %d: row %d was taken %d times", step, i, n)
			}
		}
	}
}

// TestStepsGiveTheSameBitsOnAnyThreads runs real training steps.
func TestStepsGiveTheSameBitsOnAnyThreads(t *testing.T) {
	for _, s := range readSteps(t) {
		t.Run(s.name, func(t *testing.T) {
			var want [][]byte
			for _, threads := range []int{1, 2, 3, 5} {
				got := s.train(t, Config{Threads: threads, shareAll: true}, 1, 2, 7)
				if want == nil {
					want = got
				}
				for i := range got {
					if !bytes.Equal(got[i], want[i]) {
						t.Fatalf("%d threads: parameter %d differs from that of one thread", threads, i)
					}
				}
			}
		})
	}
}

// train returns the parameters after the given numbers of steps.
func (s *step) train(t *testing.T, c Config, steps ...int) [][]byte {
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	session, bind, pool, _ := s.session(t, b, false)
	for _, n := range steps {
		if done, err := session.Run(context.Background(), bind, n); err != nil || done != n {
			t.Fatal(done, err)
		}
	}
	got, err := pool.Snapshot(context.Background(), bind.Params)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestStepsGiveTheSameBitsOnEitherAssembly runs them with both kernel sets.
func TestStepsGiveTheSameBitsOnEitherAssembly(t *testing.T) {
	if best := isa.Detect(); best < isa.AVX512 {
		t.Skipf("this processor or build runs at most %v", best)
	}
	for _, s := range readSteps(t) {
		t.Run(s.name, func(t *testing.T) {
			want := s.train(t, Config{Threads: 2, Variant: "avx2"}, 1, 4)
			for i, got := range s.train(t, Config{Threads: 2, Variant: "avx512"}, 1, 4) {
				if !bytes.Equal(got, want[i]) {
					t.Fatalf("parameter %d of AVX-512 differs from that of AVX2", i)
				}
			}
		})
	}
}

func TestStepsAllocateNothing(t *testing.T) {
	for _, s := range readSteps(t) {
		t.Run(s.name, func(t *testing.T) {
			b, err := New(Config{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			session, bind, _, _ := s.session(t, b, false)
			run := func() {
				if _, err := session.Run(context.Background(), bind, 3); err != nil {
					t.Fatal(err)
				}
			}
			for range 50 {
				run() // buffers grow with the first steps, on either number of threads
			}
			if n := testing.AllocsPerRun(50, run); n != 0 {
				t.Errorf("%v allocations in 3 steps", n)
			}
		})
	}
}
