package cpu

import "time"

// pace chooses how many threads run a program: all of the team, or one where
// that is faster, as it is for tiny programs and while other processes take the
// processors: threads that wait for one another are as slow as the slowest. Both
// ways are measured, the slower one ever more rarely. Bits do not depend on it.
type pace struct {
	alone    bool          // one thread is in use
	recent   time.Duration // a step's time in the present way, smoothed
	trial    time.Duration // sum over the runs of the present trial of the other
	trials   int           // runs that the trial has left
	wait     int           // runs until the next trial
	interval int
}

const (
	firstTrial  = 16 // runs before the first trial
	trialRuns   = 4
	longestWait = 2048
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
		p.trial += per
		if p.trials--; p.trials > 0 {
			return
		}
		if other := p.trial / trialRuns; other < p.recent {
			p.alone, p.recent, p.interval = !p.alone, other, firstTrial
		} else {
			p.interval = min(2*p.interval, longestWait)
		}
		p.wait = p.interval
		return
	}
	if p.interval == 0 {
		p.interval, p.wait, p.recent = firstTrial, firstTrial, per
	}
	p.recent += (per - p.recent) / 8
	if per > 4*p.recent && p.wait > firstTrial {
		p.wait, p.interval = firstTrial, firstTrial // something has changed
	}
	if p.wait--; p.wait <= 0 {
		p.trials, p.trial = trialRuns, 0
	}
}
