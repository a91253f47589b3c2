package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/data/digits"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
)

// Parts are the rows of a data block: tables in memory, or where they do not fit
// there, rows on disk. Validation and Test are nil where there are none.
type Parts struct {
	Train, Validation, Test data.Dataset
	// Digest identifies the bytes that were read.
	Digest string

	files   []io.Closer
	origins map[string]origin
}

// origin says where a part's rows come from.
type origin struct {
	path string
	open data.OpenOptions
	rows []int64 // of the file, by row of the part; nil where they are the same
	n    int     // rows of the part as it was read
}

// From says that a part's rows are those of a file, for messages.
func (p *Parts) From(part, path string, open data.OpenOptions, rows int) {
	if p.origins == nil {
		p.origins = map[string]origin{}
	}
	p.origins[part] = origin{path: path, open: open, n: rows}
}

// divide gives parts rows of the training part.
func (p *Parts) divide(rows map[string][]int64) {
	from, known := p.origins["train"]
	whole := p.Train
	for part, of := range rows {
		d := data.SubsetOf(whole, of)
		switch part {
		case "train":
			p.Train = d
		case "validation":
			p.Validation = d
		default:
			p.Test = d
		}
		if !known {
			continue
		}
		o := origin{path: from.path, open: from.open, rows: of, n: len(of)}
		if from.rows != nil {
			o.rows = make([]int64, len(of))
			for i, r := range of {
				o.rows[i] = from.rows[r]
			}
		}
		p.origins[part] = o
	}
}

// Only leaves one part, as the test part.
func (p *Parts) Only(part string) {
	switch part {
	case "train":
		p.Test = p.Train
	case "validation":
		p.Test = p.Validation
	}
	p.Train, p.Validation = nil, nil
	p.origins = map[string]origin{"test": p.origins[part]}
}

// Explain points diagnostics about the data at the file, line and column. Rows
// that they name are counted in the part as it was read, unless rows, the
// number that it has now, is another one: then the file alone is named.
func (p *Parts) Explain(part string, rows int, ds diag.Diagnostics) diag.Diagnostics {
	o, ok := p.origins[part]
	if !ok || o.path == "" {
		return ds
	}
	out := slices.Clone(ds)
	for i := range out {
		d := &out[i]
		if d.Column == "" {
			continue
		}
		at := diag.Range{File: o.path}
		if d.Row == diag.SomeRow {
			cell, row, ok := p.odd(part, d)
			if !ok {
				d.Column, d.Row = "", 0
				continue
			}
			d.Detail = strings.TrimSpace(fmt.Sprintf("%s The column holds numbers but for %q in row %d: correct it, or name it among the missing values.", d.Detail, cell, row))
			d.Row = row
			at = data.Place(o.path, o.open, row, d.Column)
		} else if rows == o.n || d.Row == 0 {
			row := d.Row
			if row > 0 && o.rows != nil {
				row = o.rows[row-1] + 1
				d.Summary = renamed(d.Summary, d.Row, row)
				d.Row = row
			}
			at = data.Place(o.path, o.open, row, d.Column)
		}
		d.Subject, d.Context = &at, nil
	}
	return out
}

// odd looks for the cell that makes a column text, where a diagnostic is about a
// whole column.
func (p *Parts) odd(part string, d *diag.Diagnostic) (string, int64, bool) {
	// The parts of one file have one type in a column, whichever has the cell.
	parts := map[string]data.Dataset{"train": p.Train, "validation": p.Validation, "test": p.Test}
	for _, name := range []string{part, "train", "validation", "test"} {
		o := p.origins[name]
		if parts[name] == nil || o.path != p.origins[part].path || o.n != parts[name].Rows() {
			continue
		}
		if cell, row, ok := data.OddCell(context.Background(), parts[name], d.Column); ok {
			if o.rows != nil {
				row = o.rows[row-1] + 1
			}
			return cell, row, true
		}
	}
	return "", 0, false
}

// renamed replaces "row FROM" by "row TO".
func renamed(text string, from, to int64) string {
	return regexp.MustCompile(fmt.Sprintf(`\brow %d\b`, from)).ReplaceAllString(text, fmt.Sprintf("row %d", to))
}

// Close removes what lies on disk.
func (p *Parts) Close() error {
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	p.files = nil
	return errors.Join(errs...)
}

// Keep leaves a dataset's file, where it has one, to Close.
func (p *Parts) Keep(d data.Dataset) data.Dataset {
	if f, ok := d.(io.Closer); ok {
		p.files = append(p.files, f)
	}
	return d
}

// Named calls each with every part there is, in order.
func (p *Parts) Named(each func(name string, t *data.Dataset) error) error {
	for _, x := range []struct {
		name string
		t    *data.Dataset
	}{{"train", &p.Train}, {"validation", &p.Validation}, {"test", &p.Test}} {
		if *x.t != nil {
			if err := each(x.name, x.t); err != nil {
				return err
			}
		}
	}
	return nil
}

// source reads one kind of data block.
type source struct {
	params []spec.Param
	read   func(ctx context.Context, d *spec.Data, v spec.Values, limits data.Limits) (*Parts, error)
}

func pathParam(name, doc string, required bool) spec.Param {
	return spec.Param{Name: name, Doc: doc, Kind: spec.PathValue, Required: required, Optional: !required}
}

// sources are the types of data blocks.
func sources() map[string]source {
	csv := []spec.Param{
		pathParam("path", "The file, compressed by gzip or zstd or not.", true),
		{Name: "columns", Doc: "Names of the columns, for a file without a header line.", Kind: spec.TextValue, List: true, Optional: true},
		{Name: "header", Doc: "Whether the first line is a header, where columns are given as well.", Kind: spec.BoolValue, Optional: true},
		{Name: "delimiter", Doc: "What separates fields: one character.", Kind: spec.TextValue, Optional: true},
		{Name: "quote", Doc: "What encloses fields: one character, or an empty string for none.", Kind: spec.TextValue, Optional: true},
		{Name: "comment", Doc: "What begins lines to pass over: one character.", Kind: spec.TextValue, Optional: true},
		{Name: "skip_initial_space", Doc: "Whether spaces after a delimiter are dropped.", Kind: spec.BoolValue, Default: cty.False},
		{Name: "missing", Doc: "Cells that mean that there is no value.", Kind: spec.TextValue, List: true, Optional: true},
		{Name: "max_field", Doc: "The most bytes of one field, 1 MiB where absent: a quote that is never closed would make a field of the whole file.", Kind: spec.IntValue, Optional: true},
	}
	file := []spec.Param{pathParam("path", "The file.", true)}
	return map[string]source{
		"digits": {nil, func(ctx context.Context, _ *spec.Data, _ spec.Values, _ data.Limits) (*Parts, error) {
			t, err := digits.Load(ctx)
			return parts(t, nil, err)
		}},
		"idx": {[]spec.Param{
			pathParam("path", "A folder with IDX files named as MNIST's are: train* and t10k*, images and labels.", false),
			pathParam("images", "A file of images, instead of a folder.", false),
			pathParam("labels", "The file of their labels.", false),
		}, readIDX},
		"csv":     {csv, readCSV},
		"jsonl":   {file, readAs(data.FormatJSONLines)},
		"npy":     {file, readAs(data.FormatNPY)},
		"npz":     {file, readAs(data.FormatNPZ)},
		"parquet": {file, readAs(data.FormatParquet)},
		"arrow":   {file, readAs(data.FormatArrow)},
	}
}

// Types lists the types of data blocks.
func Types() []string {
	var out []string
	for t := range sources() {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// Options say how to load.
type Options struct {
	// Seed divides the rows, where the split has no seed of its own.
	Seed uint64
	// Memory is the most bytes that a file's rows may take in memory: those of
	// larger files lie on disk. 0 is data.Limits' default.
	Memory int64
}

// parts wraps what a source without a division of its own read.
func parts(train, test *data.Table, err error) (*Parts, error) {
	if err != nil {
		return nil, err
	}
	p := &Parts{Train: train}
	if test != nil {
		p.Test = test
	}
	return p, nil
}

// Load reads a data block and divides its rows. The caller closes the parts.
func Load(ctx context.Context, d *spec.Data, o Options) (*Parts, diag.Diagnostics) {
	p, diags := load(ctx, d, o)
	if diags.HasErrors() && p != nil {
		_ = p.Close()
		p = nil
	}
	return p, diags
}

func load(ctx context.Context, d *spec.Data, o Options) (*Parts, diag.Diagnostics) {
	at := "data." + d.Name
	src, ok := sources()[d.Type.Name]
	if !ok || d.Type.Local != "" {
		x := diag.Errorf("unknown_data", "there is no data source %q", d.Type).In(at).
			Hint("%sThose known are %s.", diag.DidYouMean(d.Type.Name, Types()), listOf(Types()))
		if d.Range.File != "" {
			x = x.At(d.Range)
		}
		return nil, diag.Diagnostics{x}
	}
	limits := data.Limits{Bytes: o.Memory}
	parts, diags := readPart(ctx, src, d, d.Args, d.Node, at, limits)
	if diags.HasErrors() {
		return nil, diags
	}
	for _, s := range d.Sources {
		args := slices.Clone(d.Args)
		for _, a := range s.Args {
			if i := slices.IndexFunc(args, func(b spec.Argument) bool { return b.Name == a.Name }); i >= 0 {
				args[i] = a
			} else {
				args = append(args, a)
			}
		}
		more, ds := readPart(ctx, src, d, args, s.Node, at+"."+s.Part, limits)
		diags.Append(ds...)
		if ds.HasErrors() {
			return parts, diags
		}
		parts.files = append(parts.files, more.files...)
		if o, ok := more.origins["train"]; ok {
			parts.From(s.Part, o.path, o.open, o.n)
		}
		switch s.Part {
		case "train":
			parts.Train = more.Train
		case "validation":
			parts.Validation = more.Train
		default:
			parts.Test = more.Train
		}
	}
	if parts.Train == nil || parts.Train.Rows() == 0 {
		diags.Append(located(diag.Errorf("no_rows", "the data %q has no rows", d.Name).Hint("Look at the file with: hone data show PATH"), d.Node, at))
		return parts, diags
	}
	h := sha256.New()
	_ = parts.Named(func(name string, t *data.Dataset) error {
		h.Write([]byte(name + " " + (*t).Digest() + "\n"))
		return nil
	})
	parts.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	if d.Split != nil {
		if ds := split(ctx, parts, d, o.Seed); ds.HasErrors() {
			return parts, append(diags, ds...)
		}
	}
	return parts, diags
}

func readPart(ctx context.Context, src source, d *spec.Data, args spec.Args, node spec.Node, at string, limits data.Limits) (*Parts, diag.Diagnostics) {
	v, diags := spec.DecodeArgs(args, spec.Schema{Kind: "data source", Type: d.Type.Name, Params: src.params}, node, at)
	if diags.HasErrors() {
		return nil, diags
	}
	p, err := src.read(ctx, d, v, limits)
	if err != nil {
		ds := diag.From(err)
		for i := range ds {
			if ds[i].Path == "" {
				ds[i].Path = at
			}
			if ds[i].Subject == nil && node.Range.File != "" {
				ds[i] = ds[i].At(node.At("path")).Within(node.Range)
			}
		}
		return nil, append(diags, ds...)
	}
	return p, diags
}

func located(d diag.Diagnostic, node spec.Node, path string) diag.Diagnostic {
	if d.Subject == nil && node.Range.File != "" {
		d = d.At(node.Range)
	}
	return d.In(path)
}

func readIDX(ctx context.Context, _ *spec.Data, v spec.Values, limits data.Limits) (*Parts, error) {
	dir, images, labels := v.Get("path"), v.Get("images"), v.Get("labels")
	switch {
	case !dir.Null && images.Null && labels.Null:
		s, err := data.ReadMNIST(ctx, dir.Path().Resolved, limits)
		if err != nil {
			return nil, err
		}
		return parts(s.Train, s.Test, nil)
	case dir.Null && !images.Null && !labels.Null:
		t, err := data.ReadIDXPair(ctx, images.Path().Resolved, labels.Path().Resolved, limits)
		return parts(t, nil, err)
	}
	return nil, diag.Errorf("idx_arguments", "an idx source takes a folder, or images and labels").
		Hint("Give path = \"FOLDER\", or both images and labels.")
}

// CSVOptions turns the arguments of a csv block and its columns into the
// reader's options.
func CSVOptions(d *spec.Data, v spec.Values) (data.CSVOptions, error) {
	o := data.CSVOptions{Columns: v.Get("columns").Texts, Header: v.Get("header").Bool(), SkipInitialSpace: v.Get("skip_initial_space").Bool()}
	if m := v.Get("max_field"); !m.Null {
		if o.MaxField = int(m.Int()); o.MaxField < 1 || o.MaxField > 1<<30 {
			return o, diag.Errorf("csv_arguments", "max_field is %d, not between 1 and %d", o.MaxField, 1<<30).In("max_field")
		}
	}
	if m := v.Get("missing"); !m.Null {
		o.Missing = append([]string{}, m.Texts...)
	}
	one := func(name string, to *byte) error {
		a := v.Get(name)
		if a.Null {
			return nil
		}
		if len(a.Text()) != 1 {
			return diag.Errorf("csv_arguments", "%s is %q, not one character", name, a.Text()).In(name)
		}
		*to = a.Text()[0]
		return nil
	}
	if q := v.Get("quote"); !q.Null && q.Text() == "" {
		o.NoQuote = true
	} else if err := one("quote", &o.Quote); err != nil {
		return o, err
	}
	if err := one("delimiter", &o.Delimiter); err != nil {
		return o, err
	}
	if err := one("comment", &o.Comment); err != nil {
		return o, err
	}
	for _, c := range d.Columns {
		if c.Type == "" {
			continue
		}
		t, ok := columnTypes[c.Type]
		if !ok {
			var names []string
			for n := range columnTypes {
				names = append(names, n)
			}
			slices.Sort(names)
			return o, located(diag.Errorf("column_type", "column %q has the unknown type %q", c.Name, c.Type).
				Hint("%sThe types are %s.", diag.DidYouMean(c.Type, names), listOf(names)), c.Node, "data."+d.Name+".column."+c.Name)
		}
		if o.Types == nil {
			o.Types = map[string]data.Type{}
		}
		o.Types[c.Name] = t
	}
	return o, nil
}

var columnTypes = map[string]data.Type{
	"number": data.F64, "f64": data.F64, "f32": data.F32, "i64": data.I64, "i32": data.I32, "integer": data.I64, "string": data.String, "bool": data.Bool,
}

func readCSV(ctx context.Context, d *spec.Data, v spec.Values, limits data.Limits) (*Parts, error) {
	o, err := CSVOptions(d, v)
	if err != nil {
		return nil, err
	}
	return readFile(ctx, v, data.OpenOptions{Format: data.FormatCSV, CSV: o, Limits: limits})
}

func readFile(ctx context.Context, v spec.Values, o data.OpenOptions) (*Parts, error) {
	path := v.Get("path").Path().Resolved
	d, err := data.LoadOrSpill(ctx, path, o)
	if err != nil {
		return nil, err
	}
	p := &Parts{}
	p.Train = p.Keep(d)
	p.From("train", path, o, d.Rows())
	return p, nil
}

// readAs reads a file of a given format.
func readAs(f data.Format) func(context.Context, *spec.Data, spec.Values, data.Limits) (*Parts, error) {
	return func(ctx context.Context, _ *spec.Data, v spec.Values, limits data.Limits) (*Parts, error) {
		return readFile(ctx, v, data.OpenOptions{Format: f, Limits: limits})
	}
}

// split derives the parts that a split block asks for.
func split(ctx context.Context, p *Parts, d *spec.Data, seed uint64) diag.Diagnostics {
	s := d.Split
	at := "data." + d.Name + ".split"
	fail := func(err error) diag.Diagnostics {
		ds := p.Explain("train", p.Train.Rows(), diag.From(err))
		for i := range ds {
			ds[i] = located(ds[i], s.Node, at)
		}
		return ds
	}
	if s.Seed != nil {
		seed = *s.Seed
	}
	ordered := s.Shuffle != nil && !*s.Shuffle
	classesOf := func(column string) (*data.Classes, error) {
		c, err := data.ColumnOf(ctx, p.Train, column)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, data.MissingColumn("the split", column, p.Train.Schema())
		}
		return data.ClassesOf(c)
	}
	if s.Folds > 0 {
		var folds []data.Fold
		var err error
		switch {
		case s.Stratify != "":
			var k *data.Classes
			if k, err = classesOf(s.Stratify); err == nil {
				folds, err = data.StratifiedKFold(k, s.Folds, seed)
			}
		case s.Group != "":
			var k *data.Classes
			if k, err = classesOf(s.Group); err == nil {
				folds, err = data.GroupedKFold(k, s.Folds)
			}
		default:
			folds, err = data.KFold(p.Train.Rows(), s.Folds, ordered, seed)
		}
		if err != nil {
			return fail(err)
		}
		f := folds[s.Fold]
		p.divide(map[string][]int64{"train": f.Train, "validation": f.Validation})
		return nil
	}
	if s.Validation == 0 && s.Test == 0 {
		return nil
	}
	rest := 1 - s.Validation - s.Test
	fractions := []float64{rest, s.Validation, s.Test}
	var rows [][]int64
	var err error
	switch {
	case s.Stratify != "":
		var k *data.Classes
		if k, err = classesOf(s.Stratify); err == nil {
			rows, err = data.SplitStratified(k, fractions, seed)
		}
	case s.Group != "":
		var k *data.Classes
		if k, err = classesOf(s.Group); err == nil {
			rows, err = data.SplitGrouped(k, fractions, seed)
		}
	default:
		rows, err = data.SplitFractions(p.Train.Rows(), fractions, ordered, seed)
	}
	if err != nil {
		return fail(err)
	}
	divided := map[string][]int64{"train": rows[0]}
	if s.Validation > 0 {
		divided["validation"] = rows[1]
	}
	if s.Test > 0 {
		divided["test"] = rows[2]
	}
	p.divide(divided)
	if p.Train.Rows() == 0 {
		return fail(diag.Errorf("no_rows", "the split leaves no rows to train on").Hint("Make validation and test smaller."))
	}
	return nil
}

// Holdout takes a fraction of the training rows for validation: the last rows
// of a shuffle by seed.
func (p *Parts) Holdout(fraction float64, seed uint64) error {
	rows, err := data.SplitFractions(p.Train.Rows(), []float64{1 - fraction, fraction}, false, seed)
	if err != nil {
		return err
	}
	p.divide(map[string][]int64{"train": rows[0], "validation": rows[1]})
	return nil
}

func listOf(names []string) string {
	out := ""
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			out += " and "
		default:
			out += ", "
		}
		out += n
	}
	return out
}
