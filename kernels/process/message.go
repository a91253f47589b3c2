package process

import (
	"fmt"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// The data of calls and answers. Bodies are told where they are used.

// hello opens a connection; both ends send one.
type hello struct {
	Protocol int
	IR       int // the highest IR version read
	Name     string
	Variant  string
	Devices  []kernels.Device
}

type supportIn struct {
	Op        string
	Version   int
	Composite string
}

// compileIn is followed by the module and its named constants, whose sizes
// Parts lists.
type compileIn struct {
	Entry     string
	Mode      graph.Mode
	Frozen    []string
	Symbols   map[string]int64 // null is not the same as empty
	Donate    []int
	Selection map[string]string
	Limits    kernels.Limits
	Memory    int64
	Profile   bool
	Opaque    uint64 // number of the caller to call back, 0 for none
	Parts     []int64
}

type compileOut struct {
	Executable      uint64
	Params, Results []view
	Plan            kernels.Plan
	Selection       map[string]string
}

// view is a type on the wire.
type view struct {
	DType graph.DType
	Shape []int64
}

func (v view) check() (int64, error) {
	if !v.DType.Valid() || len(v.Shape) > graph.MaxRank {
		return 0, fmt.Errorf("%v%v is no type of a value", v.DType, v.Shape)
	}
	for _, n := range v.Shape {
		if n < 0 {
			return 0, fmt.Errorf("%v%v has a negative extent", v.DType, v.Shape)
		}
	}
	return graph.T(v.DType, v.Shape...).Bytes(nil)
}

func toViews(vs []kernels.View) []view {
	out := make([]view, len(vs))
	for i, v := range vs {
		out[i] = view{v.DType, v.Shape}
	}
	return out
}

func fromViews(vs []view) ([]kernels.View, error) {
	out := make([]kernels.View, len(vs))
	for i, v := range vs {
		if _, err := v.check(); err != nil {
			return nil, err
		}
		out[i] = kernels.View{DType: v.DType, Shape: v.Shape}
	}
	return out, nil
}

// split cuts a body into parts of the given sizes, which must fill it.
func split(body []byte, sizes []int64) ([][]byte, error) {
	out := make([][]byte, len(sizes))
	for i, n := range sizes {
		if n < 0 || n > int64(len(body)) {
			return nil, fmt.Errorf("part %d of a message has %d bytes, %d are left", i, n, len(body))
		}
		out[i], body = body[:n:n], body[n:]
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("a message has %d bytes too many", len(body))
	}
	return out, nil
}

// object names a pool, executable or session of the server.
type object struct{ ID uint64 }

type poolIn struct{ Device string }

// poolCall is every call on a pool.
type poolCall struct {
	Pool    uint64
	Handle  kernels.Handle
	Handles []kernels.Handle
	Type    view
}

type handleOut struct{ Handle kernels.Handle }

type snapshotOut struct{ Sizes []int64 }

type sessionIn struct{ Executable, Pool uint64 }

type runIn struct {
	Session  uint64
	Bindings *kernels.Bindings
	Steps    int
}

type runOut struct{ Done int }

type profileOut struct{ Times []kernels.OpTime }

// opaqueIn is followed by the operands' bytes; the answer's body is the results'.
type opaqueIn struct {
	Caller                      uint64
	Component, Config, Gradient string
	In, Out                     []view
}
