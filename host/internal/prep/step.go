package prep

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// step is one fitted transform: the function that computes and how it is fed and
// read. Its exported fields are what a checkpoint keeps.
type step struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Given      []string        `json:"given"`             // the columns it was given; numbers below are places among them
	Function   string          `json:"function"`          // in the pipeline's module
	Entries    []entry         `json:"entries,omitempty"` // the function's inputs
	Columns    []made          `json:"columns,omitempty"` // what takes the place of the given columns
	Filter     bool            `json:"filter,omitempty"`
	Sample     []int64         `json:"sample,omitempty"` // rows wanted of each group
	DropOthers bool            `json:"drop_others,omitempty"`
	Augment    bool            `json:"augment,omitempty"`
	Learned    json.RawMessage `json:"learned,omitempty"`

	fn  *graph.Func
	run *runner
	at  *diag.Range // where it was written; nil once loaded
}

// The ways in which a column enters a function. The list is closed: a reader that
// meets another refuses it.
const (
	elements   = "elements@1"
	missing    = "missing@1"
	vocabulary = "vocabulary@1"
	hashBucket = "hash@1"
	parsed     = "number@1"
)

// entry says how an input of the function comes from a column.
type entry struct {
	Column   int       `json:"column"`
	How      string    `json:"how"`
	Words    []string  `json:"words,omitempty"`
	Numbers  []float64 `json:"numbers,omitempty"`
	Strict   bool      `json:"strict,omitempty"`
	Complete bool      `json:"complete,omitempty"`
	Buckets  uint32    `json:"buckets,omitempty"`
	Salt     string    `json:"salt,omitempty"`

	codes *coder
}

// made is a column that leaves a transform. Pass, Output, MissingAs, MissingBy and
// WordsFrom are numbers plus one, 0 for none.
type made struct {
	Name      string   `json:"name"`
	Pass      int      `json:"pass,omitempty"`
	Output    int      `json:"output,omitempty"`
	MissingAs int      `json:"missing_as,omitempty"`
	MissingBy int      `json:"missing_by,omitempty"`
	Words     []string `json:"words,omitempty"`
	WordsFrom int      `json:"words_from,omitempty"`
	Labels    []string `json:"labels,omitempty"`
	Features  []string `json:"features,omitempty"`
}

// stepOf reads a plugin's answer. It checks nothing; see check.
func stepOf(f *pluginpb.Fitted) (*step, error) {
	s := &step{Filter: f.Filter, DropOthers: f.DropOthers}
	for _, e := range f.Entries {
		n := entry{Column: int(e.Column)}
		switch h := e.How.(type) {
		case *pluginpb.Entry_Elements:
			n.How = elements
		case *pluginpb.Entry_Missing:
			n.How = missing
		case *pluginpb.Entry_Vocabulary:
			n.How, n.Words, n.Numbers, n.Strict, n.Complete = vocabulary, h.Vocabulary.GetWords(), h.Vocabulary.GetNumbers(), h.Vocabulary.GetStrict(), h.Vocabulary.GetComplete()
		case *pluginpb.Entry_Hash:
			n.How, n.Buckets, n.Salt = hashBucket, h.Hash.GetBuckets(), h.Hash.GetSalt()
		case *pluginpb.Entry_Parse:
			n.How, n.Strict = parsed, h.Parse.GetStrict()
		default:
			return nil, fmt.Errorf("an input comes from column %d in a way that this version of hone does not know", e.Column)
		}
		s.Entries = append(s.Entries, n)
	}
	for _, c := range f.Columns {
		m := made{Name: c.Name, MissingAs: int(c.MissingAs), MissingBy: int(c.MissingOutput), Words: c.Words, WordsFrom: int(c.WordsFrom), Labels: c.Labels, Features: c.Features}
		switch from := c.From.(type) {
		case *pluginpb.FittedColumn_Pass:
			m.Pass = int(from.Pass) + 1
		case *pluginpb.FittedColumn_Output:
			m.Output = int(from.Output) + 1
		}
		s.Columns = append(s.Columns, m)
	}
	if f.Sample != nil {
		s.Sample = f.Sample.Counts
		if len(s.Sample) == 0 {
			return nil, fmt.Errorf("it samples rows of no group")
		}
	}
	if f.Learned != "" {
		if !json.Valid([]byte(f.Learned)) || len(f.Learned) > 16<<20 {
			return nil, fmt.Errorf("what it learned is no JSON, or more than 16 MiB")
		}
		s.Learned = json.RawMessage(f.Learned)
	}
	return s, nil
}

// check verifies that the step fits its function and the columns that it meets,
// and prepares it to run. It trusts nothing: steps come from plugins and files.
func (s *step) check(in []field, m *graph.Module) error {
	if s.fn = m.Func(s.Function, graph.Any); s.fn == nil {
		return fmt.Errorf("there is no function %q", s.Function)
	}
	given := make([]field, len(s.Given))
	for i, name := range s.Given {
		at := find(in, name)
		if at < 0 || slices.Contains(s.Given[:i], name) {
			return fmt.Errorf("it is given column %q, which is absent or given twice", name)
		}
		given[i] = in[at]
	}
	if err := s.checkInputs(given); err != nil {
		return err
	}
	if err := s.checkResults(given); err != nil {
		return err
	}
	for i := range s.Entries {
		if e := &s.Entries[i]; e.How == vocabulary {
			var err error
			if e.codes, err = newCoder(e); err != nil {
				return err
			}
		}
	}
	names := map[string]bool{}
	left := s.out(in)
	if !slices.ContainsFunc(left, func(f field) bool { return !f.target && !f.aside }) && slices.ContainsFunc(in, func(f field) bool { return !f.target && !f.aside }) {
		return diag.Errorf("no_column", "the transform %q drops every column", s.Name).Hint("Name other columns, or raise its threshold.")
	}
	for _, f := range left {
		if names[f.Name] {
			return diag.Errorf("same_column", "the transform %q makes a column %q, and there is one already", s.Name, f.Name).
				Hint("Name its output otherwise, or leave the other column out with select.")
		}
		names[f.Name] = true
	}
	return nil
}

func (s *step) checkInputs(given []field) error {
	next := 0
	s.Augment = false
	for _, p := range s.fn.Params {
		switch p.Role {
		case graph.KeyRole:
			s.Augment = true
			continue
		case graph.StepRole, graph.IndexRole:
			continue
		case graph.Input:
		default:
			return fmt.Errorf("its function takes a %v %q, and a transform's does not", p.Role, p.Name)
		}
		if next >= len(s.Entries) {
			return fmt.Errorf("its function takes more than the %d inputs that it describes", len(s.Entries))
		}
		t, err := s.Entries[next].typ(given)
		if err != nil {
			return err
		}
		if !p.Type.Equal(t) {
			return fmt.Errorf("input %q is %v and would be given %v", p.Name, p.Type, t)
		}
		next++
	}
	if next != len(s.Entries) {
		return fmt.Errorf("its function takes %d inputs, and it describes %d", next, len(s.Entries))
	}
	if s.Augment && (s.Filter || s.Sample != nil) {
		return fmt.Errorf("it draws random bits, and filters or samples rows")
	}
	return nil
}

// typ returns the type of the input that the entry gives.
func (e *entry) typ(given []field) (graph.Type, error) {
	none := graph.Type{}
	if e.Column < 0 || e.Column >= len(given) {
		return none, fmt.Errorf("an input comes from column %d of %d", e.Column, len(given))
	}
	f := given[e.Column]
	text, batch := f.Type == data.String, graph.Shape{graph.Batch}
	switch e.How {
	case elements:
		if text {
			return none, fmt.Errorf("column %q holds text, and an input takes its numbers", f.Name)
		}
		return f.graphType(), nil
	case missing:
		return graph.Type{DType: graph.Bool, Shape: batch}, nil
	case vocabulary:
		if len(f.Shape) > 0 || text && len(e.Numbers) > 0 || !text && len(e.Words) > 0 {
			return none, fmt.Errorf("the vocabulary of column %q does not fit what it holds", f.Name)
		}
		return graph.Type{DType: graph.I32, Shape: batch}, nil
	case hashBucket:
		if len(f.Shape) > 0 || e.Buckets == 0 || e.Buckets > math.MaxInt32-1 {
			return none, fmt.Errorf("column %q is hashed into %d buckets", f.Name, e.Buckets)
		}
		return graph.Type{DType: graph.I32, Shape: batch}, nil
	case parsed:
		if !text {
			return none, fmt.Errorf("column %q holds no text to read numbers from", f.Name)
		}
		return graph.Type{DType: graph.F64, Shape: batch}, nil
	}
	return none, fmt.Errorf("an input comes from column %q as %q, which this version of hone does not know; upgrade it", f.Name, e.How)
}

func (f field) graphType() graph.Type {
	t := graph.Type{DType: f.Type.DType(), Shape: graph.Shape{graph.Batch}}
	for _, d := range f.Shape {
		t.Shape = append(t.Shape, graph.N(int64(d)))
	}
	return t
}

func (s *step) checkResults(given []field) error {
	outputs := 0
	for _, r := range s.fn.Results {
		if r.Role != graph.Output {
			return fmt.Errorf("its function returns a %v %q, and a transform's does not", r.Role, r.Name)
		}
		if strings.HasPrefix(r.Name, "y") {
			outputs++
		}
	}
	batch := graph.Shape{graph.Batch}
	mask, codes := graph.Type{DType: graph.Bool, Shape: batch}, graph.Type{DType: graph.I32, Shape: batch}
	if s.Filter && !s.result("keep").Equal(mask) || s.Sample != nil && !s.result("group").Equal(codes) {
		return fmt.Errorf("its function does not say which rows it keeps or draws")
	}
	for _, n := range s.Sample {
		if n < 0 || n > math.MaxInt32 {
			return fmt.Errorf("it wants %d rows of a group", n)
		}
	}
	names := map[string]bool{}
	for i := range s.Columns {
		m := &s.Columns[i]
		if m.Name == "" || len(m.Name) > 4096 || !utf8.ValidString(m.Name) || names[m.Name] {
			return fmt.Errorf("it makes a column called %q, or two of that name", m.Name)
		}
		names[m.Name] = true
		for _, k := range []int{m.Pass, m.MissingAs, m.WordsFrom} {
			if k < 0 || k > len(given) {
				return fmt.Errorf("column %q comes from column %d of %d", m.Name, k, len(given))
			}
		}
		if (m.Pass > 0) == (m.Output > 0) || m.Output < 0 || m.Output > outputs || m.MissingBy < 0 || m.MissingBy > outputs {
			return fmt.Errorf("column %q comes from nowhere", m.Name)
		}
		if m.MissingBy > 0 && !s.result(resultName(m.MissingBy)).Equal(mask) {
			return fmt.Errorf("column %q has a mask of type %v", m.Name, s.result(resultName(m.MissingBy)))
		}
		if m.Pass > 0 {
			continue
		}
		t := s.result(resultName(m.Output))
		if typeOf(t.DType) == data.Invalid || t.Rank() == 0 || t.Shape[0] != graph.Batch {
			return fmt.Errorf("column %q is %v, which a table cannot hold", m.Name, t)
		}
		if extents, ok := t.Shape[1:].Const(); !ok || slices.ContainsFunc(extents, func(d int64) bool { return d < 1 || d > math.MaxInt32 }) {
			return fmt.Errorf("column %q is %v, of no fixed size or an empty one", m.Name, t)
		}
		if m.isText() && !t.Equal(codes) || m.WordsFrom > 0 && given[m.WordsFrom-1].Type != data.String {
			return fmt.Errorf("column %q cannot hold words: it is %v", m.Name, t)
		}
	}
	return nil
}

func (m *made) isText() bool { return len(m.Words) > 0 || m.WordsFrom > 0 }

func resultName(number int) string { return fmt.Sprintf("y%d", number-1) }

// result returns the type of a result, the zero Type where there is none.
func (s *step) result(name string) graph.Type {
	i := s.fn.Result(graph.Output, name)
	if i < 0 {
		return graph.Type{}
	}
	return s.fn.TypeOf(s.fn.Results[i].Value)
}

func typeOf(d graph.DType) data.Type {
	for t := data.F64; t <= data.Bool; t++ {
		if t.DType() == d {
			return t
		}
	}
	return data.Invalid
}

// out returns the fields after the step: columns that the transform gave a new
// value stay in their place, and new ones follow the last of those that it was given.
func (s *step) out(in []field) []field {
	last := -1
	for i, f := range in {
		if slices.Contains(s.Given, f.Name) {
			last = i
		}
	}
	var fs []field
	for i, f := range in {
		switch {
		case !slices.Contains(s.Given, f.Name):
			if !s.DropOthers || f.target || f.aside {
				fs = append(fs, f)
			}
		default:
			if m := s.makes(f.Name); m != nil {
				fs = append(fs, s.field(in, m))
			}
		}
		if i == last {
			for j := range s.Columns {
				if m := &s.Columns[j]; !slices.Contains(s.Given, m.Name) {
					fs = append(fs, s.field(in, m))
				}
			}
		}
	}
	return fs
}

func (s *step) makes(name string) *made {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return &s.Columns[i]
		}
	}
	return nil
}

// field describes a column that leaves the step.
func (s *step) field(in []field, m *made) field {
	var f field
	if m.Pass > 0 {
		f = in[find(in, s.Given[m.Pass-1])]
	} else {
		if at := find(in, m.Name); at >= 0 && slices.Contains(s.Given, m.Name) {
			f.target, f.aside = in[at].target, in[at].aside
		}
		t := s.result(resultName(m.Output))
		f.Type = typeOf(t.DType)
		if m.isText() {
			f.Type = data.String
		}
		extents, _ := t.Shape[1:].Const()
		f.Shape = nil
		for _, d := range extents {
			f.Shape = append(f.Shape, int(d))
		}
		f.labels = m.Labels
	}
	f.Name = m.Name
	if len(m.Features) > 0 {
		f.features = m.Features
	}
	return f
}

// reads reports whether the step computes from the column.
func (s *step) reads(name string) bool {
	for i := range s.Entries {
		if s.Given[s.Entries[i].Column] == name {
			return true
		}
	}
	return false
}

// passedAs returns the names under which a given column passes.
func (s *step) passedAs(name string) []string {
	var names []string
	for i := range s.Columns {
		if m := &s.Columns[i]; m.Pass > 0 && s.Given[m.Pass-1] == name {
			names = append(names, m.Name)
		}
	}
	return names
}
