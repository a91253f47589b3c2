// Command asmgen writes the AVX2 twins of the portable loops of planes and
// treehash. It is a module of its own, so that the product does not depend on
// the generator's libraries. Run it with go generate in those packages.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	what := flag.String("what", "", "planes or treehash")
	build.ConstraintExpr("amd64,!noasm")
	// build.Generate parses the flags -out and -stubs.
	flag.Parse()
	switch *what {
	case "planes":
		planes()
	case "treehash":
		hash8()
	default:
		fmt.Fprintln(os.Stderr, "asmgen: -what planes or -what treehash")
		os.Exit(2)
	}
	build.Generate()
}
