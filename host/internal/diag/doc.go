// Package diag holds the diagnostics that the whole host speaks in: what is
// wrong, where in the user's own file, and what to do about it.
//
// A Diagnostic is a value: build one with Errorf or Warnf, add the place with
// At or In and the remedy with Hint, and collect them in Diagnostics, whose Err
// method is nil as long as nothing is worse than a warning. Write draws them
// for a person; their JSON form is for programs, and its field names are
// stable.
//
// The package knows nothing of HCL, plugins, tables or terminals: callers
// convert their positions to a Range and decide about width and colour.
//
// Start reading at Diagnostic (diag.go), then Write (write.go).
package diag
