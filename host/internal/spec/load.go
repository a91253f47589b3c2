package spec

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Suffix ends the name of every file that belongs to a spec.
const Suffix = ".hone.hcl"

const maxFiles = 256 // of one folder

// Options are what a run adds to the files.
type Options struct {
	// Vars are values of variables, "name=value"; a later one wins over an earlier one, any
	// of them over VarFiles, these over Env, and that over a variable's default.
	Vars     []string
	VarFiles []string // files of name = value lines, in HCL
	// Env looks up HONE_VAR_name, as os.LookupEnv does; nil looks nowhere.
	Env func(string) (string, bool)
	// Version is hone's own, to be held against required_version; empty skips that.
	Version string
}

// Load reads a spec from a file, or from all files of a folder whose names end with Suffix.
// The Spec is never nil and holds the Sources that diagnostics speak of, even
// where there are errors; only without errors is the rest of it complete.
func Load(path string, opts Options) (*Spec, diag.Diagnostics) {
	dir, sources, diags := ReadSources(path)
	if diags.HasErrors() {
		return &Spec{Dir: dir, Sources: sources}, diags
	}
	return Parse(dir, sources, opts)
}

// ReadSources reads the files that path stands for, as Load does, without looking at what they
// say. It also returns their folder.
func ReadSources(path string) (dir string, sources []Source, diags diag.Diagnostics) {
	dir, files, diags := find(path)
	for _, f := range files {
		text, d := readFile(f)
		diags.Append(d...)
		if !d.HasErrors() {
			sources = append(sources, Source{Name: f, Text: text})
		}
	}
	return dir, sources, diags
}

// Texts gives the sources in the form that diag.Write wants.
func (s *Spec) Texts() map[string][]byte {
	texts := make(map[string][]byte, len(s.Sources))
	for _, src := range s.Sources {
		texts[src.Name] = src.Text
	}
	return texts
}

// Resolve returns a path of the spec as written and as it is opened.
func (s *Spec) Resolve(raw string) Path { return resolve(s.Dir, raw) }

func resolve(dir, raw string) Path {
	if raw == "" || filepath.IsAbs(raw) {
		return Path{Raw: raw, Resolved: raw}
	}
	return Path{Raw: raw, Resolved: filepath.Join(dir, filepath.FromSlash(raw))}
}

// find lists the files that path stands for, and the folder they are in.
func find(path string) (dir string, files []string, diags diag.Diagnostics) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, diag.Diagnostics{diag.Errorf("no_spec", "Cannot open %s: %w", path, cause(err)).
			Hint("Give a file whose name ends with %s, or a folder that holds such files.", Suffix)}
	}
	if !info.IsDir() {
		if !strings.HasSuffix(path, Suffix) {
			return "", nil, diag.Diagnostics{diag.Errorf("no_spec", "%s is not the name of a spec", path).
				Hint("Files of a spec have names that end with %s. Rename the file, or give its folder.", Suffix)}
		}
		return filepath.Dir(path), []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return path, nil, diag.Diagnostics{diag.Errorf("no_spec", "Cannot list %s: %w", path, cause(err)).
			Hint("Check that the folder may be read.")}
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), Suffix) && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	switch {
	case len(files) == 0:
		return path, nil, diag.Diagnostics{diag.Errorf("no_spec", "There is no spec in %s", path).
			Hint("None of its files has a name that ends with %s. The command `hone new` writes an example.", Suffix)}
	case len(files) > maxFiles:
		return path, nil, diag.Diagnostics{diag.Errorf("too_many_files", "%s holds %d files of a spec", path, len(files)).
			Hint("A spec may have at most %d files. Give one of them by name.", maxFiles)}
	}
	return path, files, nil
}

// cause strips the operation and the path, which the message names already.
func cause(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err
	}
	return err
}

func fileTooLarge(name string, size int64) diag.Diagnostic {
	return diag.Errorf("file_too_large", "%s has %d bytes", name, size).At(diag.Range{File: name}).
		Hint("A file of a spec may have at most %d bytes (1 MiB). Split it, or keep data in a data file.", maxFileBytes)
}

// readFile reads a file of at most maxFileBytes. What is no regular file, such
// as a pipe that might never end, is refused.
func readFile(name string) ([]byte, diag.Diagnostics) {
	fail := func(err error) ([]byte, diag.Diagnostics) {
		return nil, diag.Diagnostics{diag.Errorf("unreadable", "Cannot read %s: %w", name, cause(err)).
			Hint("Check that the file is there and may be read.")}
	}
	info, err := os.Stat(name)
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(fmt.Errorf("it is not a regular file"))
	}
	if info.Size() > maxFileBytes {
		return nil, diag.Diagnostics{fileTooLarge(name, info.Size())}
	}
	f, err := os.Open(name)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return fail(err)
	}
	if len(text) > maxFileBytes { // it grew
		return nil, diag.Diagnostics{fileTooLarge(name, int64(len(text)))}
	}
	return text, nil
}

// parseBody reads the syntax of one file, within the limits of scanFile.
func parseBody(src Source) (*hclsyntax.Body, diag.Diagnostics) {
	if diags := scanFile(src.Text, src.Name); diags.HasErrors() {
		return nil, diags
	}
	var file *hcl.File
	var found hcl.Diagnostics
	diags := guarded("this file", diag.Range{File: src.Name}, func() {
		file, found = hclsyntax.ParseConfig(src.Text, src.Name, hcl.InitialPos)
	})
	if diags != nil {
		return nil, diags
	}
	if found.HasErrors() {
		return nil, fromHCL(found)
	}
	return file.Body.(*hclsyntax.Body), fromHCL(found)
}

// Parse reads a spec from texts; relative paths in it start from dir. See Load for what is returned.
func Parse(dir string, sources []Source, opts Options) (*Spec, diag.Diagnostics) {
	r := &reader{spec: &Spec{Dir: dir, Sources: sources}, scope: newScope(), opts: opts}
	var bodies []*hclsyntax.Body
	for _, src := range sources {
		body, diags := parseBody(src)
		r.diags.Append(diags...)
		bodies = append(bodies, body)
	}
	if !r.diags.HasErrors() {
		r.read(bodies)
	}
	if !r.diags.HasErrors() {
		r.diags.Append(r.spec.Validate()...)
	}
	return r.spec, distinct(r.diags)
}

// maxDiagnostics bounds what one reading reports.
const maxDiagnostics = 50

// distinct drops repetitions, as of a mistake in a block of which there are several instances.
func distinct(diags diag.Diagnostics) diag.Diagnostics {
	type key struct {
		code, summary string
		at            diag.Range
	}
	seen := map[key]bool{}
	diags = slices.DeleteFunc(diags, func(d diag.Diagnostic) bool {
		k := key{code: d.Code, summary: d.Summary}
		if d.Subject != nil {
			k.at = *d.Subject
		}
		again := seen[k]
		seen[k] = true
		return again
	})
	if n := len(diags); n > maxDiagnostics {
		diags = append(diags[:maxDiagnostics:maxDiagnostics], diag.Errorf("too_many_errors", "%d more are not shown", n-maxDiagnostics).
			Hint("Mend the first ones and try again."))
	}
	return diags
}
