package graph

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
)

func readSpec(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheSpecificationHasEveryOpWithItsAttributes(t *testing.T) {
	_, ops, _ := strings.Cut(readSpec(t), "\n## 4. ")
	ops, _, _ = strings.Cut(ops, "\n## 5. ")
	rows := map[string]string{}
	for line := range strings.SplitSeq(ops, "\n") {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cell, _, _ := strings.Cut(line[2:], " | ")
		for _, name := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(cell, -1) {
			rows[name[1]] = cell
		}
	}
	for _, op := range Ops() {
		cell, ok := rows[op.String()]
		if !ok {
			t.Errorf("SPEC.md does not have %v", op)
			continue
		}
		delete(rows, op.String())
		if strings.Contains(cell, "{as ") {
			continue
		}
		for _, a := range op.Def().attrs {
			if !regexp.MustCompile(`\b` + a.name + `\b`).MatchString(cell) {
				t.Errorf("SPEC.md, %v: attribute %s is missing from %q", op, a.name, cell)
			}
		}
	}
	for name := range rows {
		t.Errorf("SPEC.md has %q, which is no op", name)
	}
}

func TestTheSpecificationsExample(t *testing.T) {
	spec := readSpec(t)
	_, rest, _ := strings.Cut(spec, "Example: the module\n\n```\n")
	src, rest, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	m, err := ParseText(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(m, Limits{}); err != nil {
		t.Fatal(err)
	}
	sum := Digest(m)
	if want := "has the digest `" + hex.EncodeToString(sum[:]) + "`"; !strings.Contains(rest, want) {
		t.Errorf("SPEC.md has another digest; wanted: %s", want)
	}
}
