package seams

import (
	"os"

	"github.com/hone-ml/hone/sdk"
)

// acme is someone else's plugin: the probes say what its components do.
func acme() sdk.Plugin {
	return sdk.Plugin{
		Name: "acme", Version: "1.0.0",
		Layers: sdk.Layers{
			"implicit": func() sdk.Layer { return &implicitLayer{} },
			"log_cosh": func() sdk.Layer { return &logCosh{factor: 1} },
			"share":    func() sdk.Layer { return &share{} },
		},
		Opaques: sdk.Opaques{"solver": func() sdk.Opaque { return &solver{} }},
	}
}

// stranger is main for the test's binary where the host runs it as that plugin's.
func stranger() {
	if os.Getenv(sdk.ChildEnv) != "" && os.Getenv(sdk.ServeEnv) == "" {
		sdk.Serve(acme())
		os.Exit(0)
	}
}
