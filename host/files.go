package host

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/modelfmt"
)

// MaxSpecBytes is the most that one file of a spec may hold.
const MaxSpecBytes = 1 << 20

// FormatSpec returns a spec's text in canonical form. name is for diagnostics.
func FormatSpec(name string, src []byte) ([]byte, error) {
	out, diags := spec.Format(name, src)
	if diags.HasErrors() {
		return nil, diags
	}
	return out, nil
}

// SpecFiles returns the file itself, or the spec files of a folder.
func SpecFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, diag.Errorf("missing_file", "cannot read %s: %v", path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, diag.Errorf("missing_file", "cannot read %s: %v", path, err)
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), spec.Suffix) {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	return out, nil
}

// ReplaceFile replaces a file at once: whoever reads it sees the old or the new
// bytes, whole.
func ReplaceFile(path string, data []byte) error {
	return modelfmt.ReplaceFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// ReplaceWith is ReplaceFile for content that is written piece by piece.
func ReplaceWith(path string, write func(io.Writer) error) error {
	return modelfmt.ReplaceFile(path, write)
}

// CheckpointError gives an error of reading or writing a checkpoint its file
// and a remedy; nil stays nil.
func CheckpointError(path string, err error) error {
	if err == nil {
		return nil
	}
	return checkpointError(path, err)
}

// WriteCheckpoint writes what a checkpoint holds, for people.
func WriteCheckpoint(w io.Writer, r *modelfmt.Reader, info modelfmt.FileInfo) error {
	fmt.Fprintf(w, "checkpoint of format %d, %d bytes for %d (%.1f%%), root %s\n", info.Version, info.Bytes, info.Logical, 100*float64(info.Bytes)/float64(max(info.Logical, 1)), info.Root)
	if info.Base != nil {
		fmt.Fprintf(w, "difference to %s\n", *info.Base)
	}
	var m modelSection
	var run runState
	var sig Signature
	var pins []PluginPin
	for name, v := range map[string]any{sectionModel: &m, sectionRun: &run, sectionSignature: &sig, sectionPlugins: &pins} {
		if _, err := r.Section(name, v); err != nil {
			return err
		}
	}
	if m.Name != "" {
		fmt.Fprintf(w, "model %s: %d parameters to train; %d epochs, %d steps, seed %d, %s\n", m.Name, m.Parameters, run.Epoch, run.Step, run.Seed, run.Backend)
	}
	for _, p := range sig.Inputs {
		fmt.Fprintf(w, "input %s: %s[%s]\n", p.Name, p.DType, strings.Join(p.Shape, ", "))
	}
	for _, p := range sig.Outputs {
		fmt.Fprintf(w, "output %s: %s[%s]", p.Name, p.DType, strings.Join(p.Shape, ", "))
		if p.Target != "" {
			fmt.Fprintf(w, " predicts %s", p.Target)
		}
		if len(p.Classes) > 0 {
			fmt.Fprintf(w, " (%s)", strings.Join(p.Classes, ", "))
		}
		fmt.Fprintln(w)
	}
	for _, p := range pins {
		line := strings.TrimSpace(fmt.Sprintf("plugin %s %s %s", p.Name, p.Version, p.Source))
		if p.Needed {
			line += ", still needed: a component of its own computes outside the graph"
		}
		fmt.Fprintln(w, line)
	}
	if len(run.Metrics) > 0 {
		for _, k := range sortedKeys(run.Metrics) {
			fmt.Fprintf(w, "%s %.6g  ", k, float64(run.Metrics[k]))
		}
		fmt.Fprintln(w)
	}
	for _, n := range info.Ignored {
		fmt.Fprintf(w, "ignored: %s\n", n)
	}
	fmt.Fprintln(w)
	var stored int64
	rows := [][8]string{{"name", "role", "type", "shape", "bytes", "stored", "ratio", "codec"}}
	for _, e := range append(info.Tensors, info.Blobs...) {
		stored += e.Stored
		rows = append(rows, [8]string{e.Name, e.Role, e.DType.String(), shapeText(e.Shape), fmt.Sprint(e.Logical), fmt.Sprint(e.Stored), percent(e.Ratio()), e.Codec})
	}
	rows = append(rows, [8]string{fmt.Sprintf("%d tensors, %d blobs", len(info.Tensors), len(info.Blobs)), "", "", "",
		fmt.Sprint(info.Logical), fmt.Sprint(stored), percent(float64(stored) / float64(max(info.Logical, 1)))})
	var width [8]int
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		line := ""
		for i, c := range r {
			if number := i >= 4 && i <= 6; number {
				line += fmt.Sprintf("%*s  ", width[i], c)
			} else {
				line += fmt.Sprintf("%-*s  ", width[i], c)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func percent(x float64) string { return fmt.Sprintf("%.1f%%", 100*x) }

func shapeText(shape []int) string { return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ") }

// WriteDiff writes a comparison of two checkpoints, for people.
func WriteDiff(w io.Writer, d modelfmt.Diff, all bool) {
	same := 0
	for _, t := range d.Tensors {
		if t.How == "same" && !all {
			same++
			continue
		}
		fmt.Fprintf(w, "%-32s %-14s %d of %d changed, max %.6g, cosine %.9f\n", t.Name, t.How, t.Changed, t.Elements, t.MaxAbs, t.Cosine)
	}
	if same > 0 {
		fmt.Fprintf(w, "%d tensors are the same\n", same)
	}
	for _, n := range d.Blobs {
		fmt.Fprintf(w, "blob %s: %s\n", n.Name, n.How)
	}
	for _, n := range d.Manifest {
		fmt.Fprintf(w, "section %s: %s\n", n.Name, n.How)
	}
}
