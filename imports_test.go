package hone

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/hone-ml/hone/"

// rules say, for the folders of the module, which folders their packages may
// import. Tests of a package may import more.
var rules = []struct {
	from  string
	allow []string
}{
	{"sdk/graph", []string{"sdk/honepb/graphpb"}},
	{"sdk/honepb/graphpb", nil},
	{"sdk/honepb", []string{"sdk/honepb"}},
	{"sdk", []string{"sdk"}},
	{"plugins/builtin", []string{"plugins", "sdk"}},
	{"plugins", []string{"sdk"}},
	{"kernels", []string{"kernels", "sdk/graph"}},
	{"modelfmt", []string{"modelfmt"}},
	{"host", []string{"host", "kernels", "modelfmt", "sdk"}},
	{"examples", nil},
	{"bench", []string{"host", "kernels", "modelfmt", "sdk", "plugins/builtin"}},
	{"cmd/hone-plugin-", []string{"sdk", "plugins"}},
	{"cmd/hone", []string{"host", "modelfmt", "sdk", "plugins/builtin", "examples"}},
}

// sdkMayImport lists what a plugin author is made to depend on.
var sdkMayImport = []string{
	"github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog", "google.golang.org/grpc", "google.golang.org/protobuf",
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/") || strings.HasSuffix(folder, "-") && strings.HasPrefix(path, folder)
}

func TestImportsPointOneWay(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := map[string]bool{}
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, modulePath)
		if from == strings.TrimSuffix(modulePath, "/") {
			continue
		}
		i := slices.IndexFunc(rules, func(r struct {
			from  string
			allow []string
		}) bool {
			return within(from, r.from)
		})
		if i < 0 {
			t.Errorf("%s stands in no room of docs/architecture.md; add a rule or move it", from)
			continue
		}
		seen[rules[i].from] = true
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, modulePath)
			if ours {
				if !slices.ContainsFunc(rules[i].allow, func(a string) bool { return within(to, a) }) {
					t.Errorf("%s imports %s, which its room may not", from, to)
				}
				if strings.Contains(to, "/util") || strings.HasSuffix(to, "/common") || strings.HasSuffix(to, "/types") {
					t.Errorf("%s imports %s: no such names", from, to)
				}
				continue
			}
			if within(from, "sdk") && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") &&
				!slices.ContainsFunc(sdkMayImport, func(a string) bool { return within(imp, a) }) {
				t.Errorf("%s imports %s; plugin authors depend on %v alone", from, imp, sdkMayImport)
			}
		}
	}
	for _, r := range rules {
		if !seen[r.from] && r.from != "bench" && r.from != "sdk/honepb" {
			t.Errorf("the rule for %s applies to nothing", r.from)
		}
	}
}
