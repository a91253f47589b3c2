package convert

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

// Rule renames, reorders or drops the tensors whose whole name it matches.
type Rule struct {
	// From is a glob: "*" stands for any run of characters without a dot, "**"
	// for any run. With Regexp it is a regular expression of Go instead, which
	// must match the whole name.
	From   string
	Regexp bool
	// To is the new name; "$1" is what the first star, or group, stood for, and
	// "$$" a dollar. Empty keeps the name.
	To string
	// Drop leaves the tensors out.
	Drop bool
	// Permute, when set, reorders the axes: axis i of the result is axis
	// Permute[i] of the source. [1, 0] transposes a matrix, as between the
	// dense kernels of PyTorch and of Keras.
	Permute []int
}

// NameMap is a list of rules, of which the first that matches a name is applied.
// A name that none matches stays as it is.
type NameMap struct {
	rules []compiled
	used  []int
	axes  func(string) []int
}

// Axes makes the map reorder the axes of a tensor that no rule has reordered: f is
// given its new name, and returns an order as [Rule.Permute] has it, or nil.
func (m *NameMap) Axes(f func(name string) []int) { m.axes = f }

type compiled struct {
	Rule
	re *regexp.Regexp
}

// NewNameMap checks and compiles rules.
func NewNameMap(rules []Rule) (*NameMap, error) {
	m := &NameMap{used: make([]int, len(rules))}
	for i, r := range rules {
		bad := func(err error) (*NameMap, error) {
			return nil, fmt.Errorf("name rule %d, from %q: %w", i+1, r.From, err)
		}
		text := r.From
		if !r.Regexp {
			text = globExpr(r.From)
		}
		if r.From == "" {
			return bad(errors.New("from is empty; give a name or a pattern"))
		}
		if r.Drop && (r.To != "" || r.Permute != nil) {
			return bad(errors.New("it drops and renames at once; choose one"))
		}
		re, err := regexp.Compile(`^(?:` + text + `)$`)
		if err != nil {
			return bad(err)
		}
		if _, err := expand(r.To, make([]string, re.NumSubexp()+1)); err != nil {
			return bad(err)
		}
		if err := checkPermutation(r.Permute); err != nil {
			return bad(err)
		}
		m.rules = append(m.rules, compiled{r, re})
	}
	return m, nil
}

func globExpr(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch {
		case strings.HasPrefix(glob[i:], "**"):
			b.WriteString("(.*)")
			i++
		case glob[i] == '*':
			b.WriteString(`([^.]*)`)
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	return b.String()
}

// expand replaces $1 to $99 and $$ in to.
func expand(to string, groups []string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(to); i++ {
		if to[i] != '$' {
			b.WriteByte(to[i])
			continue
		}
		if i+1 < len(to) && to[i+1] == '$' {
			b.WriteByte('$')
			i++
			continue
		}
		end := i + 1
		for end < len(to) && end < i+3 && to[end] >= '0' && to[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(to[i+1 : end])
		if err != nil || n < 1 || n >= len(groups) {
			return "", fmt.Errorf("%q in to stands for nothing; from has %d stars or groups", to[i:end], len(groups)-1)
		}
		b.WriteString(groups[n])
		i = end - 1
	}
	return b.String(), nil
}

func checkPermutation(p []int) error {
	seen := make([]bool, len(p))
	for _, v := range p {
		if v < 0 || v >= len(p) || seen[v] {
			return fmt.Errorf("permute %v does not name each of %d axes once", p, len(p))
		}
		seen[v] = true
	}
	return nil
}

// apply returns what becomes of a tensor.
func (m *NameMap) apply(info modelfmt.TensorInfo) (to modelfmt.TensorInfo, permute []int, drop bool, err error) {
	to = info
	if m == nil {
		return to, nil, false, nil
	}
	to, permute, drop, err = m.rename(info)
	if err != nil || drop {
		return to, nil, drop, err
	}
	if permute == nil && m.axes != nil {
		permute = m.axes(to.Name)
	}
	if permute == nil {
		return to, nil, false, nil
	}
	if err := checkPermutation(permute); err != nil || len(permute) != len(info.Shape) {
		return to, nil, false, &modelfmt.InputError{What: "tensor " + info.Name, Detail: fmt.Sprintf("its axes are to become %v, and its shape is %v", permute, info.Shape)}
	}
	to.Shape = make([]int, len(info.Shape))
	for axis, from := range permute {
		to.Shape[axis] = info.Shape[from]
	}
	return to, permute, false, nil
}

// rename finds the rule of a tensor.
func (m *NameMap) rename(info modelfmt.TensorInfo) (to modelfmt.TensorInfo, permute []int, drop bool, err error) {
	to = info
	for i, r := range m.rules {
		groups := r.re.FindStringSubmatch(info.Name)
		if groups == nil {
			continue
		}
		m.used[i]++
		if r.Drop {
			return to, nil, true, nil
		}
		if r.To != "" {
			if to.Name, err = expand(r.To, groups); err != nil {
				return to, nil, false, err
			}
		}
		return to, r.Permute, false, nil
	}
	return to, nil, false, nil
}

// idle lists the rules that matched nothing since the map was made.
func (m *NameMap) idle() []string {
	var out []string
	if m == nil {
		return nil
	}
	for i, n := range m.used {
		if n == 0 {
			out = append(out, m.rules[i].From)
		}
	}
	return out
}
