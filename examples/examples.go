// Package examples holds the worked examples' specs, which hone new writes out.
package examples

import "embed"

// Files has one folder an example.
//
//go:embed */*.hone.hcl
var Files embed.FS
