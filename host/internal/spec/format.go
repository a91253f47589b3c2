package spec

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Format returns a file in the canonical layout of HCL: indented by two spaces, equal signs
// aligned, one newline at the end. Formatting what Format returned changes nothing. A file is in
// that layout if the result equals it. Where there are errors the text is returned as it was.
func Format(name string, src []byte) ([]byte, diag.Diagnostics) {
	if _, diags := parseBody(Source{Name: name, Text: src}); diags.HasErrors() {
		return src, diags
	}
	out := src
	diags := guarded("this file", diag.Range{File: name}, func() {
		// One pass can move what the next one aligns; the layout settles after a few.
		const most = 4
		for range most {
			next := layout(out)
			if bytes.Equal(next, out) {
				return
			}
			out = next
		}
	})
	if diags == nil && !(bytes.Equal(layout(out), out) && sameTokens(src, out)) {
		diags = diag.Diagnostics{diag.Errorf("unformattable", "Cannot bring this file into the canonical layout").At(diag.Range{File: name}).
			Hint("It is left as it is. A line that mixes comments with several brackets can be the reason; split it.")}
	}
	if diags.HasErrors() {
		return src, diags
	}
	return out, nil
}

func layout(src []byte) []byte {
	out := bytes.TrimSpace(hclwrite.Format(src))
	if len(out) == 0 {
		return nil
	}
	return append(bytes.Clone(out), '\n')
}

// sameTokens reports whether two texts differ in nothing but space: what is laid out
// must never mean something else.
func sameTokens(a, b []byte) bool {
	ta, _ := hclsyntax.LexConfig(a, "", hcl.InitialPos)
	tb, _ := hclsyntax.LexConfig(b, "", hcl.InitialPos)
	ta, tb = significant(ta), significant(tb)
	if len(ta) != len(tb) {
		return false
	}
	for i := range ta {
		if ta[i].Type != tb[i].Type || !bytes.Equal(bytes.TrimSpace(ta[i].Bytes), bytes.TrimSpace(tb[i].Bytes)) {
			return false
		}
	}
	return true
}

// significant drops newlines, which may come and go at both ends of a file.
func significant(tokens hclsyntax.Tokens) hclsyntax.Tokens {
	var out hclsyntax.Tokens
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenNewline {
			out = append(out, t)
		}
	}
	return out
}
