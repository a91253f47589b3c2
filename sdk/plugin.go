package sdk

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Plugin is what one binary offers. The maps are keyed by the type that users
// write in a spec, [a-z][a-z0-9_]*; each function returns a new component.
type Plugin struct {
	Name    string // as the author calls it; users may choose a local name
	Version string // semantic, without a leading v

	Layers       Layers
	Losses       Losses
	Metrics      Metrics
	Initializers Initializers
	Regularizers Regularizers
	Constraints  Constraints
	Optimizers   Optimizers
	Schedules    Schedules
	Transforms   Transforms
	Opaques      Opaques
}

// The components of a plugin, by kind.
type (
	Layers       map[string]func() Layer
	Losses       map[string]func() Loss
	Metrics      map[string]func() Metric
	Initializers map[string]func() Initializer
	Regularizers map[string]func() Regularizer
	Constraints  map[string]func() Constraint
	Optimizers   map[string]func() Optimizer
	Schedules    map[string]func() Schedule
	Transforms   map[string]func() Transform
)

// Kind is a kind of component.
type Kind string

// The kinds of components.
const (
	LayerKind       Kind = "layer"
	LossKind        Kind = "loss"
	MetricKind      Kind = "metric"
	InitializerKind Kind = "initializer"
	RegularizerKind Kind = "regularizer"
	ConstraintKind  Kind = "constraint"
	OptimizerKind   Kind = "optimizer"
	ScheduleKind    Kind = "schedule"
	TransformKind   Kind = "transform"
	OpaqueKind      Kind = "opaque"
)

// Kinds lists all kinds in the order of the protocol.
func Kinds() []Kind {
	return []Kind{LayerKind, LossKind, MetricKind, InitializerKind, RegularizerKind, ConstraintKind, OptimizerKind, ScheduleKind, TransformKind, OpaqueKind}
}

// KindFromProto returns the kind of that number, "" for none.
func KindFromProto(k pluginpb.Kind) Kind {
	if all := Kinds(); k >= 1 && int(k) <= len(all) {
		return all[k-1]
	}
	return ""
}

// Proto returns the kind's number in the protocol, 0 for an unknown kind.
func (k Kind) Proto() pluginpb.Kind { return pluginpb.Kind(slices.Index(Kinds(), k) + 1) }

// component is one entry of a plugin's maps.
type component struct {
	kind   Kind
	typ    string
	create func() any
	schema *pluginpb.Component
	fields []field
	// opaques are those of the plugin, for what it traces.
	opaques Opaques
}

func entries[T any](kind Kind, m map[string]func() T) []*component {
	var out []*component
	for _, typ := range slices.Sorted(maps.Keys(m)) {
		create := m[typ]
		out = append(out, &component{kind: kind, typ: typ, create: func() any { return create() }})
	}
	return out
}

// components describes everything that the plugin offers, in a fixed order.
func (p *Plugin) components() ([]*component, error) {
	if !isName(p.Name) {
		return nil, fmt.Errorf("the plugin's name is %q; names are [a-z][a-z0-9_]*", p.Name)
	}
	if p.Version == "" {
		return nil, fmt.Errorf("the plugin %q has no version", p.Name)
	}
	all := slices.Concat(
		entries(LayerKind, p.Layers), entries(LossKind, p.Losses), entries(MetricKind, p.Metrics),
		entries(InitializerKind, p.Initializers), entries(RegularizerKind, p.Regularizers), entries(ConstraintKind, p.Constraints),
		entries(OptimizerKind, p.Optimizers), entries(ScheduleKind, p.Schedules), entries(TransformKind, p.Transforms), entries(OpaqueKind, p.Opaques))
	if len(all) == 0 {
		return nil, fmt.Errorf("the plugin %q offers no component", p.Name)
	}
	for _, c := range all {
		c.opaques = p.Opaques
		if err := c.describe(); err != nil {
			return nil, fmt.Errorf("plugin %q, %s %q: %w", p.Name, c.kind, c.typ, err)
		}
	}
	return all, nil
}

// isName reports whether s is [a-z][a-z0-9_]* of at most 64 bytes.
func isName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// Types lists the plugin's types by kind, and reports a malformed component.
func (p *Plugin) Types() (map[Kind][]string, error) {
	all, err := p.components()
	if err != nil {
		return nil, err
	}
	types := map[Kind][]string{}
	for _, c := range all {
		types[c.kind] = append(types[c.kind], c.typ)
	}
	return types, nil
}
