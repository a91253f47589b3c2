package seams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: a block is a group of layers that a model takes as one, count times. Its
// parameters are NAME[I].LAYER.PARAMETER, so that a phase freezes and init_from
// finds them. The spec is that of the shared tower (shared_test.go), which Keras has
// written out layer by layer; here it is written out as well, and trains to the
// same bits.
func TestABlockWithCount(t *testing.T) {
	out := follows(t, "shared", sharedTower, "loss", "loss")
	group := sharedTower[strings.Index(sharedTower, `  layer "block.residual"`):strings.Index(sharedTower, `  layer "dense" "out"`)]
	var layersOf strings.Builder
	for i, from := range []string{"both", "sum0"} {
		fmt.Fprintf(&layersOf, `  layer "dense" "inner%d" {
    units      = 8
    activation = "tanh"
    from       = layer.%[2]s
  }
  layer "add" "sum%[1]d" {
    from = [layer.%[2]s, layer.inner%[1]d]
  }
`, i, from)
	}
	text := replace(sharedTower, group, layersOf.String(), "path = ARCHIVE", `path = ARCHIVE
    map = { "s[0].inner" = "inner0", "s[1].inner" = "inner1" }`)
	_, rows, archive := keras(t, "shared")
	flat, _, _ := train(t, project(t, replace(text, "ARCHIVE", `"`+write(t, "weights.npz", archive)+`"`), rows, host.Options{}), host.TrainOptions{})
	a, b := values(t, out), values(t, flat)
	for i := range 2 {
		for _, p := range []string{"kernel", "bias", "kernel:momentum"} {
			x, y := a[fmt.Sprintf("s[%d].inner.%s", i, p)], b[fmt.Sprintf("inner%d.%s", i, p)]
			near(t, p, x, y, 0)
		}
	}
}
