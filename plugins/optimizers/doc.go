// Package optimizers is hone's first-party plugin of optimizers and schedules,
// with the names, arguments, defaults and formulas of Keras 3. It imports the SDK
// alone.
//
// Start reading at Plugin (plugin.go), then optimizer.go and schedule.go.
package optimizers
