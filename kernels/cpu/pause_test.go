package cpu

import (
	"context"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
)

// TestTheCollectorStopsATrainingStepSoon collects garbage while steps run without
// an end. A thread of the team that could not be stopped between two kernels would
// hold the collector up until its program is over, for seconds here. What the
// system's scheduler adds is left out by looking at the median.
func TestTheCollectorStopsATrainingStepSoon(t *testing.T) {
	b, err := New(Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	steps := readSteps(t)
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == "mnist-mlp" })
	session, bind, _, _ := steps[i].session(t, b, false)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := session.Run(ctx, bind, 1<<30)
		done <- err
	}()
	read := func() *metrics.Float64Histogram {
		s := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
		metrics.Read(s)
		return s[0].Value.Float64Histogram()
	}
	before := slices.Clone(read().Counts)
	for range 30 {
		runtime.GC()
	}
	after := read()
	stop()
	if err := <-done; err != context.Canceled {
		t.Fatal(err)
	}
	total, seen := uint64(0), uint64(0)
	for i, n := range after.Counts {
		total += n - before[i]
	}
	for i, n := range after.Counts {
		if seen += n - before[i]; 2*seen >= total {
			t.Logf("%d stops, half of them within %v s", total, after.Buckets[i+1])
			if after.Buckets[i+1] > 0.05 {
				t.Errorf("half of %d stops took longer than %v s", total, after.Buckets[i])
			}
			return
		}
	}
}
