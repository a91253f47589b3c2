// Package builtin is hone's first-party plugins as one bundle, linked into a
// binary. Only commands and embedding programs import it; the host gets the
// bundle and knows nothing of what is in it.
package builtin

import (
	"github.com/hone-ml/hone/plugins/layers"
	"github.com/hone-ml/hone/plugins/optimizers"
	"github.com/hone-ml/hone/plugins/preprocess"
	"github.com/hone-ml/hone/sdk"
)

// Plugins returns the first-party plugins.
func Plugins() []sdk.Plugin {
	return []sdk.Plugin{layers.Plugin(), optimizers.Plugin(), preprocess.Plugin()}
}

// Main is sdk.Main with the first-party plugins: the first line of main, and of
// TestMain. In the processes that the host starts to serve them it does not return.
func Main() sdk.Bundle { return sdk.Main(Plugins()...) }

// InProcess returns the bundle for a program that has not called Main: its
// plugins are served without starting a process.
func InProcess() sdk.Bundle { return sdk.Bundle{Plugins: Plugins()} }
