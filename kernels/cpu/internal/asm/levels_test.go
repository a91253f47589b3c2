package asm

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoLevelFallsBehind reads the tables of kernels: wherever the AVX2 variant
// has an assembly function, the AVX-512 variant has one in the same place, not
// the portable kernel that a processor with AVX-512 would then run.
func TestNoLevelFallsBehind(t *testing.T) {
	assembly, err := filepath.Glob("*/avx2_amd64.s")
	if err != nil || len(assembly) == 0 {
		t.Fatalf("assembly: %v, %v", assembly, err)
	}
	for _, name := range assembly {
		dir := filepath.Dir(name)
		if dir == "fpenv" { // instructions that all of amd64 have
			continue
		}
		avx2, avx512 := map[string]bool{}, map[string]bool{}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "kernels_amd64.go"), nil, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, s := range c.Body {
				if r, ok := s.(*ast.ReturnStmt); ok {
					places(avx2, "AVX2", "", r.Results...)
					places(avx512, "AVX512", "", r.Results...)
				}
			}
			return false
		})
		if len(avx2) == 0 {
			t.Errorf("%s: no table has functions of AVX2", dir)
		}
		for place := range avx2 {
			if !avx512[place] {
				t.Errorf("%s: AVX2 has an assembly function at %s and AVX-512 has none", dir, place)
			}
		}
	}
}

// places adds the places below the expressions where a function's name ends in
// suffix: keys of literals, arguments of calls.
func places(into map[string]bool, suffix, at string, exprs ...ast.Expr) {
	for _, e := range exprs {
		switch e := e.(type) {
		case *ast.KeyValueExpr:
			key := fmt.Sprint(e.Key)
			if l, ok := e.Key.(*ast.BasicLit); ok {
				key = l.Value
			}
			places(into, suffix, at+"/"+key, e.Value)
		case *ast.CompositeLit:
			places(into, suffix, at, e.Elts...)
		case *ast.UnaryExpr:
			places(into, suffix, at, e.X)
		case *ast.CallExpr:
			places(into, suffix, at, e.Fun)
			for i, arg := range e.Args {
				places(into, suffix, fmt.Sprintf("%s(%d)", at, i), arg)
			}
		case *ast.FuncLit:
			ast.Inspect(e.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					places(into, suffix, at, call.Fun)
				}
				return true
			})
		case *ast.Ident:
			if strings.HasSuffix(e.Name, suffix) {
				into[at] = true
			}
		}
	}
}
