package spec

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Print writes the spec as HCL in canonical form, with every expression replaced by its value
// and every count by its copies. Parse reads the same spec from it, except that sensitive
// arguments are absent. The spec must have passed Validate.
func (s *Spec) Print() []byte {
	p := &hclPrinter{}
	p.hone(&s.Hone)
	for i := range s.Data {
		p.data(&s.Data[i])
	}
	for i := range s.Models {
		p.model(&s.Models[i])
	}
	if s.Train != nil {
		p.train(s.Train)
	}
	return hclwrite.Format(bytes.TrimSpace(p.out.Bytes()))
}

// hclPrinter writes blocks. hclwrite.Format indents and aligns them afterwards.
type hclPrinter struct {
	out bytes.Buffer
}

func (p *hclPrinter) block(kind string, labels []string, body func()) {
	p.out.WriteString(kind)
	for _, l := range labels {
		p.out.WriteString(" " + quote(l))
	}
	p.out.WriteString(" {\n")
	start := p.out.Len()
	body()
	if p.out.Len() == start {
		p.out.Truncate(start - 1)
		p.out.WriteString("}\n")
		return
	}
	p.out.WriteString("}\n")
}

func (p *hclPrinter) raw(name, value string) { fmt.Fprintf(&p.out, "%s = %s\n", name, value) }

func (p *hclPrinter) text(name, value string) {
	if value != "" {
		p.raw(name, quote(value))
	}
}

func (p *hclPrinter) texts(name string, values []string) {
	if values != nil {
		p.raw(name, quoteAll(values))
	}
}

func (p *hclPrinter) integer(name string, n int) {
	if n != 0 {
		p.raw(name, strconv.Itoa(n))
	}
}

func (p *hclPrinter) number(name string, x float64) {
	if x != 0 {
		p.raw(name, number(x))
	}
}

func (p *hclPrinter) flag(name string, b *bool) {
	if b != nil {
		p.raw(name, strconv.FormatBool(*b))
	}
}

func (p *hclPrinter) seed(name string, n *uint64) {
	if n != nil {
		p.raw(name, strconv.FormatUint(*n, 10))
	}
}

func (p *hclPrinter) args(args Args) {
	for _, a := range args {
		switch {
		case a.Sensitive:
			fmt.Fprintf(&p.out, "# %s: sensitive, not shown\n", a.Name)
		case len(a.Components) > 0:
			for i := range a.Components {
				p.component(a.Name, &a.Components[i])
			}
		case a.Value != cty.NilVal:
			p.raw(a.Name, literal(a.Value))
		}
	}
}

func (p *hclPrinter) component(kind string, c *Component) {
	p.block(kind, []string{c.Type.String()}, func() { p.args(c.Args) })
}

func (p *hclPrinter) hone(h *Hone) {
	if h.RequiredVersion == "" && len(h.Plugins) == 0 {
		return
	}
	p.block("hone", nil, func() {
		p.text("required_version", h.RequiredVersion)
		if len(h.Plugins) == 0 {
			return
		}
		p.block("required_plugins", nil, func() {
			for _, r := range h.Plugins {
				value := "{ source = " + quote(r.Source)
				if r.Version != "" {
					value += ", version = " + quote(r.Version)
				}
				p.raw(r.Name, value+" }")
			}
		})
	})
	p.out.WriteByte('\n')
}

func (p *hclPrinter) data(d *Data) {
	p.block("data", []string{d.Type.String(), d.Name}, func() {
		p.args(d.Args)
		p.texts("targets", d.Targets)
		p.text("weight", d.Weight)
		for _, s := range d.Sources {
			p.block("source", []string{s.Part}, func() { p.args(s.Args) })
		}
		for _, c := range d.Columns {
			p.block("column", []string{c.Name}, func() {
				p.text("type", c.Type)
				p.texts("missing", c.Missing)
				p.args(c.Args)
			})
		}
		for _, t := range d.Transforms {
			p.block("transform", []string{t.Type.String(), t.Name}, func() {
				p.texts("columns", t.Columns)
				p.args(t.Args)
			})
		}
		if s := d.Split; s != nil {
			p.block("split", nil, func() {
				p.number("validation", s.Validation)
				p.number("test", s.Test)
				p.text("stratify", s.Stratify)
				p.text("group", s.Group)
				p.integer("folds", s.Folds)
				p.integer("fold", s.Fold)
				p.seed("seed", s.Seed)
				p.flag("shuffle", s.Shuffle)
			})
		}
	})
	p.out.WriteByte('\n')
}

func (p *hclPrinter) model(m *Model) {
	p.block("model", []string{m.Name}, func() {
		blocks := &blockPrinter{names: map[string]string{}}
		body := p.network(m, blocks)
		for _, b := range blocks.written {
			p.out.WriteString(b)
		}
		p.out.WriteString(body)
	})
	p.out.WriteByte('\n')
}

// blockPrinter collects the insides of instances as blocks; equal ones become one.
type blockPrinter struct {
	names   map[string]string // text of an inside to the block's name
	written []string          // definitions, in order
	taken   []string
}

// define returns the name of a block with that inside, new if need be.
func (d *blockPrinter) define(wanted, inside string) string {
	if name, ok := d.names[inside]; ok {
		return name
	}
	name := wanted
	for n := 2; slices.Contains(d.taken, name); n++ {
		name = fmt.Sprintf("%s_%d", wanted, n)
	}
	d.taken = append(d.taken, name)
	d.names[inside] = name
	d.written = append(d.written, fmt.Sprintf("block %s {\n%s}\n", quote(name), inside))
	return name
}

// network writes the inside of a model or block into a text of its own.
func (p *hclPrinter) network(m *Model, blocks *blockPrinter) string {
	q := &hclPrinter{}
	for _, in := range m.Inputs {
		q.block("input", []string{in.Name}, func() {
			if in.Shape != nil {
				q.raw("shape", strings.ReplaceAll(fmt.Sprint(in.Shape), " ", ", "))
			}
			q.text("dtype", in.DType)
			q.texts("columns", in.Columns)
		})
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		typ := l.Type.String()
		if l.Group != nil {
			typ = blockLocal + "." + blocks.define(l.Group.Name, p.network(l.Group, blocks))
		} else if l.Type.Local == blockLocal && l.Share != nil {
			if j := m.Find(l.Share.Name); j >= 0 && m.Layers[j].Group != nil {
				g := m.Layers[j].Group
				typ = blockLocal + "." + blocks.define(g.Name, p.network(g, blocks))
			}
		}
		q.block("layer", []string{typ, l.Name}, func() {
			switch len(l.From) {
			case 0:
			case 1:
				q.raw("from", l.From[0].String())
			default:
				refs := make([]string, len(l.From))
				for j, r := range l.From {
					refs[j] = r.String()
				}
				q.raw("from", "["+strings.Join(refs, ", ")+"]")
			}
			if l.Share != nil {
				q.raw("share", l.Share.String())
			}
			q.flag("trainable", l.Trainable)
			q.args(l.Args)
		})
	}
	for _, out := range m.Outputs {
		q.block("output", []string{out.Name}, func() { q.raw("from", out.From.String()) })
	}
	return q.out.String()
}

func (p *hclPrinter) train(t *Train) {
	p.block("train", nil, func() {
		if t.Model != "" {
			p.raw("model", "model."+t.Model)
		}
		if t.Data != "" {
			p.raw("data", "data."+t.Data)
		}
		p.integer("epochs", t.Epochs)
		p.integer("batch_size", t.BatchSize)
		p.seed("seed", t.Seed)
		p.flag("shuffle", t.Shuffle)
		p.number("validation_split", t.ValidationSplit)
		p.integer("accumulate", t.Accumulate)
		p.number("clip_norm", t.ClipNorm)
		p.number("clip_value", t.ClipValue)
		if c := t.ClassWeight; c != nil {
			p.classWeight(c)
		}
		for i := range t.Losses {
			l := &t.Losses[i]
			p.block("loss", labels(l.Type, l.Name), func() {
				p.text("output", l.Output)
				p.text("target", l.Target)
				if l.Weight != nil {
					p.raw("weight", number(*l.Weight))
				}
				p.args(l.Args)
			})
		}
		for i := range t.Metrics {
			m := &t.Metrics[i]
			p.block("metric", labels(m.Type, m.Name), func() {
				p.text("output", m.Output)
				p.text("target", m.Target)
				if m.Weighted {
					p.flag("weighted", &m.Weighted)
				}
				p.args(m.Args)
			})
		}
		if t.Optimizer != nil {
			p.optimizer(t.Optimizer)
		}
		if s := t.EarlyStopping; s != nil {
			p.block("early_stopping", nil, func() {
				p.text("monitor", s.Monitor)
				p.integer("patience", s.Patience)
				p.number("min_delta", s.MinDelta)
				p.text("mode", s.Mode)
				if s.RestoreBest {
					p.flag("restore_best", &s.RestoreBest)
				}
			})
		}
		if c := t.Checkpoint; c != nil {
			p.block("checkpoint", nil, func() {
				p.integer("every", c.Every)
				p.integer("keep", c.Keep)
				p.integer("keep_every", c.KeepEvery)
				p.integer("full_every", c.FullEvery)
				p.text("on_error", c.OnError)
				if c.Best != nil {
					p.block("best", nil, func() {
						p.text("monitor", c.Best.Monitor)
						p.text("mode", c.Best.Mode)
						p.integer("keep", c.Best.Keep)
					})
				}
			})
		}
		if t.EMA != nil {
			p.block("ema", nil, func() { p.number("decay", t.EMA.Decay) })
		}
		if t.InitFrom != nil {
			p.initFrom(t.InitFrom)
		}
		for i := range t.Phases {
			p.phase(&t.Phases[i])
		}
	})
}

func labels(t TypeRef, name string) []string {
	if name == "" {
		return []string{t.String()}
	}
	return []string{t.String(), name}
}

func (p *hclPrinter) optimizer(o *Optimizer) {
	p.block("optimizer", []string{o.Type.String()}, func() {
		p.args(o.Args)
		if o.Schedule != nil {
			p.component("schedule", o.Schedule)
		}
	})
}

func (p *hclPrinter) classWeight(c *ClassWeight) {
	if c.Balanced {
		p.text("class_weight", "balanced")
		return
	}
	p.out.WriteString("class_weight = {\n")
	for _, w := range c.Weights {
		p.raw(quote(w.Class), number(w.Weight))
	}
	p.out.WriteString("}\n")
}

func (p *hclPrinter) initFrom(f *InitFrom) {
	p.block("init_from", nil, func() {
		p.text("path", f.Path.Raw)
		if len(f.Map) > 0 {
			p.out.WriteString("map = {\n")
			for _, r := range f.Map {
				p.raw(quote(r.From), quote(r.To))
			}
			p.out.WriteString("}\n")
		}
		if len(f.Axes) > 0 {
			p.out.WriteString("axes = {\n")
			for _, a := range f.Axes {
				p.raw(quote(a.Pattern), strings.ReplaceAll(fmt.Sprint(a.Order), " ", ", "))
			}
			p.out.WriteString("}\n")
		}
		p.texts("exclude", f.Exclude)
		if f.Cut != "" {
			p.text("cut", f.Cut)
		}
		p.flag("strict", f.Strict)
	})
}

func (p *hclPrinter) phase(f *Phase) {
	p.block("phase", []string{f.Name}, func() {
		p.integer("epochs", f.Epochs)
		p.integer("batch_size", f.BatchSize)
		p.texts("freeze", f.Freeze)
		p.texts("unfreeze", f.Unfreeze)
		if f.LearningRate != nil {
			p.raw("learning_rate", number(*f.LearningRate))
		}
		if f.Schedule != nil {
			p.component("schedule", f.Schedule)
		}
		if f.Optimizer != nil {
			p.optimizer(f.Optimizer)
		}
	})
}

func quote(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

func quoteAll(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// literal writes a value as HCL. Numbers that are not whole get the digits of a float64, as
// they are used.
func literal(v cty.Value) string {
	ty := v.Type()
	switch {
	case v.IsNull() || !v.IsKnown():
		return "null"
	case ty == cty.String:
		return quote(v.AsString())
	case ty == cty.Bool:
		return strconv.FormatBool(v.True())
	case ty == cty.Number:
		return numberLiteral(v.AsBigFloat())
	}
	if items, ok := elements(v); ok {
		parts := make([]string, len(items))
		for i, item := range items {
			parts[i] = literal(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if !v.CanIterateElements() {
		return "null"
	}
	var parts []string
	for it := v.ElementIterator(); it.Next(); {
		k, item := it.Element()
		key := k.AsString()
		if !hclsyntax.ValidIdentifier(key) {
			key = quote(key)
		}
		parts = append(parts, key+" = "+literal(item))
	}
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func numberLiteral(f *big.Float) string {
	if i, acc := f.Int(nil); acc == big.Exact && i.BitLen() <= 64 {
		return i.String()
	}
	if x, _ := f.Float64(); x-x == 0 {
		return number(x)
	}
	return f.Text('g', 20)
}
