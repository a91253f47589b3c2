// Package axes follows channels through the functions of a traced model, and
// removes them: parameters, constants, attributes, states and optimizer slots
// shrink together, in training and inference alike, with no plugin at hand. What
// is left computes what the model built with fewer channels computes with the
// same weights, to the bit.
//
//	a, err := axes.Follow(program)
//	for _, g := range a.Groups() { ... }                    // what may be removed, and what goes with it
//	smaller, values, err := a.Remove(values, axes.Channel("conv1.kernel", 3, 5, 7))
//
// Every axis of every value stands for a term: a set of channels, a product of
// terms (what flatten makes: outer and inner factors), or a sum of terms (what
// concat makes). The rule of an op says which axes are one and the same, and
// which the op holds fast because it mixes what lies along them; there is no
// default. Equal axes are unified, and a term is refined where two that are equal
// are written with different factors or parts: the flattened channels of a
// convolution are height x width x channels, so losing one channel loses a row
// of the dense kernel for each position. Functions that several layers share part
// where their channels do.
//
// Start reading at term.go, then rules.go (the table), walk.go, remove.go. The
// package knows graphs and the program of a model; it knows no layers, no files
// and no criterion by which a channel deserves to go.
package axes
