package cpu

import (
	"slices"
	"time"
)

// pace chooses how many threads run a program: all of the team, or one where
// that is faster, as it is for tiny programs and while other processes take the
// processors: threads that wait for one another are as slow as the slowest. Both
// ways are measured, the slower one ever more rarely; the fastest of a few runs
// counts, as a run may wait for a thread to wake. One thread waits for none: a
// run of it that is far slower ends its trial. Bits do not depend on it.
type pace struct {
	alone    bool             // one thread is in use
	recent   [4]time.Duration // a step's time in the last runs of the present way
	next     int
	settled  time.Duration // what it was when the way was chosen
	trial    time.Duration // the fastest run of the present trial of the other way
	trials   int           // runs that the trial has left
	wait     int           // runs until the next trial
	interval int
}

const (
	firstTrial  = 16 // runs before the first trial
	trialRuns   = 4
	longestWait = 2048
	// longestAlone bounds the runs on one thread between two trials: what took
	// the other processors may be gone.
	longestAlone = 128
)

// threads returns the number of threads for the next run.
func (p *pace) threads(size int) int {
	if size == 1 || p.alone != (p.trials > 0) {
		return 1
	}
	return size
}

// ran takes the time of a step of the last run.
func (p *pace) ran(per time.Duration) {
	per = max(per, 1)
	if p.trials > 0 {
		p.trial = min(p.trial, per)
		present := slices.Min(p.recent[:])
		if p.trials--; p.trials > 0 && (p.alone || p.trial < present+present/4) {
			return
		}
		p.trials = 0
		if p.trial < present-present/16 {
			p.alone, p.interval, present = !p.alone, firstTrial, p.trial
			for i := range p.recent {
				p.recent[i] = present
			}
		} else {
			p.interval *= 2
		}
		p.interval = min(p.interval, longestWait)
		if p.alone {
			p.interval = min(p.interval, longestAlone)
		}
		p.settled, p.wait = present, p.interval
		return
	}
	if p.interval == 0 {
		p.interval, p.wait, p.settled = firstTrial, firstTrial, per
		for i := range p.recent {
			p.recent[i] = per
		}
	}
	p.recent[p.next] = per
	p.next = (p.next + 1) % len(p.recent)
	present := slices.Min(p.recent[:])
	p.settled = min(p.settled, present)
	if present > p.settled+p.settled/2 {
		p.wait, p.settled = min(p.wait, trialRuns), present // something has changed
	}
	if p.wait--; p.wait <= 0 {
		p.trials, p.trial = trialRuns, time.Hour
	}
}
