package host

import (
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
	if err := WriteProfile(&b, times); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		" 90.00%       9.000       4.000       4.000       1.000  hidden\n",
		" 10.00%       1.000       1.000       0.000       0.000  (batch)\n",
		" 70.00%       7.000  dot\n",
		"     3.000         2      4.00      0.00  dot  hidden\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
}
