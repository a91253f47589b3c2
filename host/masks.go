package host

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/convert"
	"github.com/hone-ml/hone/sdk/graph"
)

// Masks returns the masks of the model's parameters by path: bools of their
// shapes, false where a parameter is held at zero. They must not be changed.
func (m *Model) Masks() map[string]*Tensor {
	out := map[string]*Tensor{}
	for _, v := range m.s.values {
		if param, ok := train.MaskOf(v.Name); ok && v.Role == graph.Input {
			out[param] = v.Tensor
		}
	}
	return out
}

// masks holds the parameters that the resumed checkpoint or the options mask;
// the options' masks replace the checkpoint's.
func (r *run) masks(fromCheckpoint bool) error {
	for _, v := range r.content.values {
		param, ok := train.MaskOf(v.Name)
		if !fromCheckpoint || !ok || v.Role != graph.Input {
			continue
		}
		if err := r.trainer.SetMask(param, v.Tensor); err != nil {
			return checkpointError(r.o.Resume, err)
		}
	}
	for _, param := range sortedKeys(r.o.Masks) {
		if err := r.trainer.SetMask(param, r.o.Masks[param]); err != nil {
			return r.maskError(param, err)
		}
	}
	return nil
}

func (r *run) maskError(param string, err error) error {
	var names []string
	for _, q := range r.content.program.Params() {
		if q.Role == graph.ParamRole {
			names = append(names, q.Name)
		}
	}
	return diag.Errorf("mask", "%v", err).In("masks."+param).
		Hint("%sTrainOptions.Masks takes a tensor of the parameter's shape by its path; hone checkpoint show lists them.", diag.DidYouMean(param, names))
}

// maskOf reads the mask that a file of weights has for a parameter taken from it;
// nil where it has none.
func maskOf(src convert.Source, taken convert.Pair) (*graph.Tensor, error) {
	from := taken
	from.From = train.MaskName(taken.From)
	i := slices.IndexFunc(src.Tensors(), func(t modelfmt.TensorInfo) bool { return t.Name == from.From })
	if i < 0 {
		return nil, nil
	}
	from.To.DType = src.Tensors()[i].DType
	d, err := graph.ParseDType(from.To.DType.String())
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", from.From, err)
	}
	b, err := from.Read(src)
	if err != nil {
		return nil, err
	}
	t := &graph.Tensor{DType: d, Data: b}
	for _, e := range from.To.Shape {
		t.Shape = append(t.Shape, int64(e))
	}
	return t, nil
}
