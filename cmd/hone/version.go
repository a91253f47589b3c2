package main

import (
	"fmt"
	"runtime"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/sdk/graph"
)

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintf(a.stdout, "hone %s (%s, %s/%s; IR %d, plugin protocol 1, checkpoint format %d)\n",
		host.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, graph.Version, modelfmt.FormatVersion)
	return err
}
