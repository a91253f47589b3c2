package sdk

import "github.com/hone-ml/hone/sdk/graph"

// Schedule gives the learning rate, or another runtime number, over time.
//
// The host receives the function "schedule": inputs step, epoch and total
// (u64[]) and monitored (f32[]), states, output rate (f32[]).
type Schedule interface {
	Rate(b *ScheduleBuilder) graph.Value
}

// ScheduleBuilder is a [graph.Builder] that knows the time.
type ScheduleBuilder struct {
	*graph.Builder
	t                             *tracer
	step, epoch, total, monitored graph.Value
}

// Step returns the number of updates made so far, u64[].
func (b *ScheduleBuilder) Step() graph.Value { return b.step }

// Epoch returns the number of epochs completed, u64[].
func (b *ScheduleBuilder) Epoch() graph.Value { return b.epoch }

// Total returns the number of updates that the training is to make, u64[].
func (b *ScheduleBuilder) Total() graph.Value { return b.total }

// Monitored returns the monitored figure of the last evaluation, f32[]; NaN
// before the first.
func (b *ScheduleBuilder) Monitored() graph.Value { return b.monitored }

// State declares a number that the schedule remembers; SetState replaces it.
func (b *ScheduleBuilder) State(name string, first float64) graph.Value {
	return b.Builder.State(name, graph.Scalar(graph.F32), graph.Decl{
		NonTrainable: true,
		Initializer:  b.t.attach(InitializerKind, Own(&fill{first}), graph.Scalar(graph.F32), nil),
	})
}

// fill starts a state at a number.
type fill struct{ value float64 }

func (f *fill) Init(b *InitBuilder) graph.Value { return b.Full(f.value) }

// Schedule applies a component of kind schedule under a scope, at the given
// step of a training of total updates: how schedules contain each other.
func (b *ScheduleBuilder) Schedule(scope string, c Component, step, total graph.Value) graph.Value {
	var name string
	var err error
	switch {
	case c.own != nil:
		s, ok := c.own.(Schedule)
		if !ok {
			return b.Failf("%s: %T is no schedule", scope, c.own)
		}
		name = b.t.freeName("schedule")
		err = b.t.schedule(name, s)
	case c.IsZero():
		return b.Failf("%s: no schedule is given", scope)
	default:
		name, err = b.t.supply(ScheduleKind, c, nil)
	}
	if err != nil {
		return b.Failf("%s: %v", scope, err)
	}
	return b.Call(name, scope, step, b.epoch, total, b.monitored)[0]
}

func (t *tracer) schedule(name string, s Schedule) error {
	b := &ScheduleBuilder{Builder: graph.NewBuilder(t.m, name, graph.Any), t: t}
	b.step = b.Input("step", graph.Scalar(graph.U64))
	b.epoch = b.Input("epoch", graph.Scalar(graph.U64))
	b.total = b.Input("total", graph.Scalar(graph.U64))
	b.monitored = b.Input("monitored", graph.Scalar(graph.F32))
	v := s.Rate(b)
	if v.Valid() && !v.Type().Equal(graph.Scalar(graph.F32)) {
		b.Failf("a rate is f32[], got %v", v.Type())
	}
	b.Output("rate", v)
	f, err := b.Finish()
	if err == nil {
		moveFirst(f, "rate")
	}
	return err
}
