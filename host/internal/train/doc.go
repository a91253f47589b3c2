// Package train turns a traced program into step functions and runs them:
// forward, backward, update, metrics, as one executable a batch size.
//
// A [Program] is a module with the names of the functions that make a training
// run; it is all that a checkpoint needs to be trained on. Step functions are
// derived from it (step.go), never stored. The [Trainer] owns the device values
// and runs epochs (trainer.go).
//
// The package knows graphs, backends and arrays of examples; it knows nothing of
// HCL, plugins' processes or files.
package train
