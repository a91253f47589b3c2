package sdk

import "fmt"

// AttributeError blames one argument of a component. The host shows it at the
// line where the user wrote the argument.
type AttributeError struct {
	Attribute string // units, kernel_size[1]
	Summary   string // one line, without a full stop
	Detail    string // sentences, the last of which says what to do; may be empty
}

func (e *AttributeError) Error() string {
	s := e.Attribute + ": " + e.Summary
	if e.Detail != "" {
		s += ". " + e.Detail
	}
	return s
}

// Invalid returns an [AttributeError] with the formatted summary.
func Invalid(attribute, format string, args ...any) error {
	return &AttributeError{Attribute: attribute, Summary: fmt.Sprintf(format, args...)}
}

// Validator is the optional power of components whose arguments must fit each
// other. Validate is called once the fields are set, before tracing; errors made
// by [Invalid] name the argument at fault.
type Validator interface{ Validate() error }
