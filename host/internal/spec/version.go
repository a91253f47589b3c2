package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Constraint is a set of versions, written like ">= 1.2, < 2" or "~> 1.4".
type Constraint struct {
	text  string
	terms []term
}

type term struct {
	op      string
	version version
}

// version is major, minor and patch, with what follows a hyphen. parts says how many were written.
type version struct {
	number [3]int
	parts  int
	pre    string
}

var (
	termPattern    = regexp.MustCompile(`^(=|!=|>=|<=|>|<|~>)?\s*(\S+)$`)
	versionPattern = regexp.MustCompile(`^v?([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$`)
)

// ParseConstraint reads comparisons joined by commas, all of which must hold. The operators are =
// (or none), !=, >, >=, <, <= and ~>, which lets only the last part written grow: ~> 1.4 is
// >= 1.4, < 2, and ~> 1.4.2 is >= 1.4.2, < 1.5.
func ParseConstraint(s string) (Constraint, error) {
	c := Constraint{text: s}
	for _, part := range strings.Split(s, ",") {
		m := termPattern.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return Constraint{}, fmt.Errorf("%q is no version constraint such as \"~> 1.0\" or \">= 1.2, < 2\"", clip(s))
		}
		v, ok := parseVersion(m[2])
		if !ok {
			return Constraint{}, fmt.Errorf("%q is no version such as 1.4.2", clip(m[2]))
		}
		if m[1] == "~>" && v.parts == 1 {
			return Constraint{}, fmt.Errorf("\"~> %s\" needs a second part, as in \"~> %s.0\"", m[2], m[2])
		}
		c.terms = append(c.terms, term{m[1], v})
	}
	return c, nil
}

// String returns the constraint as it was written.
func (c Constraint) String() string { return c.text }

// Allows reports whether a version such as "1.4.2" or "v1.4.2" satisfies the constraint. A
// pre-release such as 1.5.0-rc1 comes before 1.5.0.
func (c Constraint) Allows(v string) bool {
	have, ok := parseVersion(v)
	if !ok {
		return false
	}
	for _, t := range c.terms {
		d := have.compare(t.version)
		holds := false
		switch t.op {
		case "", "=":
			holds = d == 0
		case "!=":
			holds = d != 0
		case ">":
			holds = d > 0
		case ">=":
			holds = d >= 0
		case "<":
			holds = d < 0
		case "<=":
			holds = d <= 0
		case "~>":
			limit := t.version.parts - 1
			same := true
			for i := range limit {
				same = same && have.number[i] == t.version.number[i]
			}
			holds = d >= 0 && same
		}
		if !holds {
			return false
		}
	}
	return true
}

func parseVersion(s string) (version, bool) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return version{}, false
	}
	v := version{pre: m[4]}
	for i, part := range m[1:4] {
		if part == "" {
			break
		}
		v.number[i], _ = strconv.Atoi(part) // at most nine digits
		v.parts++
	}
	return v, true
}

func (v version) compare(o version) int {
	for i := range v.number {
		if d := v.number[i] - o.number[i]; d != 0 {
			return d
		}
	}
	switch {
	case v.pre == o.pre:
		return 0
	case v.pre == "":
		return 1
	case o.pre == "":
		return -1
	}
	return strings.Compare(v.pre, o.pre)
}
