package module

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/sdk"
)

// Ref returns the plugin's reference of a spec's type.
func Ref(t spec.TypeRef) plugin.Ref { return plugin.Ref{Plugin: t.Local, Type: t.Name} }

// Config checks a component's arguments against its plugin's schema and returns
// them in the plugin's terms. path is the component's place in the spec.
func Config(ctx context.Context, h *plugin.Host, kind sdk.Kind, t spec.TypeRef, args spec.Args, node spec.Node, path string) (plugin.Config, *plugin.Schema, diag.Diagnostics) {
	s, err := h.Component(ctx, kind, Ref(t))
	if err != nil {
		return nil, nil, Locate(diag.From(err), node, path)
	}
	vals, diags := spec.DecodeArgs(args, schemaOf(s), node, path)
	if diags.HasErrors() {
		return nil, s, diags
	}
	c := plugin.Config{}
	for _, v := range vals {
		if !v.Given {
			continue
		}
		p := s.Parameter(v.Param.Name)
		switch {
		case v.Null:
			c[p.Name] = nil
		case p.Type == plugin.ComponentType:
			var list []any
			for _, comp := range v.Components {
				inner := plugin.Component{Ref: Ref(comp.Type)}
				if len(comp.Args) > 0 {
					cfg, _, ds := Config(ctx, h, p.Kind, comp.Type, comp.Args, comp.Node, path+"."+p.Name)
					diags.Append(ds...)
					inner.Config = cfg
				}
				list = append(list, inner)
			}
			c[p.Name] = pick(p.List, list)
		case p.Type == plugin.Int:
			c[p.Name] = pick(p.List, anys(v.Ints))
		case p.Type == plugin.Float:
			c[p.Name] = pick(p.List, anys(v.Floats))
		case p.Type == plugin.Bool:
			c[p.Name] = pick(p.List, anys(v.Bools))
		default:
			c[p.Name] = pick(p.List, anys(v.Texts))
		}
	}
	return c, s, diags
}

func anys[T any](v []T) []any {
	out := make([]any, len(v))
	for i, x := range v {
		out[i] = x
	}
	return out
}

func pick(list bool, v []any) any {
	if list || len(v) != 1 {
		return v
	}
	return v[0]
}

// schemaOf turns a plugin's schema into the spec's.
func schemaOf(s *plugin.Schema) spec.Schema {
	out := spec.Schema{Kind: string(s.Kind), Type: s.Type}
	for _, p := range s.Parameters {
		q := spec.Param{
			Name: p.Name, Doc: p.Doc, List: p.List, Required: p.Required, Optional: p.Optional || p.Default == nil && !p.Required,
			MinLength: p.MinLength, MaxLength: p.MaxLength, Enum: p.Enum, Runtime: p.Runtime,
		}
		if p.Min != nil {
			q.Min = &spec.Bound{Value: p.Min.Value, Exclusive: p.Min.Exclusive}
		}
		if p.Max != nil {
			q.Max = &spec.Bound{Value: p.Max.Value, Exclusive: p.Max.Exclusive}
		}
		switch p.Type {
		case plugin.Bool:
			q.Kind = spec.BoolValue
		case plugin.Int:
			q.Kind = spec.IntValue
		case plugin.Float:
			q.Kind = spec.FloatValue
		case plugin.ComponentType:
			q.Kind, q.Component = spec.ComponentValue, string(p.Kind)
		default:
			q.Kind = spec.TextValue
		}
		// Defaults stay with the plugin, which applies them itself; the spec need
		// only know that the argument may be absent.
		if p.Default != nil {
			q.Optional, q.Default = true, cty.NilVal
		}
		out.Params = append(out.Params, q)
	}
	return out
}

// Locate gives diagnostics that come from below a component the component's
// place: the line of the argument at fault, or of the block.
func Locate(ds diag.Diagnostics, node spec.Node, path string) diag.Diagnostics {
	out := make(diag.Diagnostics, len(ds))
	for i, d := range ds {
		arg := d.Path
		if d.Subject == nil && node.Range.File != "" {
			d = d.At(node.At(firstName(arg))).Within(node.Range)
		}
		switch {
		case arg == "":
			d.Path = path
		case path != "" && !startsWith(arg, path):
			d.Path = path + "." + arg
		}
		out[i] = d
	}
	return out
}

func startsWith(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

func firstName(path string) string {
	for i := range len(path) {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return path
}
