package spec

import (
	"regexp"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Names of layers, inputs, outputs and what else can stand in a parameter's path.
var (
	namePattern  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	layerPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*(\[(0|[1-9][0-9]{0,8})\])*$`) // copies have indices
)

const maxName = 256 // bytes

// badName says in a sentence what is wrong with a name; it is empty if nothing is.
func badName(kind, name string) string {
	pattern := namePattern
	if kind == "layer" {
		pattern = layerPattern
	}
	switch {
	case len(name) > maxName:
		return "It is longer than 256 bytes"
	case !pattern.MatchString(name):
		return "Names are made of lower-case letters, digits and underscores, and begin with a letter"
	}
	return ""
}

// suggestName turns what a user wrote into a name of the allowed form.
func suggestName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
		if b.Len() > 40 {
			break
		}
	}
	if s := strings.TrimSuffix(b.String(), "_"); s != "" {
		return s
	}
	return "a"
}

func invalidName(kind, name, why string) diag.Diagnostic {
	return diag.Errorf("invalid_name", "%q cannot be the name of %s", clip(name), article(kind)).
		Hint("%s. Call it %q, for example.", why, suggestName(name))
}

// clip shortens what is quoted in a summary.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// checkName reports a name that cannot be one.
func (r *reader) checkName(kind, name string, at diag.Range) bool {
	if why := badName(kind, name); why != "" {
		r.diags.Append(invalidName(kind, name, why).At(at))
		return false
	}
	return true
}

// MatchPath reports whether a pattern fits a path such as s3[2].conv1.kernel, or a scope that
// holds it: s3 fits everything below s3. In a pattern * stands for any characters of one name or
// index, ** as a whole step for any number of steps, and [i] for that index.
// Use ValidPattern on patterns that a user wrote.
func MatchPath(pattern, path string) bool {
	return matchSteps(steps(pattern), steps(path))
}

// ValidPattern reports whether MatchPath understands a pattern: steps of names and indices
// with no empty one.
func ValidPattern(pattern string) bool {
	return len(pattern) <= 1024 && patternSyntax.MatchString(pattern)
}

var patternSyntax = regexp.MustCompile(`^(\*\*|[a-z0-9_*]+)(\[([0-9]+|\*)\])*(\.(\*\*|[a-z0-9_*]+)(\[([0-9]+|\*)\])*)*$`)

// steps splits a path at its dots and before its brackets: s3[2].conv1 has three.
func steps(path string) []string {
	return strings.Split(strings.ReplaceAll(path, "[", ".["), ".")
}

// matchSteps goes over the path once for each step of the pattern, keeping the set of places that
// can be reached, so that many ** cost no more than length times length.
func matchSteps(pattern, path []string) bool {
	reached := make([]bool, len(path)+1)
	reached[0] = true
	for _, p := range pattern {
		next := make([]bool, len(path)+1)
		for i, ok := range reached {
			switch {
			case p == "**":
				next[i] = ok || i > 0 && next[i-1]
			case ok && i < len(path) && matchName(p, path[i]):
				next[i+1] = true
			}
		}
		reached = next
	}
	for i, ok := range reached {
		if ok && i > 0 {
			return true
		}
	}
	return false
}

// matchName matches one step, where * stands for any characters; an index fits only an index.
func matchName(pattern, name string) bool {
	if strings.HasPrefix(pattern, "[") != strings.HasPrefix(name, "[") {
		return false
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[last])
}
