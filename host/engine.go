package host

import (
	"github.com/hone-ml/hone/host/internal/compile"
	"github.com/hone-ml/hone/kernels"
)

// Engine is a backend with what it has compiled. Projects and models that share
// one (Options.Engine) compile a step once: a second run that changes numbers
// alone, such as the learning rate, a momentum or the rate of a dropout
// (TrainOptions.Hypers), begins with its first step. It may be used from several
// goroutines.
type Engine struct {
	cache *compile.Cache
	under kernels.Backend
}

// NewEngine starts the backend that the options name. Close it when no project
// or model uses it any more.
func NewEngine(o Options) (*Engine, error) {
	be, err := o.bare()
	if err != nil {
		return nil, err
	}
	return NewEngineOn(be), nil
}

// NewEngineOn is NewEngine for a backend of the caller's, such as one that is
// served from another process.
func NewEngineOn(be kernels.Backend) *Engine {
	return &Engine{cache: compile.New(be), under: be}
}

// Close ends the backend, where it can be ended.
func (e *Engine) Close() error {
	closeBackend(e.under)
	return nil
}
