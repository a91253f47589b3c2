package host

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
)

func TestProfileAddsUpByLayerAndOp(t *testing.T) {
	times := []kernels.OpTime{
		{Name: "gather", Scope: "(batch)", Nanos: 1e6, Calls: 2},
		{Name: "dot", Scope: "hidden", Nanos: 3e6, Calls: 2, FLOPs: 6e6},
		{Name: "relu", Scope: "hidden", Nanos: 1e6, Calls: 2},
		{Name: "dot", Scope: "gradient of hidden", Nanos: 4e6, Calls: 2},
		{Name: "adam", Scope: "update of hidden", Nanos: 1e6, Calls: 2},
	}
	want := layerTime{forward: 4e6, gradient: 4e6, update: 1e6}
	if got := byLayer(times)["hidden"]; got != want {
		t.Errorf("hidden took %+v, wanted %+v", got, want)
	}
	var b strings.Builder
	eval := []kernels.OpTime{{Name: "dot", Scope: "hidden", Nanos: 0, Calls: 1}}
	if err := WriteProfile(&b, []StepTimes{{"step", 32, times}, {"evaluation", 100, eval}}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		" 90.00%       9.000       4.000       4.000       1.000  hidden\n",
		" 10.00%       1.000       1.000       0.000       0.000  (batch)\n",
		" 70.00%       7.000  dot\n",
		"\nstep of 32 examples, in order: 2 of 5.000 ms each\n",
		"     3.000      4.00      0.00  dot  hidden\n",
		"\nevaluation of 100 examples, in order: 1 of 0.000 ms each\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
}

// A run that is interrupted has the profile of what it did, by kind of step.
func TestAnInterruptedRunHasAProfile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := func(e Event) {
		if _, ok := e.(EpochEvent); ok {
			cancel()
		}
	}
	r, err := load(t, deepSpec(), Options{}).Train(ctx, TrainOptions{Out: filepath.Join(t.TempDir(), "m.hone"), Events: stop, Profile: true})
	if !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	if len(r.Profile) == 0 || r.Profile[0].What != "step" || r.Profile[0].Batch < 1 || r.Profile[0].Ops[0].Calls < 1 {
		t.Errorf("the profile is %v", r.Profile)
	}
}
