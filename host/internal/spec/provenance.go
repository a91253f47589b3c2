package spec

import (
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Provenance is what a checkpoint keeps of a spec: its words and the values of its variables, without
// anything sensitive.
type Provenance struct {
	Sources   []Source          // base names; defaults of sensitive variables are cut out
	Variables map[string]string // name to value, in HCL; sensitive ones are absent
}

// Provenance returns the spec's words for keeping. A spec built in Go is printed as HCL first.
func (s *Spec) Provenance() Provenance {
	p := Provenance{Variables: map[string]string{}}
	secret := map[string]bool{}
	for _, v := range s.Variables {
		if v.Sensitive {
			secret[v.Name] = true
		} else if v.Value != cty.NilVal {
			p.Variables[v.Name] = literal(v.Value)
		}
	}
	for _, src := range s.Sources {
		p.Sources = append(p.Sources, Source{Name: filepath.Base(src.Name), Text: withoutSecrets(src, secret)})
	}
	if len(s.Sources) == 0 {
		p.Sources = []Source{{Name: "spec" + Suffix, Text: s.Print()}}
	}
	return p
}

// withoutSecrets cuts the defaults of sensitive variables out of a text. A text that
// cannot be read again is not kept.
func withoutSecrets(src Source, secret map[string]bool) []byte {
	if len(secret) == 0 {
		return src.Text
	}
	body, diags := parseBody(src)
	if diags.HasErrors() {
		return nil
	}
	var cuts []hcl.Range
	for _, hb := range body.Blocks {
		if hb.Type == "variable" && len(hb.Labels) == 1 && secret[hb.Labels[0]] {
			if a, ok := hb.Body.Attributes["default"]; ok {
				cuts = append(cuts, a.SrcRange)
			}
		}
	}
	var out []byte
	end := 0
	for _, c := range cuts {
		out = append(out, src.Text[end:c.Start.Byte]...)
		out = append(out, "/* default: sensitive, not kept */"...)
		end = c.End.Byte
	}
	return append(out, src.Text[end:]...)
}
