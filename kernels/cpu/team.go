package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/fpenv"
)

// team is the worker threads of one backend. run makes some of them, the caller
// being number 0, execute one function together; barrier lets them wait for one
// another inside it. Workers spin for a while before they park, since the steps
// of small models are shorter than waking a thread.
//
// Every worker keeps its operating system thread, on which denormal numbers
// count as zero; the caller's thread is set so during a run and then restored.
type team struct {
	size int
	// crowded says that there are more threads than the Go scheduler runs at
	// once, so that waiting must let others run.
	crowded bool

	mu   sync.Mutex // one program at a time
	work runner
	wake []chan struct{}
	idle []atomic.Bool
	quit atomic.Bool

	_       [lineBytes]byte
	gen     atomic.Uint64 // number of the program being run, and its threads
	_       [lineBytes]byte
	done    atomic.Int32 // workers that finished it
	_       [lineBytes]byte
	arrived atomic.Int32
	_       [lineBytes]byte
	phase   atomic.Uint32
	_       [lineBytes]byte
}

// runner is what a team executes: each thread calls part.
type runner interface{ part(tid, threads int) }

// spinTime is how long a worker waits awake for the next program.
const spinTime = 60 * time.Microsecond

// maxTeam bounds the threads of a team, which count in the low bits of gen.
const maxTeam = 1024

func newTeam(size int) *team {
	t := &team{size: size, wake: make([]chan struct{}, size), idle: make([]atomic.Bool, size), crowded: size > runtime.GOMAXPROCS(0)}
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
		t.rouse(i)
	}
}

func (t *team) rouse(tid int) {
	select {
	case t.wake[tid] <- struct{}{}:
	default:
	}
}

func (t *team) worker(tid int) {
	// The thread ends with the worker, so its mode needs no restoring.
	runtime.LockOSThread()
	fpenv.FlushDenormals()
	seen := uint64(0)
	for {
		var ok bool
		if seen, ok = t.await(tid, seen); !ok {
			return
		}
		if threads := int(seen % (2 * maxTeam)); tid < threads {
			t.work.part(tid, threads)
			t.done.Add(1)
		}
	}
}

// await returns the next program after the one seen, false when the team is
// closed.
func (t *team) await(tid int, seen uint64) (uint64, bool) {
	var start time.Time
	for spins := 0; ; spins++ {
		if g := t.gen.Load(); g != seen {
			return g, true
		}
		if t.quit.Load() {
			return 0, false
		}
		if spins&255 == 255 {
			switch now := time.Now(); {
			case start.IsZero():
				start = now
			case t.crowded || now.Sub(start) > spinTime:
				t.idle[tid].Store(true)
				if t.gen.Load() == seen && !t.quit.Load() {
					<-t.wake[tid]
				}
				t.idle[tid].Store(false)
				start = time.Time{}
			}
		}
		pause()
	}
}

// run executes work on the given number of threads of the team and returns when
// all are done. The caller holds t.mu.
func (t *team) run(threads int, work runner) {
	runtime.LockOSThread()
	mode := fpenv.FlushDenormals()
	if threads > 1 {
		t.work = work
		t.done.Store(0)
		t.gen.Store((t.gen.Load()/(2*maxTeam)+1)*(2*maxTeam) + uint64(threads))
		for i := 1; i < threads; i++ {
			if t.idle[i].Load() {
				t.rouse(i)
			}
		}
	}
	work.part(0, threads)
	if threads > 1 {
		for spins := 0; t.done.Load() != int32(threads-1); spins++ {
			t.relax(spins)
		}
	}
	fpenv.Restore(mode)
	runtime.UnlockOSThread()
}

// barrier returns when all threads that run the program have called it.
func (t *team) barrier(threads int) {
	if threads == 1 {
		return
	}
	phase := t.phase.Load()
	if t.arrived.Add(1) == int32(threads) {
		t.arrived.Store(0)
		t.phase.Add(1)
		return
	}
	for spins := 0; t.phase.Load() == phase; spins++ {
		t.relax(spins)
	}
}

// longWait is the number of moments, some milliseconds of them, after which a
// thread of the team is presumed not to run. Shorter waits are the unevenness of
// large instructions: to sleep then costs more than it gives, as a processor that
// has gone idle, of a virtual machine above all, comes back late.
const longWait = 2 << 20

// relax waits a moment. Long waits give the processor away.
func (t *team) relax(spins int) {
	if t.crowded && spins > 500 {
		runtime.Gosched()
	}
	if spins > longWait {
		time.Sleep(20 * time.Microsecond)
		return
	}
	pause()
}

//go:noinline
func pause() {}

// span returns thread tid's part of n items in units of grain.
func span(n, grain, tid, threads int) (lo, hi int) {
	if threads == 1 {
		return 0, n
	}
	units := (n + grain - 1) / grain
	lo = units * tid / threads * grain
	hi = min(units*(tid+1)/threads*grain, n)
	return min(lo, n), hi
}
