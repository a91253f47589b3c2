package seams

import (
	"fmt"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: evaluation and prediction take other parameters than training does: their
// exponential moving average, which a user asks for of any optimizer,
//
//	ema { decay = 0.75 }
//
// or what the optimizer itself says they are (TestLookaheadIsEvaluated). Training
// goes on with the parameters themselves.
const averaged = `
  epochs     = 3
  batch_size = 4
  ema {
    decay = 0.75
  }
  optimizer "sgd" {
    learning_rate = 0.3
  }`

func TestTheAverageIsEvaluated(t *testing.T) {
	rows := examples(24)
	p := toySplit(t, averaged, rows, host.Options{})
	w := weightsOf(t, before(t, p))
	out, _, epochs := train(t, p, host.TrainOptions{})
	learn, held := rows[:18], rows[18:]
	average := w.clone()
	for _, e := range epochs {
		sum := 0.0
		for _, batch := range batchesOf(learn, 4) {
			loss, g := w.gradient(batch)
			sum += loss * float64(len(batch))
			w.each(func(p string, i int, v float64) float64 { return v - 0.3*g[p][i] })
			average.each(func(p string, i int, v float64) float64 { return 0.75*v + 0.25*w[p][i] })
		}
		near(t, "loss", []float64{float64(e.Metrics["loss"])}, []float64{sum / float64(len(learn))}, 1e-6)
		near(t, "val_loss", []float64{float64(e.Metrics["val_loss"])}, []float64{average.loss(held)}, 1e-6)
	}
	w.compare(t, out, 1e-6)
	predicts(t, out, rows, average)
}

// A run that takes weights from elsewhere averages from those on.
func TestTheAverageBeginsAtWeightsTaken(t *testing.T) {
	rows := examples(24)
	from, _, _ := train(t, toySplit(t, averaged, rows, host.Options{}), host.TrainOptions{})
	w := weightsOf(t, from)
	average := w.clone()
	out, _, _ := train(t, toySplit(t, averaged+fmt.Sprintf("\n  init_from {\n    path = %q\n  }", from), rows, host.Options{}), host.TrainOptions{})
	for range 3 {
		for _, batch := range batchesOf(rows[:18], 4) {
			_, g := w.gradient(batch)
			w.each(func(p string, i int, v float64) float64 { return v - 0.3*g[p][i] })
			average.each(func(p string, i int, v float64) float64 { return 0.75*v + 0.25*w[p][i] })
		}
	}
	w.compare(t, out, 2e-6)
	predicts(t, out, rows, average)
}

// The slow parameters of lookahead are what it evaluates with.
const lookahead = `
  epochs     = 3
  batch_size = 4
  optimizer "lookahead" {
    period = 4
    alpha  = 0.5
    base "sgd" {
      learning_rate = 0.3
    }
  }`

func TestLookaheadIsEvaluated(t *testing.T) {
	rows := examples(24)
	p := toySplit(t, lookahead, rows, host.Options{})
	w := weightsOf(t, before(t, p))
	out, _, epochs := train(t, p, host.TrainOptions{})
	learn, held := rows[:18], rows[18:]
	slow, step := w.clone(), 0
	for _, e := range epochs {
		for _, batch := range batchesOf(learn, 4) {
			_, g := w.gradient(batch)
			w.each(func(p string, i int, v float64) float64 { return v - 0.3*g[p][i] })
			if step++; step%4 == 0 {
				slow.each(func(p string, i int, v float64) float64 { return v + 0.5*(w[p][i]-v) })
				w = slow.clone()
			}
		}
		near(t, "val_loss", []float64{float64(e.Metrics["val_loss"])}, []float64{slow.loss(held)}, 1e-6)
	}
	w.compare(t, out, 1e-6)
	predicts(t, out, rows, slow)
}

// predicts compares a checkpoint's predictions with those of a network.
func predicts(t *testing.T, checkpoint string, rows []example, w weights) {
	t.Helper()
	m, err := host.Open(checkpoint, host.Options{Backend: "reference", NoPlugins: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	x := &host.Tensor{DType: 2, Shape: []int64{int64(len(rows)), 3}, Data: make([]byte, 12*len(rows))} // f32
	var want []float64
	for i, r := range rows {
		for j, v := range r.x {
			x.SetFloat(3*i+j, v)
		}
		_, y := w.forward(r.x)
		want = append(want, y)
	}
	got, err := m.Predict(t.Context(), map[string]*host.Tensor{"x": x})
	if err != nil {
		t.Fatal(err)
	}
	var y []float64
	for i := range rows {
		y = append(y, got.Outputs[0].Values.Float(i))
	}
	near(t, "prediction", y, want, 1e-6)
}
