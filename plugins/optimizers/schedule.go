package optimizers

import (
	"math"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Rates are computed in f32. Steps are counted in integers where a rate jumps,
// so that it does so at the very step.

func number(b *sdk.ScheduleBuilder, x float64) graph.Value { return b.Scalar(graph.F32, x) }

func count(b *sdk.ScheduleBuilder, n int) graph.Value { return b.Scalar(graph.U64, float64(n)) }

func float(v graph.Value) graph.Value { return v.Convert(graph.F32) }

// initial is what decays share.
type initial struct {
	InitialLearningRate float64 `hone:"initial_learning_rate,required,runtime,min=0" doc:"The rate at the first update."`
}

func (i *initial) rate(b *sdk.ScheduleBuilder) graph.Value {
	return b.Hyper("initial_learning_rate", i.InitialLearningRate)
}

// length is how long a decay takes.
type length struct {
	DecaySteps *int `hone:"decay_steps,optional,min=1" doc:"Updates that the decay takes; the whole training where absent."`
}

// steps returns the number of updates, at least 1.
func (l *length) steps(b *sdk.ScheduleBuilder) graph.Value {
	if l.DecaySteps == nil {
		return b.Total().Max(count(b, 1))
	}
	return count(b, *l.DecaySteps)
}

// part returns how much of the decay lies behind, from 0 to 1.
func (l *length) part(b *sdk.ScheduleBuilder) graph.Value {
	steps := l.steps(b)
	return float(b.Step().Min(steps)).Div(float(steps))
}

// periods counts the stretches of decay_steps that lie behind.
type periods struct {
	DecaySteps int  `hone:"decay_steps,required,min=1" doc:"Updates of one period."`
	Staircase  bool `hone:"staircase,default=false" doc:"Change the rate at the end of each period only."`
}

func (p *periods) of(b *sdk.ScheduleBuilder) graph.Value {
	if p.Staircase {
		return float(b.Step().Div(count(b, p.DecaySteps)))
	}
	return float(b.Step()).Times(1 / float64(p.DecaySteps))
}

// Constant never changes.
type Constant struct {
	LearningRate float64 `hone:"learning_rate,required,runtime,min=0" doc:"The rate."`
}

// Doc describes the schedule.
func (*Constant) Doc() string { return "The same rate throughout." }

// Rate writes the schedule.
func (c *Constant) Rate(b *sdk.ScheduleBuilder) graph.Value {
	return b.Hyper("learning_rate", c.LearningRate)
}

// Table gives a rate for each epoch.
type Table struct {
	Rates []float64 `hone:"rates,required,min=0,len=1..10000" doc:"The rate of each epoch; the last one stays."`
}

// Doc describes the schedule.
func (*Table) Doc() string { return "A rate for each epoch, by hand." }

// Rate writes the schedule.
func (t *Table) Rate(b *sdk.ScheduleBuilder) graph.Value {
	rates := make([]float32, len(t.Rates))
	for i, r := range t.Rates {
		rates[i] = float32(r)
	}
	last := b.Epoch().Min(count(b, len(rates)-1))
	return b.Const(graph.Float32s(rates, int64(len(rates)))).Gather(0, 0, last.Convert(graph.I32))
}

// ExponentialDecay multiplies the rate by a factor for each period.
type ExponentialDecay struct {
	initial
	periods
	DecayRate float64 `hone:"decay_rate,required,above=0" doc:"Factor of one period."`
}

// Doc describes the schedule.
func (*ExponentialDecay) Doc() string {
	return "initial_learning_rate * decay_rate ^ (step / decay_steps)."
}

// Rate writes the schedule.
func (e *ExponentialDecay) Rate(b *sdk.ScheduleBuilder) graph.Value {
	return e.rate(b).Mul(number(b, e.DecayRate).Pow(e.of(b)))
}

// NaturalExponential is exponential decay with the base e.
type NaturalExponential struct {
	initial
	DecaySteps int     `hone:"decay_steps,default=1,min=1" doc:"Updates of one period."`
	Staircase  bool    `hone:"staircase,default=false" doc:"Change the rate at the end of each period only."`
	DecayRate  float64 `hone:"decay_rate,required,min=0" doc:"Exponent of one period."`
}

// Doc describes the schedule.
func (*NaturalExponential) Doc() string {
	return "initial_learning_rate * exp(-decay_rate * step / decay_steps)."
}

// Rate writes the schedule.
func (n *NaturalExponential) Rate(b *sdk.ScheduleBuilder) graph.Value {
	p := periods{n.DecaySteps, n.Staircase}
	return n.rate(b).Mul(p.of(b).Times(-n.DecayRate).Exp())
}

// InverseTimeDecay divides the rate by a number that grows with time.
type InverseTimeDecay struct {
	initial
	periods
	DecayRate float64 `hone:"decay_rate,required,min=0" doc:"What one period adds to the divisor."`
}

// Doc describes the schedule.
func (*InverseTimeDecay) Doc() string {
	return "initial_learning_rate / (1 + decay_rate * step / decay_steps)."
}

// Rate writes the schedule.
func (i *InverseTimeDecay) Rate(b *sdk.ScheduleBuilder) graph.Value {
	return i.rate(b).Div(i.of(b).Times(i.DecayRate).Plus(1))
}

// PiecewiseConstantDecay jumps from rate to rate.
type PiecewiseConstantDecay struct {
	Boundaries []int     `hone:"boundaries,required,min=0,len=1..10000" doc:"The last step of each rate but the last."`
	Values     []float64 `hone:"values,required,min=0" doc:"The rates: one more than boundaries."`
}

// Doc describes the schedule.
func (*PiecewiseConstantDecay) Doc() string { return "Rates that change at given steps." }

// Validate checks the lengths and the order.
func (p *PiecewiseConstantDecay) Validate() error {
	if len(p.Values) != len(p.Boundaries)+1 {
		return sdk.Invalid("values", "has %d rates for %d boundaries, wanted %d", len(p.Values), len(p.Boundaries), len(p.Boundaries)+1)
	}
	for i := 1; i < len(p.Boundaries); i++ {
		if p.Boundaries[i] <= p.Boundaries[i-1] {
			return sdk.Invalid("boundaries", "%d does not come after %d", p.Boundaries[i], p.Boundaries[i-1])
		}
	}
	return nil
}

// Rate writes the schedule. As in Keras a boundary belongs to the rate before it.
func (p *PiecewiseConstantDecay) Rate(b *sdk.ScheduleBuilder) graph.Value {
	n := len(p.Boundaries)
	rate := number(b, p.Values[n])
	for i := n - 1; i >= 0; i-- {
		rate = b.Step().Le(count(b, p.Boundaries[i])).Select(number(b, p.Values[i]), rate)
	}
	return rate
}

// PolynomialDecay goes to another rate along a power.
type PolynomialDecay struct {
	initial
	length
	EndLearningRate float64 `hone:"end_learning_rate,default=0.0001,min=0" doc:"The rate at the end."`
	Power           float64 `hone:"power,default=1,above=0" doc:"1 is a straight line."`
	Cycle           bool    `hone:"cycle,default=false" doc:"Begin again, each time for longer, when the end is reached."`
}

// Doc describes the schedule.
func (*PolynomialDecay) Doc() string { return "From one rate to another along a power of the time." }

// Rate writes the schedule.
func (p *PolynomialDecay) Rate(b *sdk.ScheduleBuilder) graph.Value {
	part := p.part(b)
	if p.Cycle {
		steps := p.steps(b)
		// The number of times that the end was reached, counting from 1.
		times := b.Step().Add(steps).Div(steps)
		times = b.Step().Rem(steps).Eq(count(b, 0)).And(b.Step().Gt(count(b, 0))).Select(b.Step().Div(steps), times)
		part = float(b.Step()).Div(float(steps.Mul(times)))
	}
	left := number(b, 1).Sub(part)
	if p.Power != 1 {
		left = left.Pow(number(b, p.Power))
	}
	return p.rate(b).Plus(-p.EndLearningRate).Mul(left).Plus(p.EndLearningRate)
}

// LinearDecay goes to another rate along a straight line.
type LinearDecay struct {
	initial
	length
	EndLearningRate float64 `hone:"end_learning_rate,default=0,min=0" doc:"The rate at the end."`
}

// Doc describes the schedule.
func (*LinearDecay) Doc() string { return "From one rate to another along a straight line." }

// Rate writes the schedule.
func (l *LinearDecay) Rate(b *sdk.ScheduleBuilder) graph.Value {
	return l.rate(b).Plus(-l.EndLearningRate).Mul(number(b, 1).Sub(l.part(b))).Plus(l.EndLearningRate)
}

// CosineDecay follows half a cosine (Loshchilov and Hutter, 2017), after a
// straight line up if asked.
type CosineDecay struct {
	initial
	length
	Alpha        float64  `hone:"alpha,default=0,min=0,max=1" doc:"Share of the rate that is left at the end."`
	WarmupTarget *float64 `hone:"warmup_target,optional,min=0" doc:"Rate to which the warm-up goes before the decay; no warm-up where absent."`
	WarmupSteps  int      `hone:"warmup_steps,default=0,min=0" doc:"Updates of the warm-up."`
}

// Doc describes the schedule.
func (*CosineDecay) Doc() string {
	return "From the rate to alpha times the rate along half a cosine, with a warm-up if asked."
}

// Rate writes the schedule. decay_steps do not include the warm-up, as in Keras;
// where they are absent, the decay takes what the warm-up leaves of the training.
func (c *CosineDecay) Rate(b *sdk.ScheduleBuilder) graph.Value {
	first := c.rate(b)
	if c.WarmupTarget == nil || c.WarmupSteps == 0 {
		return cosine(first, c.part(b), c.Alpha)
	}
	up, steps := count(b, c.WarmupSteps), c.steps(b)
	if c.DecaySteps == nil {
		steps = steps.Max(up.Plus(1)).Sub(up)
	}
	target := number(b, *c.WarmupTarget)
	warm := first.Add(target.Sub(first).Mul(float(b.Step()).Times(1 / float64(c.WarmupSteps))))
	after := b.Step().Max(up).Sub(up).Min(steps)
	return b.Step().Lt(up).Select(warm, cosine(target, float(after).Div(float(steps)), c.Alpha))
}

// cosine is rate * ((1 - alpha) * (1 + cos(pi * part)) / 2 + alpha).
func cosine(rate, part graph.Value, alpha float64) graph.Value {
	wave := part.Times(math.Pi).Cos().Plus(1).Times(0.5)
	return rate.Mul(wave.Times(1 - alpha).Plus(alpha))
}

// CosineDecayRestarts follows half a cosine again and again (Loshchilov and
// Hutter, 2017).
type CosineDecayRestarts struct {
	initial
	FirstDecaySteps int     `hone:"first_decay_steps,required,min=1" doc:"Updates of the first period."`
	TMul            float64 `hone:"t_mul,default=2,min=1" doc:"Factor by which each period is longer than the one before."`
	MMul            float64 `hone:"m_mul,default=1,above=0" doc:"Factor by which each period's rate is larger than that of the one before."`
	Alpha           float64 `hone:"alpha,default=0,min=0,max=1" doc:"Share of the rate that is left at the end of a period."`
}

// Doc describes the schedule.
func (*CosineDecayRestarts) Doc() string { return "Half a cosine, again and again." }

// Rate writes the schedule.
func (c *CosineDecayRestarts) Rate(b *sdk.ScheduleBuilder) graph.Value {
	done := float(b.Step()).Times(1 / float64(c.FirstDecaySteps))
	var period, part graph.Value
	if c.TMul == 1 {
		first := count(b, c.FirstDecaySteps)
		period = float(b.Step().Div(first))
		part = float(b.Step().Rem(first)).Times(1 / float64(c.FirstDecaySteps))
	} else {
		// Period i begins at (t_mul^i - 1) / (t_mul - 1) first periods.
		period = done.Times(c.TMul - 1).Plus(1).Log().Times(1 / math.Log(c.TMul)).Plus(1e-6).Floor()
		factor := number(b, c.TMul).Pow(period)
		begin := factor.Plus(-1).Times(1 / (c.TMul - 1))
		part = done.Sub(begin).Div(factor).Max(number(b, 0))
	}
	wave := part.Times(math.Pi).Cos().Plus(1).Times(0.5).Mul(number(b, c.MMul).Pow(period))
	return c.rate(b).Mul(wave.Times(1 - c.Alpha).Plus(c.Alpha))
}

// LinearWarmup goes to a rate along a straight line and stays there.
type LinearWarmup struct {
	initial
	WarmupTarget float64 `hone:"warmup_target,required,runtime,min=0" doc:"The rate at the end."`
	WarmupSteps  int     `hone:"warmup_steps,required,min=1" doc:"Updates that it takes."`
}

// Doc describes the schedule.
func (*LinearWarmup) Doc() string {
	return "From one rate to another along a straight line, then constant."
}

// Rate writes the schedule.
func (w *LinearWarmup) Rate(b *sdk.ScheduleBuilder) graph.Value {
	first := w.rate(b)
	part := float(b.Step().Min(count(b, w.WarmupSteps))).Times(1 / float64(w.WarmupSteps))
	return first.Add(b.Hyper("warmup_target", w.WarmupTarget).Sub(first).Mul(part))
}

// WarmUp precedes another schedule with a straight line up to its first rate.
type WarmUp struct {
	Steps    int           `hone:"steps,required,min=1" doc:"Updates of the warm-up."`
	From     float64       `hone:"from,default=0,min=0" doc:"Rate at the first update."`
	Schedule sdk.Component `hone:"schedule,kind=schedule,required" doc:"What follows."`
}

// Doc describes the schedule.
func (*WarmUp) Doc() string {
	return "A straight line up to the first rate of another schedule, which then begins."
}

// Rate writes the schedule.
func (w *WarmUp) Rate(b *sdk.ScheduleBuilder) graph.Value {
	steps := count(b, w.Steps)
	after := b.Step().Max(steps).Sub(steps)
	left := b.Total().Max(steps.Plus(1)).Sub(steps)
	rate := b.Schedule("schedule", w.Schedule, after, left)
	part := float(b.Step()).Times(1 / float64(w.Steps))
	return b.Step().Lt(steps).Select(rate.Plus(-w.From).Mul(part).Plus(w.From), rate)
}

// Plateau lowers the rate when the monitored figure no longer improves.
type Plateau struct {
	initial
	Factor   float64 `hone:"factor,default=0.1,above=0,below=1" doc:"What the rate is multiplied by."`
	Patience int     `hone:"patience,default=10,min=0" doc:"Epochs without improvement that are borne."`
	MinDelta float64 `hone:"min_delta,default=0.0001,min=0" doc:"What counts as improvement."`
	Cooldown int     `hone:"cooldown,default=0,min=0" doc:"Epochs after a change during which nothing is counted."`
	MinRate  float64 `hone:"min_lr,default=0,min=0" doc:"Smallest rate."`
	Mode     string  `hone:"mode,default=min,enum=min|max" doc:"Whether smaller or larger figures are better."`
}

// Doc describes the schedule.
func (*Plateau) Doc() string {
	return "Multiplies the rate by a factor when the monitored figure has not improved for some epochs."
}

// Rate writes the schedule: the rules of Keras's ReduceLROnPlateau, followed once
// at the first update of each epoch.
func (p *Plateau) Rate(b *sdk.ScheduleBuilder) graph.Value {
	worst, sign := math.MaxFloat32, 1.0
	if p.Mode == "max" {
		sign = -1
	}
	best := b.State("best", worst)
	wait := b.State("wait", 0)
	cool := b.State("cooldown", 0)
	factor := b.State("factor", 1)
	seen := b.State("last_epoch", 0)

	epoch := float(b.Epoch())
	figure := b.Monitored().Times(sign)
	zero, one := number(b, 0), number(b, 1)
	ended := epoch.Gt(seen).And(b.Monitored().IsFinite())

	cooling := cool.Gt(zero)
	left := cooling.Select(cool.Sub(one), cool)
	better := figure.Lt(best.Plus(-p.MinDelta))
	waited := better.Or(left.Gt(zero)).Select(zero, cooling.Select(zero, wait).Add(one))
	rate := b.Hyper("initial_learning_rate", p.InitialLearningRate)
	low := waited.Ge(number(b, float64(max(p.Patience, 1)))).And(rate.Mul(factor).Gt(number(b, p.MinRate)))
	lowered := low.Select(factor.Times(p.Factor), factor)

	b.SetState("best", ended.And(better).Select(figure, best))
	b.SetState("wait", ended.Select(low.Select(zero, waited), wait))
	b.SetState("cooldown", ended.Select(low.Select(number(b, float64(p.Cooldown)), left), cool))
	factor = ended.Select(lowered, factor)
	b.SetState("factor", factor)
	b.SetState("last_epoch", epoch.Max(seen))
	return rate.Mul(factor).Max(number(b, p.MinRate))
}
