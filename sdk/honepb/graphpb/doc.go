// Package graphpb is the generated code of the wire form of graph modules.
// Package sdk/graph converts to and from it; nothing else needs to import it.
package graphpb

//go:generate go run -C ../../../tools ./protogen -dir ../sdk/honepb
