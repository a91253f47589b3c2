package spec

import (
	"bytes"
	"strings"
	"testing"
)

// Texts of up to 1 MiB that make a recursive parser or an eager evaluator run out of stack, memory or patience.
var hostile = map[string]string{
	"brackets":        "a = " + strings.Repeat("[", 100000),
	"closed brackets": "a = " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000),
	"parentheses":     "a = " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000),
	"objects":         "a = " + strings.Repeat("{a=", 100000),
	"blocks":          strings.Repeat("a {\n", 100000),
	"calls":           "a = " + strings.Repeat("min(", 100000) + "1" + strings.Repeat(")", 100000),
	"templates":       "a = " + strings.Repeat(`"${`, 100000) + "1" + strings.Repeat(`}"`, 100000),
	"heredocs":        "a = " + strings.Repeat("<<A\n${", 100000),
	"index":           "a = b" + strings.Repeat("[c", 100000) + strings.Repeat("]", 100000),
	"mismatched":      "a = " + strings.Repeat("[)", 100000),
	"crossed":         "a = " + strings.Repeat("(]{)", 100000),
	"not":             "a = " + strings.Repeat("!", 100000) + "true",
	"minus":           "a = " + strings.Repeat("-", 100000) + "1",
	"sum":             "a = 1" + strings.Repeat("+1", 100000),
	"sum of objects":  "a = {}" + strings.Repeat("+{}", 100000),
	"sum over lines":  "a = (1" + strings.Repeat("\n+1", 100000) + ")",
	"commented sum":   "a = (1" + strings.Repeat("/**/\n+1", 130000) + ")",
	"for over lines":  "a = { for k, v in b : k => v" + strings.Repeat("\n+1", 100000) + "}",
	"ternaries":       "a = " + strings.Repeat("true ? 1 : ", 90000) + "1",
	"indices":         "a = b" + strings.Repeat("[c]", 100000),
	"splats":          "a = b" + strings.Repeat("[*]", 100000),
	"dots":            "a = b" + strings.Repeat(".c", 100000),
	"attribute splat": "a = b" + strings.Repeat(".*", 100000),
	"directives":      "a = \"" + strings.Repeat("%{if true}", 100000) + "\"",
	"loops":           "a = \"" + strings.Repeat("%{for x in y}", 75000) + "\"",
	"nots and parens": "a = " + strings.Repeat(strings.Repeat("!", 4000)+"(", 60),
	"digits":          "a = " + strings.Repeat("9", 100000),
	"comment":         strings.Repeat("/*", 100000),
	"quotes":          strings.Repeat("\"", 100001),
	"nul":             strings.Repeat("\x00", 100000),
	"binary":          strings.Repeat("\xff\xfe", 100000),
	"commas":          "a = [" + strings.Repeat(",", 100000),
	"dollars":         "a = \"" + strings.Repeat("$", 100000) + "\"",
	"dollars apart":   "a = \"" + strings.Repeat("$$${1}", 150000) + "\"",
	"heredoc lines":   "a = <<A\n" + strings.Repeat("\n", 100000) + "A\n",
	"newlines":        strings.Repeat("\n", 300000),
	"labels":          "a" + strings.Repeat(" \"b\"", 250000),
	"arguments":       strings.Repeat("a = 1\n", 170000),
	"too large":       strings.Repeat("#", maxFileBytes+1),

	"doubled strings":  "locals {\n a0 = \"xxxxxxxxxx\"\n" + doubling(40, "${local.a%d}${local.a%d}") + "}",
	"nested loops":     "locals {\n a = [for i in range(1000) : [for j in range(1000) : [for k in range(1000) : i + j + k]]]\n}",
	"wide join":        "locals {\n a = join(join(\",\", range(1000)), range(1000))\n b = join(local.a, range(1000))\n c = join(local.b, range(1000))\n}",
	"padding":          "locals {\n a = format(\"%999999999d\", 1)\n}",
	"huge number":      "locals {\n a = \"${1e600000000}\"\n}",
	"powers":           "locals {\n a0 = 1e300\n" + doublingExpr(40, "local.a%d * local.a%d") + "}",
	"not a number":     "locals {\n a = pow(-1, 0.5)\n b = log(-1, 2)\n c = 0 * pow(10, 1000)\n d = 1 / 0\n}",
	"many copies":      "model \"m\" {\n input \"x\" {}\n layer \"a\" \"b\" { count = 1000000000 }\n}",
	"blocks of blocks": "model \"m\" {\n input \"x\" {}\n" + chainedBlocks(30) + " layer \"block.b0\" \"l\" {}\n}",
	"deep groups":      "model \"m\" {\n input \"x\" {}\n" + strings.ReplaceAll(chainedBlocks(2000), "count = 8", "count = 1") + " layer \"block.b0\" \"l\" {}\n}",
	"many inputs":      "model \"m\" {\n block \"b\" {\n" + numbered(5000, "input \"i%d\" {}\n") + "}\n input \"x\" {}\n layer \"block.b\" \"l\" { count = 10000 }\n}",
	"chain of locals":  "locals {\n" + numbered(3000, "a%d = local.b%d\nb%d = 1\n") + chain(3000) + "}",
}

func TestHostileTexts(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			s, diags := Parse("", []Source{{"a.hone.hcl", []byte(text)}}, Options{})
			if s == nil {
				t.Fatal("no spec")
			}
			if name == "chain of locals" {
				if diags.HasErrors() {
					t.Errorf("refused: %v", diags[0])
				}
				return
			}
			if !diags.HasErrors() {
				t.Error("accepted")
			}
			for _, d := range diags {
				if d.Detail == "" && d.Subject == nil {
					t.Errorf("no place and no remedy: %v", d)
				}
			}
		})
	}
}

// Deep, long and wide texts that are fine, to show that the limits do not bite.
func TestAllowedTexts(t *testing.T) {
	for name, text := range map[string]string{
		"brackets":       "locals {\n a = " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n}",
		"in a string":    "locals {\n a = \"" + strings.Repeat("[{(", 100000) + "\"\n}",
		"in a heredoc":   "locals {\n a = <<EOT\n" + strings.Repeat("[{(\"\n", 4000) + "EOT\n}",
		"in a comment":   "# " + strings.Repeat("[{(", 100000) + "\n/* " + strings.Repeat("[", 1000) + " */\n",
		"escaped":        "locals {\n a = \"" + strings.Repeat("$${%%{", 500) + "\"\n}",
		"many strings":   "locals {\n a = [" + strings.Repeat("\"${1}\", ", 10000) + "]\n}",
		"long list":      "locals {\n a = [" + strings.Repeat("-1.5, ", 50000) + "]\n}",
		"long object":    "locals {\n a = {\n" + numbered(20000, "k%d = -1\n") + "}\n}",
		"directives":     "locals {\n a = \"" + strings.Repeat("%{if true}x%{else}y%{endif}", 1000) + "\"\n}",
		"loops":          "locals {\n a = \"" + strings.Repeat("%{for x in [1, 2]}${x}%{endfor}", 1000) + "\"\n}",
		"if in an if":    "locals {\n a = \"%{if \"${true}\"}%{if true}b%{endif}%{endif}\"\n}",
		"loop in a loop": "locals {\n a = [for i in range(32) : [for j in range(32) : i * j]]\n}",
		"operators":      "locals {\n a = 1" + strings.Repeat(" + 1", 2000) + "\n b = -1" + strings.Repeat(" - 1", 2000) + "\n}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, diags := Parse("", []Source{{"a.hone.hcl", []byte(text)}}, Options{}); len(diags) > 0 {
				t.Error(diags)
			}
		})
	}
}

func doubling(n int, form string) string { return doublingExpr(n, `"`+form+`"`) }

func doublingExpr(n int, form string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" a" + itoa(i+1) + " = " + strings.ReplaceAll(form, "%d", itoa(i)) + "\n")
	}
	return b.String()
}

func numbered(n int, form string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(form, "%d", itoa(i)))
	}
	return b.String()
}

func chain(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("c" + itoa(i) + " = local.c" + itoa(i+1) + "\n")
	}
	return b.String() + "c" + itoa(n) + " = 1\n"
}

func chainedBlocks(n int) string {
	var b strings.Builder
	for i := range n {
		inside := "layer \"dense\" \"l\" {}"
		if i+1 < n {
			inside = "layer \"block.b" + itoa(i+1) + "\" \"l\" { count = 8 }"
		}
		b.WriteString(" block \"b" + itoa(i) + "\" {\n" + inside + "\n}\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	full := readTestdata(f, "full.hone.hcl")
	f.Add(full)
	for _, text := range hostile {
		if len(text) < 4096 {
			f.Add([]byte(text))
		}
	}
	for _, piece := range bytes.SplitAfter(full, []byte("\n}\n")) {
		f.Add(piece)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, diags := Parse("", []Source{{"a.hone.hcl", text}}, Options{})
		if diags.HasErrors() {
			return
		}
		// What was accepted is printed as something that means the same.
		printed := s.Print()
		again, diags := Parse("", []Source{{"a.hone.hcl", printed}}, Options{})
		if diags.HasErrors() {
			t.Fatalf("printed as\n%s\nwhich is refused: %v", printed, diags)
		}
		if second := again.Print(); !bytes.Contains(printed, []byte("sensitive")) && !bytes.Equal(printed, second) {
			t.Fatalf("printed as\n%s\nthen as\n%s", printed, second)
		}
		s.Provenance()
	})
}

func FuzzFormat(f *testing.F) {
	f.Add(readTestdata(f, "full.hone.hcl"))
	f.Add([]byte("a   {\r\n  b=1 /* c */  # d\n c    =2\n}\n\n\n"))
	f.Add([]byte("a = <<EOT\n  x\n EOT\nb=[\n1,\n2]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, diags := Format("a.hone.hcl", text)
		if diags.HasErrors() {
			if !bytes.Equal(out, text) {
				t.Fatal("changed in spite of errors")
			}
			return
		}
		again, diags := Format("a.hone.hcl", out)
		if diags.HasErrors() || !bytes.Equal(again, out) {
			t.Fatalf("not stable: %q, then %q, %v", out, again, diags)
		}
	})
}
