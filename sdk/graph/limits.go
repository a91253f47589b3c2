package graph

import "fmt"

// Limits bound what a module from elsewhere may ask for. A zero field takes
// its default, so that the zero Limits is what most callers want.
type Limits struct {
	// MessageBytes of the wire form. Default 32 MiB.
	MessageBytes int64
	// Funcs of a module. Default 16,384.
	Funcs int64
	// Nodes of all functions as stored. Default 262,144.
	Nodes int64
	// Expanded counts the nodes of any one function, its calls among them, and
	// those of every call's callee in turn; a scan's callee counts once.
	// Default 2,097,152.
	Expanded int64
	// Depth of calls within calls. Default 256.
	Depth int64
	// Operands of one node, parameters and results of one function. Default 65,536.
	Operands int64
	// ConstBytes of all literals and named constants. Default 1 GiB.
	ConstBytes int64
	// NameBytes of any one name or text attribute. Default 4,096.
	NameBytes int64
	// Elements of any value, a symbol counting as 1. Default 2^40.
	Elements int64
}

// withDefaults fills the fields that are zero.
func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int64
		value int64
	}{
		{&l.MessageBytes, 32 << 20},
		{&l.Funcs, 16 << 10},
		{&l.Nodes, 256 << 10},
		{&l.Expanded, 2 << 20},
		{&l.Depth, 256},
		{&l.Operands, 64 << 10},
		{&l.ConstBytes, 1 << 30},
		{&l.NameBytes, 4 << 10},
		{&l.Elements, 1 << 40},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}

// LimitError reports a module that exceeds a limit.
type LimitError struct {
	What       string // nodes after expansion, bytes of constants
	Where      string // the function or constant; "" for the module
	Got, Limit int64  // Got is a lower bound where counting stopped early
}

func (e *LimitError) Error() string {
	where := "the module"
	if e.Where != "" {
		where = e.Where
	}
	return fmt.Sprintf("%s has %d %s, the limit is %d", where, e.Got, e.What, e.Limit)
}
