package preprocess

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// grouping says which categories are rare.
type grouping struct {
	MinFrequency  *float64 `hone:"min_frequency,optional,min=0" doc:"Categories of fewer training rows form one group of rare ones: a number of rows, or below 1 a share."`
	MaxCategories *int     `hone:"max_categories,optional,min=1" doc:"Most categories, the group of rare ones among them; the least frequent join it."`
	Categories    []string `hone:"categories,optional" doc:"The categories in their order, instead of those of the training rows sorted."`
}

// categories are those of one column.
type categories struct {
	vocabulary sdk.Vocabulary
	names      []string // of the vocabulary's values
	missing    bool     // a missing value is a category, the last
	rare       []bool   // by category; nil where none is rare
	place      []int32  // of each category among those that remain, in order, the rare ones last
	kept       []string // names of those that remain
	grouped    bool     // the last of them are the rare ones
}

// learn finds the categories of one column. missingCategory says whether missing
// values may be one.
func (g *grouping) learn(c sdk.Column, d *sdk.Distinct, missingCategory bool) (*categories, error) {
	k := &categories{vocabulary: d.Vocabulary()}
	counts := slices.Clone(d.Counts)
	if g.Categories != nil {
		v, n, err := given(c, d, g.Categories)
		if err != nil {
			return nil, err
		}
		k.vocabulary, counts = v, n
	}
	for i := range k.vocabulary.Len() {
		k.names = append(k.names, nameOf(c, k.vocabulary, i))
	}
	if missingCategory && d.Missing > 0 && g.Categories == nil {
		k.missing = true
		k.names = append(k.names, "missing")
		counts = append(counts, d.Missing)
	}
	k.group(g.rare(counts, d.Rows))
	return k, nil
}

// given turns the user's categories into a vocabulary and finds their counts.
func given(c sdk.Column, d *sdk.Distinct, words []string) (sdk.Vocabulary, []int64, error) {
	all := d.Vocabulary()
	var v sdk.Vocabulary
	counts := make([]int64, len(words))
	for j, w := range words {
		if slices.Contains(words[:j], w) {
			return v, nil, sdk.Invalid("categories", "%q stands twice among them", w)
		}
		if c.Kind == sdk.TextColumn {
			v.Words = append(v.Words, w)
		} else {
			x, err := number(c, w)
			if err != nil {
				return v, nil, err
			}
			v.Numbers = append(v.Numbers, x)
		}
		for i := range d.Len() {
			if nameOf(c, all, i) == w {
				counts[j] = d.Counts[i]
			}
		}
	}
	return v, counts, nil
}

func number(c sdk.Column, w string) (float64, error) {
	switch {
	case c.Kind == sdk.TruthColumn && w == "false":
		return 0, nil
	case c.Kind == sdk.TruthColumn && w == "true":
		return 1, nil
	}
	var x float64
	if _, err := fmt.Sscan(w, &x); err != nil {
		return 0, sdk.Invalid("categories", "%q is no value of column %q, which holds %v", w, c.Name, c.Kind)
	}
	return x, nil
}

func nameOf(c sdk.Column, v sdk.Vocabulary, i int) string {
	switch {
	case c.Kind == sdk.TextColumn:
		return v.Words[i]
	case c.Kind == sdk.TruthColumn:
		return fmt.Sprint(v.Numbers[i] != 0)
	}
	return fmt.Sprint(v.Numbers[i])
}

// rare says which categories are rare, as scikit-learn does.
func (g *grouping) rare(counts []int64, rows int64) []bool {
	rare := make([]bool, len(counts))
	n := 0
	if g.MinFrequency != nil {
		least := *g.MinFrequency
		if least < 1 {
			least *= float64(rows)
		}
		for i, k := range counts {
			if rare[i] = float64(k) < least; rare[i] {
				n++
			}
		}
	}
	left := len(counts) - n + 1 // scikit-learn counts the group even where it is empty
	if g.MaxCategories != nil && *g.MaxCategories < left {
		order := make([]int, len(counts))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(min(max(counts[a]-counts[b], -1), 1)) })
		for _, i := range order[:len(order)-(*g.MaxCategories-1)] {
			rare[i] = true
		}
		n++
	}
	if n == 0 {
		return nil
	}
	return rare
}

// group numbers the categories that remain.
func (k *categories) group(rare []bool) {
	k.rare, k.grouped = rare, rare != nil
	k.place = make([]int32, len(k.names))
	for i, name := range k.names {
		if rare != nil && rare[i] {
			continue
		}
		k.place[i] = int32(len(k.kept))
		k.kept = append(k.kept, name)
	}
	if !k.grouped {
		return
	}
	for i := range k.names {
		if rare[i] {
			k.place[i] = int32(len(k.kept))
		}
	}
	k.kept = append(k.kept, "infrequent")
}

// places returns, for each row, the place of its category; unknown and absent are
// those of a value that the vocabulary lacks and of a missing one.
func (k *categories) places(b *sdk.TransformBuilder, c sdk.Column, strict bool, unknown, absent int32) graph.Value {
	v := k.vocabulary
	v.Strict = strict
	v.Complete = strict && !k.missing && absent == unknown
	table := slices.Clone(k.place[:v.Len()])
	table = append(table, unknown, absent)
	return b.Const(graph.Int32s(table, int64(len(table)))).Gather(0, 0, b.Codes(c, v))
}

// learned records the categories and those of them that are rare.
func learned(f *sdk.Fit, all []*categories) {
	var names []string
	var lists, rare []any
	for j, c := range f.Columns() {
		k := all[j]
		names, lists = append(names, c.Name), append(lists, k.names)
		var few any
		if k.grouped {
			var list []string
			for i, name := range k.names {
				if k.rare[i] {
					list = append(list, name)
				}
			}
			few = list
		}
		rare = append(rare, few)
	}
	f.Learned("columns", names)
	f.Learned("categories", lists)
	f.Learned("infrequent_categories", rare)
}

// encoder is what one_hot and ordinal share.
type encoder struct {
	grouping
	all []*categories
}

func (e *encoder) finish(f *sdk.Fit, ds []*sdk.Distinct, missingCategory bool) error {
	for j, c := range f.Columns() {
		k, err := e.learn(c, ds[j], missingCategory)
		if err != nil {
			return err
		}
		e.all = append(e.all, k)
	}
	learned(f, e.all)
	return nil
}

// Takes chooses text and truth values.
func (*encoder) Takes(c sdk.Column) bool { return c.Kind != sdk.NumberColumn && !c.Target }

func (e *encoder) distinct(f *sdk.Fit) []*sdk.Distinct {
	var ds []*sdk.Distinct
	for _, c := range f.Columns() {
		ds = append(ds, f.Distinct(c, 0))
	}
	return ds
}

// OneHot turns each column into one of a number for each category.
type OneHot struct {
	encoder
	HandleUnknown string  `hone:"handle_unknown,default=ignore,enum=error|ignore|infrequent_if_exist" doc:"What a category means that the training rows lack: an error, zeros everywhere, or the group of rare ones if there is one."`
	Drop          *string `hone:"drop,optional,enum=first|if_binary" doc:"Leave out the first category, of every column or of those with two."`
}

// Doc describes the transform.
func (*OneHot) Doc() string {
	return "Turns categories into numbers that are 1 for the row's category and 0 for the others. Missing values are a category of their own where training rows lack values."
}

// Fit learns the categories.
func (s *OneHot) Fit(f *sdk.Fit) error {
	ds := s.distinct(f)
	if !f.Pass() {
		return nil
	}
	return s.finish(f, ds, true)
}

// Apply encodes every column.
func (s *OneHot) Apply(b *sdk.TransformBuilder) {
	for j, c := range b.Columns() {
		k := s.all[j]
		names := slices.Clone(k.kept)
		shift := int32(0)
		if s.Drop != nil && (*s.Drop == "first" || len(names) == 2) {
			names, shift = names[1:], 1
		}
		if len(names) == 0 {
			b.Failf("column %q has one category alone, %q, and drop leaves nothing of it; leave the column out with select", c.Name, k.kept[0])
			return
		}
		unknown := int32(-1)
		if s.HandleUnknown == "infrequent_if_exist" && k.grouped {
			unknown = int32(len(k.kept) - 1)
		}
		absent := unknown
		if k.missing {
			absent = k.place[len(k.place)-1]
		}
		code := k.places(b, c, s.HandleUnknown == "error", unknown, absent)
		if shift > 0 {
			code = code.Sub(b.Scalar(graph.I32, float64(shift)))
		}
		hot := b.OneHot(code, code.Dim(0), graph.E(int64(len(names)))).Convert(graph.F32)
		for i, n := range names {
			names[i] = c.Name + "_" + n
		}
		b.Output(sdk.Output{Name: c.Name, Value: hot, Features: names})
	}
}

// Ordinal numbers the categories.
type Ordinal struct {
	encoder
	HandleUnknown       string `hone:"handle_unknown,default=use_encoded_value,enum=error|use_encoded_value" doc:"What a category means that the training rows lack."`
	UnknownValue        int    `hone:"unknown_value,default=-1" doc:"The number of such a category."`
	EncodedMissingValue *int   `hone:"encoded_missing_value,optional" doc:"The number of a missing value. Without it a missing value stays missing."`
}

// Doc describes the transform.
func (*Ordinal) Doc() string { return "Turns categories into whole numbers from 0, in sorted order." }

// Fit learns the categories.
func (s *Ordinal) Fit(f *sdk.Fit) error {
	ds := s.distinct(f)
	if !f.Pass() {
		return nil
	}
	return s.finish(f, ds, false)
}

// Apply encodes every column.
func (s *Ordinal) Apply(b *sdk.TransformBuilder) {
	for j, c := range b.Columns() {
		absent := int32(s.UnknownValue) - 1 // under the mark, and not unknown
		if s.EncodedMissingValue != nil {
			absent = int32(*s.EncodedMissingValue)
		}
		code := s.all[j].places(b, c, s.HandleUnknown == "error", int32(s.UnknownValue), absent)
		if s.EncodedMissingValue != nil {
			b.Output(sdk.Output{Name: c.Name, Value: code})
		} else {
			b.Set(c, code)
		}
	}
}

// Label numbers the classes to be predicted.
type Label struct {
	classes []sdk.Vocabulary
	names   [][]string
}

// Doc describes the transform.
func (*Label) Doc() string {
	return "Turns the classes of the target into whole numbers from 0, in sorted order; predictions are given under the classes' names."
}

// Takes chooses the targets.
func (*Label) Takes(c sdk.Column) bool { return c.Target }

// Fit learns the classes.
func (s *Label) Fit(f *sdk.Fit) error {
	columns := f.Columns()
	if len(columns) == 0 {
		return sdk.Invalid("columns", "there is no target; name the column")
	}
	ds := make([]*sdk.Distinct, len(columns))
	for j, c := range columns {
		ds[j] = f.Distinct(c, 0)
	}
	if !f.Pass() {
		return nil
	}
	var names []string
	var classes []any
	for j, c := range columns {
		v := ds[j].Vocabulary()
		if v.Len() < 2 {
			return fmt.Errorf("the training rows have one class alone in column %q, %q: there is nothing to tell apart. Add rows of other classes, or split with stratify", c.Name, nameOf(c, v, 0))
		}
		v.Strict, v.Complete = true, true
		var list []string
		for i := range v.Len() {
			list = append(list, nameOf(c, v, i))
		}
		s.classes, s.names = append(s.classes, v), append(s.names, list)
		names, classes = append(names, c.Name), append(classes, list)
	}
	f.Learned("columns", names)
	f.Learned("classes", classes)
	return nil
}

// Apply encodes every column.
func (s *Label) Apply(b *sdk.TransformBuilder) {
	for j, c := range b.Columns() {
		b.Output(sdk.Output{Name: c.Name, Value: b.Codes(c, s.classes[j]).Convert(graph.I64), Labels: s.names[j]})
	}
}

// Hash puts categories into buckets without learning them.
type Hash struct {
	NumBins int    `hone:"num_bins,required,min=1,max=1000000" doc:"Number of buckets."`
	Encode  string `hone:"encode,default=onehot,enum=onehot|ordinal" doc:"A number for each bucket, or the bucket's number."`
	Salt    string `hone:"salt,default=" doc:"Changes which values share a bucket."`
}

// Doc describes the transform.
func (*Hash) Doc() string {
	return "Puts values into buckets by a hash: for columns of too many categories to learn. Different values may share a bucket; a missing value is in none. The bucket is the remainder, by num_bins, of the 64-bit FNV-1a hash of the salt and the value's text, mixed by MurmurHash3's finalizer: the same everywhere and in every version."
}

// Takes chooses text and truth values.
func (*Hash) Takes(c sdk.Column) bool { return c.Kind != sdk.NumberColumn && !c.Target }

// Apply encodes every column.
func (s *Hash) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		code := b.Hash(c, s.NumBins, s.Salt)
		if s.Encode == "ordinal" {
			b.Set(c, code)
			continue
		}
		hot := b.OneHot(code, code.Dim(0), graph.E(int64(s.NumBins))).Convert(graph.F32)
		b.Output(sdk.Output{Name: c.Name, Value: hot})
	}
}
