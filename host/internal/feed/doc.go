// Package feed brings a spec's data to a model: it reads the files that a data
// block names, divides the rows into training, validation and test parts, and
// binds columns to the model's inputs and targets as arrays.
//
// Load reads and divides; Bind decides which columns feed what, once, from the
// training part; Binding.Arrays makes the arrays of any table, the same way in
// training, evaluation and prediction. The Binding is stored in the checkpoint.
// The package knows specs and tables, and the arrays that training takes; it
// knows nothing of graphs, plugins or devices.
package feed
