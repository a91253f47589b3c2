package main

import (
	"github.com/hone-ml/hone/host"
)

type dataCmd struct {
	Show dataShowCmd `cmd:"" help:"Describe a file's columns: types, missing values, quantiles, classes."`
}

type dataShowCmd struct {
	Path string `arg:"" help:"CSV, JSON lines, Parquet, Arrow, NumPy or IDX file, or a folder of IDX files."`
}

func (c *dataShowCmd) Run(a *app) error {
	limit := 0 // a pipe takes lines of any length
	if isTerminal(a.stdout) {
		limit = width(a.stdout)
	}
	return host.DescribeData(a.ctx, c.Path, a.stdout, limit)
}
