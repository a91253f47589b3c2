package preprocess

import "github.com/hone-ml/hone/sdk"

// Plugin returns the plugin.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name: "preprocess", Version: "0.1.0",
		Transforms: sdk.Transforms{
			"rescale": func() sdk.Transform { return &Rescale{} },
		},
	}
}
