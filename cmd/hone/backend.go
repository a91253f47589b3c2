package main

import (
	"fmt"

	"github.com/hone-ml/hone/host"
)

type backendCmd struct {
	List backendListCmd `cmd:"" help:"List backends and devices."`
}

type backendListCmd struct {
	Ops bool `help:"List how each backend runs every op: native, inlined, refused."`
}

func (c *backendListCmd) Run(a *app) error {
	bs, err := host.Backends(host.Options{})
	if err != nil {
		return err
	}
	if c.Ops {
		rows := [][]string{{"op"}}
		for _, b := range bs {
			rows[0] = append(rows[0], b.Name())
		}
		for _, o := range host.Ops(bs) {
			r := []string{o.Op}
			for _, b := range bs {
				r = append(r, o.Support[b.Name()].String())
			}
			rows = append(rows, r)
		}
		table(a.stdout, rows)
		return nil
	}
	rows := [][]string{{"backend", "variant", "device", "threads", "description"}}
	for _, b := range bs {
		for _, d := range b.Devices() {
			rows = append(rows, []string{b.Name(), b.Variant(), d.Name, fmt.Sprint(d.Threads), d.Description})
		}
	}
	table(a.stdout, rows)
	return nil
}
