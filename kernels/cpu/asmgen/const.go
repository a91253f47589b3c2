package main

type constKey struct {
	bits uint32
}
