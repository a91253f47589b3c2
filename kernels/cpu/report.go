package cpu

import "github.com/hone-ml/hone/kernels"

// report says what lowering did, as the passes before it say of themselves.
func (l *lowering) report() []kernels.PassReport {
	loops, fused := int64(0), int64(0)
	for _, u := range l.sched {
		if u.loop && len(u.nodes) > 1 {
			loops++
			fused += int64(len(u.nodes))
		}
	}
	reused, asked := int64(0), int64(0)
	for _, b := range l.buffers {
		reused += int64(max(len(b.values)-1, 0))
		asked += b.bytes
	}
	meetings := int64(0)
	for i := range l.prog.code {
		if l.prog.code[i].meet {
			meetings++
		}
	}
	count := func(name string, did ...kernels.Count) kernels.PassReport {
		return kernels.PassReport{Name: name, Did: did}
	}
	return []kernels.PassReport{
		count("chain fusion", kernels.Count{What: "loops", N: loops}, kernels.Count{What: "nodes in them", N: fused}),
		count("updates in the gradient", kernels.Count{What: "groups that run chunk by chunk", N: int64(l.prog.joined)}),
		count("weights packed", kernels.Count{What: "filters", N: int64(l.prog.packs)}),
		count("schedule", kernels.Count{What: "instructions", N: int64(len(l.prog.code))}, kernels.Count{What: "meetings of the threads", N: meetings}),
		count("in place", kernels.Count{What: "updates written over what they replace", N: int64(len(l.donatedTo))}, kernels.Count{What: "operands overwritten", N: reused}),
		count("liveness", kernels.Count{What: "KiB of values", N: asked >> 10}, kernels.Count{What: "KiB of memory they share", N: l.prog.arena >> 10}),
	}
}
