package main

import (
	"github.com/hone-ml/hone/host"
)

type dataCmd struct {
	Show dataShowCmd `cmd:"" help:"Describe a file's columns: types, missing values, quantiles, classes."`
}

type dataShowCmd struct {
	Path string `arg:"" help:"CSV, JSON lines, NumPy or IDX file."`
}

func (c *dataShowCmd) Run(a *app) error {
	return host.DescribeData(a.ctx, c.Path, a.stdout, width(a.stdout))
}
