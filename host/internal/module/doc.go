// Package module assembles what a spec asks for into one graph module: every
// layer traced by its plugin and placed under its name, the model's function for
// training and inference, losses, metrics, the optimizer for each type of
// parameter, the schedule.
//
// Assemble is the way in; an [Assembly] comes out, whose Program is all that
// training, evaluation and checkpoints need. The package knows specs, plugins
// and graphs; it knows nothing of data files, devices or the training loop.
package module
