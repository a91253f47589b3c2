// Package seams proves, at toy size, what later features stand on: each test
// file is one probe, run through real plugins on the reference backend, and
// shows how a user asks for what it proves. Numbers are compared with another
// program's (Keras, PyTorch, scikit-learn) or with float64 arithmetic written
// out in the test.
//
// The package holds tests alone. Start reading with any of them; probe_test.go
// has what they share, truth_test.go the network in float64.
package seams
