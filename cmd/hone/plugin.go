package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/host"
)

type pluginCmd struct {
	List pluginListCmd `cmd:"" help:"List plugins and what they offer."`
}

type pluginListCmd struct {
	Plugin map[string]string `help:"Binary of a further plugin." placeholder:"NAME=PATH" mapsep:"none"`
	Args   bool              `help:"Show the arguments of each component."`
}

func (c *pluginListCmd) Run(a *app) error {
	list, err := host.ListPlugins(a.ctx, host.Options{Builtin: a.bundle, Plugins: c.Plugin, Log: a.log})
	if err != nil {
		return err
	}
	rows := [][]string{{"kind", "type", "plugin", "what it is"}}
	for _, p := range list {
		for _, s := range p.Schemas {
			name := s.Type
			if !p.Builtin {
				name = p.Name + "." + s.Type
			}
			rows = append(rows, []string{string(s.Kind), name, p.Name + " " + p.Version, s.Doc})
			if !c.Args {
				continue
			}
			for _, q := range s.Parameters {
				def := "required"
				switch {
				case q.Default != nil:
					def = "= " + valueText(q.Default)
				case q.Optional:
					def = "optional"
				}
				rows = append(rows, []string{"", "  " + q.Name, def, q.Doc})
			}
		}
	}
	table(a.stdout, rows)
	return nil
}

// valueText writes a default as a spec would.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, valueText(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case fmt.Stringer: // a component
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v)
}
