// Package process lets a backend run in another process: [Serve] offers any
// kernels.Backend over a connection, and [Start] or [Dial] give a [Backend] that
// is one, whatever stands at the other end. A driver that crashes takes its own
// process with it; the host gets an error that names the backend.
//
// Modules cross in their wire form, options and plans as data, values as bytes;
// handles are the other side's own. A Run is one message for all its steps.
//
// A frame is the four bytes "hone", the length of a JSON head (u32), the length
// of a binary body (u64), both little-endian, the head and the body; frame.go
// writes and reads it, peer.go turns it into calls in both directions (an opaque
// component is called back), server.go and client.go hold the two ends.
//
// The package knows nothing of any backend, nor of what it runs.
package process
