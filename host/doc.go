// Package host is hone's Go API: what the command line does, a program can do.
//
//	p, err := host.Load("examples/digits", host.Options{Builtin: bundle})
//	r, err := p.Train(ctx, host.TrainOptions{Out: "digits.hone"})
//	m, err := host.Open("digits.hone", host.Options{})
//	y, err := m.PredictFile(ctx, "images.npy")
//
// Load reads a spec; a [Project] validates, shows and trains it. Open reads a
// checkpoint; a [Model] predicts and evaluates, without the plugins that made it.
// Progress comes as [Event]s. Errors are [Diagnostics], which know the user's
// line and the remedy.
package host
