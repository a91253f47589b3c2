package host

import "github.com/hone-ml/hone/host/internal/spec"

// The parts of a spec, for programs that build one instead of reading HCL. Their
// zero values mean what an absent argument means.
type (
	Spec          = spec.Spec
	Data          = spec.Data
	Transform     = spec.Transform
	Split         = spec.Split
	ModelSpec     = spec.Model
	Input         = spec.Input
	LayerSpec     = spec.Layer
	Component     = spec.Component
	TrainSpec     = spec.Train
	Loss          = spec.Loss
	Metric        = spec.Metric
	Optimizer     = spec.Optimizer
	EarlyStopping = spec.EarlyStopping
	Args          = spec.Args
)

// Arg makes an argument from a Go value: a number, bool, string, a slice of
// such, or a Component.
func Arg(name string, value any) spec.Argument { return spec.Arg(name, value) }

// Type reads a component's type: "dense", or "acme.swish" for a plugin's.
func Type(s string) spec.TypeRef { return spec.Type(s) }

// New returns the project of a spec built in Go. The error is Diagnostics.
func New(s *Spec, o Options) (*Project, error) {
	return &Project{o: o, spec: s}, s.Validate().Err()
}
