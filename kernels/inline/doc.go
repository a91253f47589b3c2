// Package inline turns the entry of a module into the one flat function that a
// backend plans and an optimizing pass walks: every call expanded in the mode
// that its scope asks for, every symbol replaced by its value, every node
// labelled with the scope that it came from.
//
// [Flatten] is the only way in; [Flat] is what comes out. Limits are checked on
// a count of the expansion, before any of it is made. The package knows graphs
// and the options of a compilation, and nothing of any backend's kernels.
package inline
