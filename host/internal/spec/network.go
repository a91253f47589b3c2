package spec

import "slices"

// DefaultOutput is the name of the output of a model that names none.
const DefaultOutput = "output"

// Feeds returns what the i-th layer takes: its From, or else the layer before it, or for the
// first layer the inputs.
func (m *Model) Feeds(i int) []Ref {
	l := &m.Layers[i]
	switch {
	case len(l.From) > 0:
		return l.From
	case i > 0:
		return []Ref{{Node: l.Node, Name: m.Layers[i-1].Name}}
	}
	refs := make([]Ref, len(m.Inputs))
	for j, in := range m.Inputs {
		refs[j] = Ref{Node: l.Node, Kind: ToInput, Name: in.Name}
	}
	return refs
}

// Results returns the model's outputs; where none is written, the last layer under the name DefaultOutput.
func (m *Model) Results() []Output {
	if len(m.Outputs) > 0 || len(m.Layers) == 0 {
		return m.Outputs
	}
	last := &m.Layers[len(m.Layers)-1]
	return []Output{{Node: last.Node, Name: DefaultOutput, From: Ref{Node: last.Node, Name: last.Name}}}
}

// Find returns the place of the layer of that name in Layers, or -1.
func (m *Model) Find(name string) int {
	return slices.IndexFunc(m.Layers, func(l Layer) bool { return l.Name == name })
}

// Order returns the layers' places so that each comes after what feeds it, otherwise as
// written. It must have passed Validate: layers in a circle are absent.
func (m *Model) Order() []int {
	order, _ := m.sort()
	return order
}

// sort is Order with the first circle found, as places in Layers.
func (m *Model) sort() (order, circle []int) {
	at := make(map[string]int, len(m.Layers))
	for i, l := range m.Layers {
		at[l.Name] = i
	}
	const open, done = 1, 2
	state := make([]byte, len(m.Layers))
	var path []int
	var visit func(i int) bool
	visit = func(i int) bool {
		state[i] = open
		path = append(path, i)
		ok := true
		for _, ref := range m.Feeds(i) {
			j, exists := at[ref.Name]
			if ref.Kind != ToLayer || !exists {
				continue
			}
			switch state[j] {
			case open:
				if circle == nil {
					circle = slices.Clone(path[slices.Index(path, j):])
				}
				ok = false
			case 0:
				ok = visit(j) && ok
			}
		}
		path = path[:len(path)-1]
		state[i] = done
		if ok {
			order = append(order, i)
		}
		return ok
	}
	for i := range m.Layers {
		if state[i] == 0 {
			visit(i)
		}
	}
	return order, circle
}
