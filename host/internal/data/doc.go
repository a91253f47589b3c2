// Package data brings examples to a run: it reads files, keeps tables of
// named, typed columns, splits and shuffles rows, and describes what it found.
//
// Everything is either a Table, which is in memory and random access, or a
// Source, which is read front to back in chunks as often as one likes. A Table
// is a Source too:
//
//	tab, err := data.ReadCSV(ctx, "adult.csv.gz", data.CSVOptions{SkipInitialSpace: true})
//	age := tab.Column("age")                            // a Column: Name, Type, Shape, Missing
//	x := age.GatherFloat32(nil, perm[a:b])              // a batch, NaN where a value is missing
//	perm := data.Permutation(seed, epoch, tab.Rows())   // the same numbers everywhere, for ever
//
//	src, err := data.OpenCSV(ctx, "huge.csv.zst", opts) // one pass: schema, rows, digest, all errors
//	r, err := src.Open(ctx)                             // as often as needed
//	for { chunk, err := r.Next() ... }                  // Tables of ChunkRows rows, io.EOF at the end
//	kept, err := data.Spill(ctx, src, dir)              // random access on disk instead of memory
//
// A value is an element of a Column, which holds rows × the product of Shape of
// them: a CSV column has no shape, the images of an IDX file are u8 [28, 28].
// Strings are codes into a dictionary in the order of first appearance. Missing
// values are said by a bitmap, never by a value.
//
// Files: ReadIDX and ReadIDXPair, ReadMNIST (a folder of four), ReadCSV and
// OpenCSV, ReadJSONLines and OpenJSONLines, ReadNPY and ReadNPZ, OpenParquet,
// OpenArrow, and Open, which picks among them by content and name. The folder
// digits has the small data set that the binary carries.
// Writers: NewCSVWriter, NewJSONLinesWriter.
//
// Rows: SplitFractions, SplitStratified, SplitGrouped, KFold, StratifiedKFold,
// GroupedKFold give lists of row numbers; Table.Gather and GatherFloat32 take them,
// SubsetOf those of any Dataset. What does not fit into memory is Spilled.
// Describe gives the statistics of every column; Place finds a cell's line again.
//
// What holds everywhere: results do not depend on the number of threads, since
// work is cut into chunks of fixed size and put together in order; whatever is
// wrong with a file is a diag.Diagnostic naming file, line and column where there are such,
// and the remedy; limits are checked before memory is taken.
//
// The package knows nothing of specifications, plugins, models or training.
// Start reading at column.go and source.go.
package data
