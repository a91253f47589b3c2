//go:build !unix

package process_test

const canStop = false

func stopSelf() {}
