// Package prep fits a spec's transforms to the training rows and applies them
// to whatever comes later: fitted preprocessing, the same in training,
// evaluation and prediction.
//
// How a training run uses it:
//
//	parts, _ := ...                                            // load tables, split them
//	pipe, diags := prep.Fit(ctx, plugins, d.Transforms, parts.Train, prep.Options{
//		Backend: backend, Targets: d.Targets, Aside: []string{d.Weight}, Seed: seed,
//	})                                                         // learns from the training rows alone
//	train, rows, err := pipe.Apply(ctx, prep.Train, parts.Train)       // filters and samples too
//	val, _, err := pipe.Apply(ctx, prep.Evaluate, parts.Validation)    // filters, no samples
//	classes := pipe.Labels("income")                           // names of the classes, for the signature
//	text, err := json.Marshal(pipe)                            // for the checkpoint, with
//	module := pipe.Module()                                    // the functions, constants and all
//
// and an epoch of a pipeline with augmentations, on batches of the train table above:
//
//	if pipe.Augments() {
//		batch, err = pipe.Augment(ctx, batch, examples, epoch)
//	}
//
// How a prediction uses it, with the checkpoint alone:
//
//	pipe, err := prep.Load(text, module, prep.Options{Backend: backend})
//	types := pipe.Inputs()                                     // columns that raw rows must have, with types
//	table, _, err := pipe.Apply(ctx, prep.Predict, rawRows)    // targets may be absent, no row is dropped
//
// A data.Source larger than memory goes through Fit as it is, and through
// Pipeline.Stream, chunk by chunk; results equal those of a table to the bit.
//
// What holds by construction: a fit is given one source, the training rows; a
// plugin sees statistics of them and never a row; dictionaries of columns, which
// a part shares with the whole table, are never read, only the values that
// occur. Numbers are float64 between transforms and float32 at the end.
//
// What a row means when it is unlike the training rows: a value outside a
// vocabulary gets the code that the transform gives to unknown values, or is an
// error that names it where the transform is strict; a missing value stays
// missing until a transform fills it in; a column that is absent is an error, but
// for targets; an infinite number is an error.
//
// The package knows tables, graphs and backends. It knows nothing of models,
// training or files. Start reading at Fit (fit.go) and step.go, which says what a
// fitted transform is; apply.go moves chunks through steps, run.go executes
// functions, measure.go gathers statistics.
package prep
