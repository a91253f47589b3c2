// Command asmgen writes the assembly of kernels/cpu/internal/asm. It is a
// module of its own, so that the product does not depend on its assembler.
//
//	go run . -o ../internal/asm
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// files maps each package to the emitter of its kernels.
var files = []struct {
	pkg  string
	emit func(*gen)
}{
	{"gemm", gemmFile},
	{"vec", vecFile},
	{"philox", philoxFile},
	{"optim", optimFile},
	{"fpenv", fpenvFile},
	{"conv", convFile},
	{"norm", normFile},
}

func main() {
	out := flag.String("o", filepath.Join("..", "internal", "asm"), "`folder` of the asm packages")
	flag.Parse()
	for _, f := range files {
		for _, w := range []width{avx2, avx512} {
			if err := write(filepath.Join(*out, f.pkg), f.pkg, w, f.emit); err != nil {
				fmt.Fprintf(os.Stderr, "asmgen: %s for %s: %v\n", f.pkg, w.name, err)
				os.Exit(1)
			}
		}
	}
}

// write generates the assembly and the Go declarations of one package in one
// width.
func write(folder, pkg string, w width, emit func(*gen)) error {
	g := newGen(w)
	g.ConstraintExpr("!noasm")
	emit(g)
	file, err := g.Result()
	if err != nil {
		return err
	}
	if len(file.Sections) == 0 {
		return nil // nothing in this width
	}
	if err := pass.Compile.Execute(file); err != nil {
		return err
	}
	cfg := printer.Config{Name: "asmgen", Pkg: pkg}
	stem := filepath.Join(folder, strings.ToLower(w.name)+"_amd64")
	for name, p := range map[string]printer.Printer{
		stem + ".s":  printer.NewGoAsm(cfg),
		stem + ".go": printer.NewStubs(cfg),
	} {
		text, err := p.Print(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
