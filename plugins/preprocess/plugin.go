package preprocess

import "github.com/hone-ml/hone/sdk"

// Version is the plugin's version; it moves with hone's.
const Version = "0.1.0"

// Plugin describes all that this package offers.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "preprocess",
		Version: Version,
		Transforms: sdk.Transforms{
			"rescale": func() sdk.Transform { return &Rescale{} },
		},
	}
}
