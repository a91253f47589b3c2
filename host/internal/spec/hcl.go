package spec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/hone-ml/hone/host/internal/diag"
)

// maxSyntaxErrors bounds how many of the parser's complaints about one file are shown:
// after the first few they are mostly consequences.
const maxSyntaxErrors = 10

func fromHCLRange(r hcl.Range) diag.Range {
	return diag.Range{File: r.Filename, Start: fromHCLPos(r.Start), End: fromHCLPos(r.End)}
}

func fromHCLPos(p hcl.Pos) diag.Pos {
	return diag.Pos{Line: p.Line, Column: p.Column, Byte: p.Byte}
}

// fromHCL converts what the HCL library found, the first few of it.
func fromHCL(in hcl.Diagnostics) diag.Diagnostics {
	var out diag.Diagnostics
	for i, d := range in {
		if i == maxSyntaxErrors {
			rest := diag.Warnf("syntax", "%d more like these are not shown", len(in)-i).Hint("Mend the first ones and try again.")
			if d.Subject != nil {
				rest = rest.At(fromHCLRange(*d.Subject))
			}
			out.Append(rest)
			break
		}
		c := diag.Diagnostic{Code: "syntax", Summary: strings.TrimSuffix(d.Summary, "."), Detail: d.Detail}
		if before, _, isPanic := strings.Cut(d.Detail, ": panic in function"); isPanic {
			c.Detail = before + ": it has no answer for these arguments." // and not the stack that follows
		}
		if d.Severity == hcl.DiagWarning {
			c.Severity = diag.Warning
		}
		if d.Subject != nil {
			c = c.At(fromHCLRange(*d.Subject))
		}
		if d.Context != nil {
			c = c.Within(fromHCLRange(*d.Context))
		}
		out.Append(c)
	}
	return out
}

// guarded runs f, a call into the HCL library on what the user wrote. A fault of that
// library on hostile text must not end the program, so that a panic becomes a diagnostic.
func guarded(what string, at diag.Range, f func()) (diags diag.Diagnostics) {
	defer func() {
		if p := recover(); p != nil {
			diags = diag.Diagnostics{diag.Errorf("syntax", "Cannot make sense of %s", what).At(at).
				Hint("The HCL library stopped with: %s. Write it in a simpler way.", firstLine(fmt.Sprint(p)))}
		}
	}()
	f()
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[:min(len(line), 200)]
}
