package spec

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/hone-ml/hone/host/internal/diag"
)

// EnvPrefix begins the names of environment variables that give a spec's variables their values.
const EnvPrefix = "HONE_VAR_"

// given is a value from outside the spec, not yet converted to the variable's type.
type given struct {
	value  cty.Value
	text   string // where value is absent: to be read as the variable's type asks
	origin string
	at     diag.Range
	dir    string // from which a relative path starts
}

func (r *reader) readVariables(blocks []*hclsyntax.Block) {
	var names []string
	for _, hb := range blocks {
		names = append(names, hb.Labels...)
	}
	values := r.given(names)
	first := map[string]diag.Range{}
	for _, hb := range blocks {
		b := r.open(hb, newScope(), "variable")
		labels, ok := b.labels("NAME")
		if !ok || !r.checkName("variable", labels[0], fromHCLRange(hb.LabelRanges[0])) {
			continue
		}
		b.path = "variable." + labels[0]
		if at, again := first[labels[0]]; again {
			b.fail(diag.Errorf("said_twice", "A second variable %q", labels[0]).At(b.node.Range).Hint("The first is at %s.", at))
			continue
		}
		first[labels[0]] = b.node.Range
		r.readVariable(b, labels[0], values)
	}
}

func (r *reader) readVariable(b *block, name string, values map[string]given) {
	v := Variable{Node: b.node, Name: name}
	read(b, "description", &v.Description, toText)
	read(b, "sensitive", &v.Sensitive, toBool)
	ty, isPath, ok := b.variableType(&v)
	r.scope.set("var", name, cty.NilVal)
	g, has := values[name]
	if !has {
		if g.value, has = b.defaultValue(v.Sensitive); has {
			g.origin, g.at, g.dir = "default", b.node.At("default"), r.spec.Dir
			if v.Sensitive {
				g.at = b.node.Range // the excerpt would show it
			}
		}
	} else {
		b.attribute("default")
	}
	if ok && !has && !b.node.Has("default") {
		b.fail(diag.Errorf("missing_variable", "The variable %q has no value", name).At(b.node.Range).
			Hint("Give it one with --var %s=VALUE, in a file given with --var-file, in the environment as %s%s, or with a default.", name, EnvPrefix, name))
	}
	if ok && has {
		value, err := g.convert(ty, v.Sensitive)
		if err != nil {
			d := diag.Errorf("wrong_value", "The variable %q %w", name, err).In(b.path).At(b.node.Range)
			if g.at.File != "" {
				d = d.At(g.at)
			}
			b.fail(d.Hint("%s Its type is %s.", comesFrom(g.origin), typeName(v.Type)))
		} else {
			if isPath && g.origin != "default" {
				value = rebase(value, g.dir)
			}
			v.Value, v.Origin = value, g.origin
			if v.Sensitive {
				value = value.Mark(sensitive)
			}
			r.scope.set("var", name, value)
		}
	}
	self := newScope().with("var", map[string]cty.Value{name: r.scope.values["var"][name]})
	self.spent = r.scope.spent
	for _, hb := range b.blocks("validation") {
		r.open(hb, self, b.path+".validation").validation(v)
	}
	b.close()
	r.spec.Variables = append(r.spec.Variables, v)
}

func comesFrom(origin string) string {
	if origin == "default" {
		return "It is the default."
	}
	return "It comes from " + origin + "."
}

func typeName(written string) string {
	if written == "" {
		return "any"
	}
	return written
}

// variableType reads the argument type. The word path is a string whose relative value
// starts from where it was given: the spec's folder for a default, the current folder on the command line.
func (b *block) variableType(v *Variable) (ty cty.Type, isPath, ok bool) {
	expr := b.attribute("type")
	if expr == nil {
		return cty.DynamicPseudoType, false, true
	}
	if hcl.ExprAsKeyword(expr) == "path" {
		v.Type = "path"
		return cty.String, true, true
	}
	ty, found := typeexpr.TypeConstraint(expr)
	if found.HasErrors() {
		b.fail(diag.Errorf("unknown_type", "This is not a type").At(b.node.At("type")).
			Hint("Types are string, number, bool, path, any, list(TYPE), map(TYPE) and object({ NAME = TYPE })."))
		return ty, false, false
	}
	v.Type = typeexpr.TypeString(ty)
	return ty, false, true
}

func (b *block) defaultValue(secret bool) (cty.Value, bool) {
	expr := b.attribute("default")
	if expr == nil {
		return cty.NilVal, false
	}
	v, ok, diags := b.scope.eval(expr)
	for _, d := range diags {
		if secret {
			d = d.At(b.node.Range)
		}
		b.fail(d.In(b.path + ".default"))
	}
	return v, ok
}

// convert makes the value one of the variable's type.
func (g given) convert(ty cty.Type, secret bool) (cty.Value, error) {
	if g.text != "" || g.value == cty.NilVal {
		if ty == cty.String {
			return cty.StringVal(g.text), nil
		}
		v, ok := parseConstant(g.text)
		switch {
		case ok:
			g.value = v
		case ty == cty.DynamicPseudoType:
			g.value = cty.StringVal(g.text)
		default:
			if secret {
				return cty.NilVal, fmt.Errorf("must be %s", article(ty.FriendlyName()))
			}
			return cty.NilVal, fmt.Errorf("must be %s, but is %q", article(ty.FriendlyName()), clip(g.text))
		}
	}
	v, err := convert.Convert(g.value, ty)
	if err != nil {
		return cty.NilVal, fmt.Errorf("must be %s, but is %s", article(ty.FriendlyName()), describe(g.value))
	}
	if !v.IsWhollyKnown() {
		return cty.NilVal, fmt.Errorf("must be a known value")
	}
	return v, nil
}

// parseConstant reads a number, true, false, a list or an object as HCL writes them.
func parseConstant(text string) (cty.Value, bool) {
	src := []byte(text)
	if scanExpression(src, "value").HasErrors() {
		return cty.NilVal, false
	}
	var expr hclsyntax.Expression
	var found hcl.Diagnostics
	if guarded("this value", diag.Range{}, func() { expr, found = hclsyntax.ParseExpression(src, "value", hcl.InitialPos) }) != nil || found.HasErrors() {
		return cty.NilVal, false
	}
	sc := newScope()
	v, ok, diags := sc.eval(expr)
	return v, ok && !diags.HasErrors()
}

// rebase turns a relative path into an absolute one that starts from dir.
func rebase(v cty.Value, dir string) cty.Value {
	if v.IsNull() || v.AsString() == "" {
		return v
	}
	if abs, err := filepath.Abs(resolve(dir, v.AsString()).Resolved); err == nil {
		return cty.StringVal(abs)
	}
	return v
}

func (b *block) validation(v Variable) {
	b.labels()
	condition := b.attribute("condition")
	message := "Give another value."
	read(b, "error_message", &message, toText)
	b.close()
	if condition == nil {
		b.fail(diag.Errorf("missing_argument", "This validation has no condition").At(b.node.Range).
			Hint("Write condition = EXPRESSION, with var.%s in it.", v.Name))
		return
	}
	x, ok, diags := b.scope.eval(condition)
	for _, d := range diags {
		b.fail(d)
	}
	if !ok {
		return
	}
	x, _ = x.Unmark()
	holds, err := toBool(x)
	switch {
	case err != nil:
		b.wrong("condition", err)
	case !holds:
		b.fail(diag.Errorf("invalid_variable", "The value of variable %q is not valid", v.Name).At(b.node.At("condition")).
			Hint("%s %s", message, comesFrom(v.Origin)))
	}
}

// given collects the values from outside, the ones that win last.
func (r *reader) given(declared []string) map[string]given {
	values := map[string]given{}
	cwd := "."
	if r.opts.Env != nil {
		for _, name := range declared {
			if text, ok := r.opts.Env(EnvPrefix + name); ok {
				values[name] = given{text: text, origin: EnvPrefix + name, dir: cwd}
			}
		}
	}
	for _, file := range r.opts.VarFiles {
		r.variableFile(file, declared, values)
	}
	for _, pair := range r.opts.Vars {
		name, text, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			r.diags.Append(diag.Errorf("wrong_usage", "--var needs the form name=value").Hint("Write, for example, --var epochs=10."))
			continue
		}
		if !slices.Contains(declared, name) {
			r.diags.Append(undeclared(name, "--var", declared))
			continue
		}
		values[name] = given{text: text, origin: "--var", dir: cwd}
	}
	return values
}

func undeclared(name, where string, declared []string) diag.Diagnostic {
	d := diag.Errorf("unknown_variable", "%s gives a value to %q, which is no variable of this spec", where, name)
	if len(declared) == 0 {
		return d.Hint("It declares none. A variable is declared with a block: variable %q {}", name)
	}
	return d.Hint("%sIts variables are %s.", diag.DidYouMean(name, declared), listOf(sorted(declared)))
}

func (r *reader) variableFile(file string, declared []string, values map[string]given) {
	text, diags := readFile(file)
	r.diags.Append(diags...)
	if diags.HasErrors() {
		return
	}
	body, diags := parseBody(Source{Name: file, Text: text})
	r.diags.Append(diags...)
	if diags.HasErrors() {
		return
	}
	for _, hb := range body.Blocks {
		r.diags.Append(diag.Errorf("unknown_block", "A file of variables has no blocks").At(fromHCLRange(hb.DefRange())).
			Hint("It has lines of the form name = value. A spec is given as the argument, not with --var-file."))
	}
	sc := newScope()
	sc.spent = r.scope.spent
	for _, name := range sortedByPlace(body.Attributes) {
		a := body.Attributes[name]
		at := fromHCLRange(a.NameRange)
		if !slices.Contains(declared, name) {
			r.diags.Append(undeclared(name, file, declared).At(at))
			continue
		}
		v, ok, diags := sc.eval(a.Expr)
		r.diags.Append(diags...)
		if ok {
			values[name] = given{value: v, origin: file, at: at, dir: filepath.Dir(file)}
		}
	}
}

// readLocals evaluates locals in the order in which they need each other.
func (r *reader) readLocals(blocks []*hclsyntax.Block) {
	l := locals{r: r, exprs: map[string]hclsyntax.Expression{}, state: map[string]int{}}
	at := map[string]diag.Range{}
	for _, hb := range blocks {
		b := r.open(hb, r.scope, "locals")
		b.labels()
		for _, name := range sortedByPlace(hb.Body.Attributes) {
			if where, again := at[name]; again {
				b.fail(diag.Errorf("said_twice", "A second local %q", name).At(fromHCLRange(hb.Body.Attributes[name].NameRange)).Hint("The first is at %s.", where))
				continue
			}
			at[name] = fromHCLRange(hb.Body.Attributes[name].NameRange)
			l.exprs[name] = b.attribute(name)
			l.names = append(l.names, name)
		}
		b.close()
	}
	// All names are known before the first is evaluated, so that one that failed is not called unknown.
	for _, name := range l.names {
		r.scope.set("local", name, cty.NilVal)
	}
	for _, name := range l.names {
		l.evaluate(name)
	}
}

type locals struct {
	r     *reader
	names []string
	exprs map[string]hclsyntax.Expression
	state map[string]int // 1: being evaluated, 2: done
}

func (l *locals) evaluate(name string) {
	l.state[name] = 1
	for _, t := range hclsyntax.Variables(l.exprs[name]) {
		if t.RootName() != "local" || len(t) < 2 {
			continue
		}
		needed, ok := attrName(t[1])
		if _, exists := l.exprs[needed]; !ok || !exists {
			continue
		}
		switch l.state[needed] {
		case 0:
			l.evaluate(needed)
		case 1:
			l.r.diags.Append(diag.Errorf("cycle", "local.%s depends on itself", needed).At(fromHCLRange(t.SourceRange())).
				In("locals." + name).Hint("Give one of the locals in the circle a value of its own."))
		}
	}
	v, ok, diags := l.r.scope.eval(l.exprs[name])
	for _, d := range diags {
		l.r.diags.Append(d.In("locals." + name))
	}
	if ok {
		l.r.scope.set("local", name, v)
	}
	l.state[name] = 2
}
