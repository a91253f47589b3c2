// Hone-plugin-optimizers serves hone's first-party plugin optimizers. hone has the same
// plugin built in; the binary is for those who want to pin or replace it.
package main

import (
	"github.com/hone-ml/hone/plugins/optimizers"
	"github.com/hone-ml/hone/sdk"
)

func main() { sdk.Serve(optimizers.Plugin()) }
