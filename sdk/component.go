package sdk

import "fmt"

// Component is an argument that is itself a component: an activation, an
// initializer, a schedule. As a field it is tagged with its kind:
//
//	Activation        sdk.Component `hone:"activation,kind=layer"`
//	KernelInitializer sdk.Component `hone:"kernel_initializer,kind=initializer,default=glorot_uniform"`
//
// The component that a user names may live in another plugin, so the struct
// never holds it: a Component is a reference that the host resolves. It goes
// where it is needed, [Param.Initializer] for example, or
// [LayerBuilder.Component]. How that works:
//
//   - Initializers, regularizers and constraints are attached to a parameter.
//     The traced module carries the reference; the host, which by then knows the
//     parameter's shape and axes, traces the component for it and links it.
//   - Layers and schedules are called, and their results' types are needed on
//     the spot. The first trace ends there with a need; the host traces the
//     component for the types at hand and asks again, supplying it. Since tracing
//     is pure and cheap, no call back into the host is necessary.
//
// The zero Component is none: no activation, no regularizer.
type Component struct {
	ref string // arg:NAME, type:NAME, or "" for none or own
	own any    // a component of this plugin
}

// Named refers to a built-in by its type, as in a component whose fields the
// plugin sets itself: Conv2D{Activation: sdk.Named("relu")}.
func Named(typ string) Component { return Component{ref: "type:" + typ} }

// Own wraps a component of the plugin's own: a [Layer], [Initializer],
// [Regularizer], [Constraint] or [Schedule].
func Own(c any) Component { return Component{own: c} }

// IsZero reports whether there is no component.
func (c Component) IsZero() bool { return c.ref == "" && c.own == nil }

// String describes the component for messages.
func (c Component) String() string {
	switch {
	case c.own != nil:
		return fmt.Sprintf("%T", c.own)
	case c.ref == "":
		return "none"
	}
	return c.ref
}
