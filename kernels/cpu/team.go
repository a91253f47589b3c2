package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// team is the worker threads of one backend. Run makes all of them, the caller
// being number 0, execute one function together; barrier lets them wait for one
// another inside it. Workers spin for a while before they park, since the steps
// of small models are shorter than waking a thread.
type team struct {
	size int

	mu   sync.Mutex // one program at a time
	work func(tid int)
	gen  atomic.Uint32 // number of the program being run
	done atomic.Int32  // workers that finished it
	wake []chan struct{}
	idle []atomic.Bool
	quit atomic.Bool

	arrived atomic.Int32
	phase   atomic.Uint32
}

// spinTime is how long a worker waits awake for the next program.
const spinTime = 60 * time.Microsecond

func newTeam(size int) *team {
	t := &team{size: size, wake: make([]chan struct{}, size), idle: make([]atomic.Bool, size)}
	for i := 1; i < size; i++ {
		t.wake[i] = make(chan struct{}, 1)
		go t.worker(i)
	}
	return t
}

func (t *team) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quit.Swap(true) {
		return
	}
	for i := 1; i < t.size; i++ {
		select {
		case t.wake[i] <- struct{}{}:
		default:
		}
	}
}

func (t *team) worker(tid int) {
	seen := uint32(0)
	for {
		if !t.await(tid, seen) {
			return
		}
		seen = t.gen.Load()
		t.work(tid)
		t.done.Add(1)
	}
}

// await returns when there is a program after the one numbered seen, false when
// the team is closed.
func (t *team) await(tid int, seen uint32) bool {
	start := time.Now()
	for spins := 0; ; spins++ {
		if t.gen.Load() != seen {
			return true
		}
		if t.quit.Load() {
			return false
		}
		if spins&63 == 63 {
			if time.Since(start) > spinTime {
				t.idle[tid].Store(true)
				if t.gen.Load() == seen && !t.quit.Load() {
					<-t.wake[tid]
				}
				t.idle[tid].Store(false)
				start = time.Now()
				continue
			}
			runtime.Gosched()
		}
		pause()
	}
}

// run executes work on every thread of the team and returns when all are done.
func (t *team) run(work func(tid int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size == 1 {
		work(0)
		return
	}
	t.work = work
	t.done.Store(0)
	t.gen.Add(1)
	for i := 1; i < t.size; i++ {
		if t.idle[i].Load() {
			select {
			case t.wake[i] <- struct{}{}:
			default:
			}
		}
	}
	work(0)
	for spins := 0; t.done.Load() != int32(t.size-1); spins++ {
		relax(spins)
	}
}

// barrier returns when every thread of the team has called it.
func (t *team) barrier() {
	if t.size == 1 {
		return
	}
	phase := t.phase.Load()
	if t.arrived.Add(1) == int32(t.size) {
		t.arrived.Store(0)
		t.phase.Add(1)
		return
	}
	for spins := 0; t.phase.Load() == phase; spins++ {
		relax(spins)
	}
}

// relax waits a moment; longer waits let other threads of the process run, as
// they must where there are fewer processors than threads.
func relax(spins int) {
	if spins > 1000 {
		if spins > 20000 {
			time.Sleep(20 * time.Microsecond)
			return
		}
		runtime.Gosched()
		return
	}
	pause()
}

//go:noinline
func pause() {}

// span returns thread tid's part of n items in units of grain.
func span(n, grain, tid, threads int) (lo, hi int) {
	units := (n + grain - 1) / grain
	lo = units * tid / threads * grain
	hi = min(units*(tid+1)/threads*grain, n)
	return min(lo, n), hi
}
