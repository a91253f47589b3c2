package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// link traces the components that the module's declarations refer to, for the
// parameters that they are attached to, and puts their functions into it.
func (t *tracing) link(ctx context.Context, m *graph.Module) error {
	l := linker{tracing: t, m: m, names: map[string]string{}, count: map[string]int{}}
	for _, f := range slices.Clone(m.Funcs) {
		for i := range f.Params {
			p := &f.Params[i]
			if p.Decl == nil {
				continue
			}
			d := *p.Decl
			for _, a := range []struct {
				kind sdk.Kind
				ref  *string
			}{{sdk.InitializerKind, &d.Initializer}, {sdk.RegularizerKind, &d.Regularizer}, {sdk.ConstraintKind, &d.Constraint}} {
				if !strings.HasPrefix(*a.ref, "arg:") && !strings.HasPrefix(*a.ref, "type:") {
					continue
				}
				name, err := l.function(ctx, a.kind, *a.ref, p.Type, d.Axes)
				if err != nil {
					return err
				}
				*a.ref = name
			}
			p.Decl = &d
		}
	}
	return nil
}

type linker struct {
	*tracing
	m     *graph.Module
	names map[string]string // by reference, type and axes
	count map[string]int    // functions linked, by the component's type
}

// parameterFunctions are the functions of the kinds that attach to parameters.
var parameterFunctions = map[sdk.Kind]string{sdk.InitializerKind: "init", sdk.RegularizerKind: "penalty", sdk.ConstraintKind: "constrain"}

// function returns the name of the function for one reference.
func (l *linker) function(ctx context.Context, kind sdk.Kind, reference string, typ graph.Type, axes []string) (string, error) {
	key := fmt.Sprintf("%s %s %v %q", kind, reference, typ, axes)
	if name, ok := l.names[key]; ok {
		return name, nil
	}
	c, arg, err := l.resolve(kind, reference)
	if err != nil {
		return "", err
	}
	traced, err := l.host.trace(ctx, kind, c, []Input{{"value", typ, axes}}, l.depth+1)
	if err != nil {
		return "", below(arg, err)
	}
	prefix := fmt.Sprintf("%s#%d/", c.Ref, l.count[c.Ref.String()])
	l.count[c.Ref.String()]++
	if err := l.m.Merge(traced, func(name string) string { return prefix + name }); err != nil {
		return "", l.invalid(err)
	}
	name := prefix + parameterFunctions[kind]
	l.names[key] = name
	return name, nil
}
