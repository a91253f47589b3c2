package cpu

import (
	"testing"
	"time"
)

// spend runs a pace for some runs, each taking alone or together by its number
// of threads, and returns how many ran on one thread.
func spend(p *pace, runs int, alone, together time.Duration) (single int) {
	for range runs {
		if p.threads(2) == 1 {
			single++
			p.ran(alone)
		} else {
			p.ran(together)
		}
	}
	return single
}

func TestThePaceTakesTheFasterWay(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name            string
		alone, together time.Duration
		least, most     int // runs on one thread of 4096
	}{
		{"threads pay", 200 * us, 100 * us, 5, 12},
		{"threads pay a little", 110 * us, 100 * us, 20, 48},
		{"no difference", 100 * us, 100 * us, 20, 48},
		{"threads are in the way", 50 * us, 100 * us, 3800, 4080},
	} {
		if n := spend(&pace{}, 4096, c.alone, c.together); n < c.least || n > c.most {
			t.Errorf("%s: %d of 4096 runs on one thread, wanted %d to %d", c.name, n, c.least, c.most)
		}
	}
	var p pace
	spend(&p, 1024, 200*us, 100*us)
	spend(&p, 64, 200*us, 800*us) // another process takes a processor
	if n := spend(&p, 128, 200*us, 800*us); n < 96 {
		t.Errorf("%d of 128 runs on one thread while the others' processors are taken", n)
	}
	spend(&p, 2*longestAlone, 200*us, 100*us) // and gives it back
	if n := spend(&p, 128, 200*us, 100*us); n > 8 {
		t.Errorf("%d of 128 runs on one thread when the processors are free again", n)
	}
}

// A trial of one thread that is far slower costs one run, not several.
func TestAHopelessTrialIsShort(t *testing.T) {
	var p pace
	if n := spend(&p, firstTrial+2, 200, 100); n != 1 {
		t.Errorf("%d runs on one thread in the first trial, wanted 1", n)
	}
	if p.alone || p.trials != 0 {
		t.Errorf("after it: %+v", p)
	}
}
