package spec

import (
	"fmt"
)

func (r *reader) readData(b *block) {
	labels, ok := b.labels("TYPE", "NAME")
	if !ok || !r.checkName("data", labels[1], fromHCLRange(b.hcl.LabelRanges[1])) {
		return
	}
	b.path += "." + labels[1]
	d := Data{Node: b.node, Type: Type(labels[0]), Name: labels[1]}
	b.names("target", "targets", &d.Targets)
	read(b, "weight", &d.Weight, toText)
	for _, hb := range b.blocks("source") {
		n := r.open(hb, b.scope, b.path+".source")
		if labels, ok := n.labels("PART"); ok {
			n.path += "." + labels[0]
			d.Sources = append(d.Sources, DataSource{Node: n.node, Part: labels[0], Args: n.args()})
		}
	}
	for _, hb := range b.blocks("column") {
		n := r.open(hb, b.scope, b.path+".column")
		labels, ok := n.labels("NAME")
		n.path += "." + labels[0]
		c := Column{Node: n.node, Name: labels[0]}
		read(n, "type", &c.Type, toText)
		read(n, "missing", &c.Missing, toNames)
		if c.Args = n.args(); ok {
			d.Columns = append(d.Columns, c)
		}
	}
	used := map[string]int{}
	for _, hb := range b.blocks("transform") {
		if t, ok := r.open(hb, b.scope, b.path+".transform").transform(used); ok {
			d.Transforms = append(d.Transforms, t)
		}
	}
	if s := b.plain("split"); s != nil {
		d.Split = &Split{Node: s.node}
		read(s, "validation", &d.Split.Validation, toFloat)
		read(s, "test", &d.Split.Test, toFloat)
		read(s, "stratify", &d.Split.Stratify, toText)
		read(s, "group", &d.Split.Group, toText)
		read(s, "folds", &d.Split.Folds, toCount)
		read(s, "fold", &d.Split.Fold, toCount)
		readPtr(s, "seed", &d.Split.Seed, toSeed)
		readPtr(s, "shuffle", &d.Split.Shuffle, toBool)
		s.close()
	}
	d.Args = b.args()
	r.spec.Data = append(r.spec.Data, d)
}

// transform reads a transform. One without a label is called by its type, with a number
// from the second of that type on.
func (b *block) transform(used map[string]int) (Transform, bool) {
	labels, ok := b.labels("TYPE", "[NAME]")
	if !ok {
		return Transform{}, false
	}
	t := Transform{Node: b.node, Type: Type(labels[0]), Name: labels[1]}
	if t.Name == "" {
		used[t.Type.Name]++
		t.Name = t.Type.Name
		if n := used[t.Type.Name]; n > 1 {
			t.Name = fmt.Sprintf("%s_%d", t.Name, n)
		}
	} else if !b.r.checkName("transform", t.Name, fromHCLRange(b.hcl.LabelRanges[1])) {
		return t, false
	}
	b.path += "." + t.Name
	b.names("column", "columns", &t.Columns)
	t.Args = b.args()
	return t, true
}

// DataArguments, TransformArguments and the like are the words of a block that are
// not handed to its component; no parameter has such a name.
var (
	DataArguments      = []string{"target", "targets", "weight"}
	TransformArguments = []string{"column", "columns"}
	LossArguments      = []string{"output", "target", "weight"}
	MetricArguments    = []string{"output", "target", "weighted"}
	OptimizerArguments = []string{"schedule"}
)
