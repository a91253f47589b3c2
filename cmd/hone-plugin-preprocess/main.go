// Hone-plugin-preprocess serves hone's first-party plugin preprocess. hone has the same
// plugin built in; the binary is for those who want to pin or replace it.
package main

import (
	"github.com/hone-ml/hone/plugins/preprocess"
	"github.com/hone-ml/hone/sdk"
)

func main() { sdk.Serve(preprocess.Plugin()) }
