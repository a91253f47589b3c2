package cpu

import "time"

// pace chooses how many threads run a program: all of the team, or one where
// that is faster, as it is for tiny programs and while other processes take the
// processors: threads that wait for one another are as slow as the slowest. Both
// ways are measured, the slower one ever more rarely. Bits do not depend on it.
type pace struct {
	all, one time.Duration // a step's time, smoothed
	alone    bool          // one thread is in use
	wait     int           // runs until the other way is tried again
	interval int
}

const (
	firstTrial  = 16
	longestWait = 1024
)

// threads returns the number of threads for the next run.
func (p *pace) threads(size int) int {
	if size == 1 {
		return 1
	}
	if p.all == 0 {
		return size
	}
	alone := p.alone
	if p.wait == 0 {
		alone = !alone
	}
	if alone {
		return 1
	}
	return size
}

func smooth(old, now time.Duration) time.Duration {
	if old == 0 {
		return now
	}
	return old + (now-old)/8
}

// ran takes the time of a step of the last run.
func (p *pace) ran(threads int, per time.Duration) {
	per = max(per, 1)
	tried := p.all != 0 && p.wait == 0
	if threads == 1 {
		if tried && !p.alone {
			p.one = per
		} else {
			p.one = smooth(p.one, per)
		}
	} else {
		if tried && p.alone {
			p.all = per
		} else {
			p.all = smooth(p.all, per)
		}
	}
	switch {
	case p.interval == 0:
		p.interval = firstTrial
		p.wait = p.interval
	case tried:
		if alone := p.one < p.all; alone != p.alone {
			p.alone = alone
			p.interval = firstTrial
		} else {
			p.interval = min(2*p.interval, longestWait)
		}
		p.wait = p.interval
	default:
		p.wait--
		// Much slower than it was: something has changed.
		if now := p.all; !p.alone && per > 3*now && p.wait > firstTrial {
			p.wait, p.interval = firstTrial, firstTrial
		}
	}
}
