package modelfmt

import "sync"

// meter serialises the reports of several goroutines.
type meter struct {
	mu    sync.Mutex
	f     Progress
	done  int64
	total int64
}

func newMeter(f Progress, total int64) *meter {
	m := &meter{f: f, total: total}
	m.add(0)
	return m
}

func (m *meter) add(n int64) {
	if m.f == nil {
		return
	}
	m.mu.Lock()
	m.done += n
	m.f(m.done, m.total)
	m.mu.Unlock()
}
