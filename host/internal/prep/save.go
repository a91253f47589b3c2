package prep

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk/graph"
)

// saved is a pipeline as a checkpoint keeps it, beside the module.
type saved struct {
	Version int          `json:"version"`
	Seed    uint64       `json:"seed"`
	Float64 bool         `json:"float64,omitempty"`
	Columns []savedField `json:"columns"`
	Steps   []*step      `json:"transforms,omitempty"`
}

type savedField struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Shape  []int  `json:"shape,omitempty"`
	Target bool   `json:"target,omitempty"`
	Aside  bool   `json:"aside,omitempty"`
}

const (
	savedVersion  = 0
	maxSavedBytes = 256 << 20
)

// MarshalJSON writes the pipeline but for its functions, which are in Module.
func (p *Pipeline) MarshalJSON() ([]byte, error) {
	s := saved{Version: savedVersion, Seed: p.o.Seed, Float64: p.o.Float64, Steps: p.steps, Columns: []savedField{}}
	for _, f := range p.raw {
		s.Columns = append(s.Columns, savedField{f.Name, f.Type.String(), f.Shape, f.target, f.aside})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("writing the fitted transforms: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Load reads what MarshalJSON wrote, with the module that holds its functions. It
// needs no plugin. Of the options Backend, ExactValues and Limits count; the rest
// is as it was fitted. Whatever is wrong with the text is an error.
func Load(text []byte, m *graph.Module, o Options) (*Pipeline, error) {
	bad := func(err error) error {
		return diag.Errorf("bad_transforms", "the fitted transforms cannot be read: %w", err).
			Hint("The checkpoint is damaged, or was written by a newer version of hone.")
	}
	if len(text) > maxSavedBytes {
		return nil, bad(fmt.Errorf("%d bytes, and at most %d are possible", len(text), maxSavedBytes))
	}
	var s saved
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, bad(err)
	}
	if s.Version != savedVersion {
		return nil, bad(fmt.Errorf("version %d, and this hone reads version %d", s.Version, savedVersion))
	}
	o.Seed, o.Float64, o.Targets, o.Aside = s.Seed, s.Float64, nil, nil
	p := &Pipeline{o: o, module: m, steps: s.Steps}
	for _, c := range s.Columns {
		t, ok := typeNamed(c.Type)
		if !ok || find(p.raw, c.Name) >= 0 {
			return nil, bad(fmt.Errorf("column %q of type %q, or two of that name", c.Name, c.Type))
		}
		size := 1
		for _, n := range c.Shape {
			if n < 1 || n > 1<<31/size {
				return nil, bad(fmt.Errorf("column %q has the shape %v", c.Name, c.Shape))
			}
			size *= n
		}
		p.raw = append(p.raw, field{Field: data.Field{Name: c.Name, Type: t, Shape: c.Shape}, target: c.Target, aside: c.Aside})
		if c.Target {
			p.o.Targets = append(p.o.Targets, c.Name)
		}
		if c.Aside {
			p.o.Aside = append(p.o.Aside, c.Name)
		}
	}
	if err := graph.Verify(m, graph.Limits{}); err != nil {
		return nil, bad(err)
	}
	now := p.raw
	for i, st := range p.steps {
		if st == nil {
			return nil, bad(fmt.Errorf("transform %d is null", i))
		}
		if err := st.check(now, m); err != nil {
			return nil, bad(fmt.Errorf("transform %q: %w", st.Name, err))
		}
		p.prepare(st)
		now = st.out(now)
	}
	return p, nil
}

func typeNamed(name string) (data.Type, bool) {
	for t := data.F64; t <= data.String; t++ {
		if t.String() == name {
			return t, true
		}
	}
	return data.Invalid, false
}
