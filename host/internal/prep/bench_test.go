package prep_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels/cpu"
)

var (
	censusNumbers    = strings.Fields("age fnlwgt education_num capital_gain capital_loss hours_per_week")
	censusCategories = strings.Fields("workclass education marital_status occupation relationship race sex native_country")
	censusColumns    = strings.Fields("age workclass fnlwgt education education_num marital_status occupation relationship race sex capital_gain capital_loss hours_per_week native_country income")
)

// censusTransforms are those of examples/census-wide-deep.
func censusTransforms() []spec.Transform {
	return []spec.Transform{
		transform("impute", censusCategories, "strategy", "most_frequent"),
		transform("one_hot", censusCategories),
		transform("min_max", censusNumbers),
	}
}

// BenchmarkCensus reads the Census file repeated 20 times, fits and applies;
// bench/tables.py does the same with pandas and scikit-learn.
func BenchmarkCensus(b *testing.B) {
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "data", "adult", "adult.data.gz"))
	if err != nil {
		b.Skip("no Census data: ", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "adult.csv")
	many := bytes.Repeat(append(bytes.TrimRight(text, "\n "), '\n'), 20)
	if err := os.WriteFile(path, many, 0o600); err != nil {
		b.Fatal(err)
	}
	be, err := cpu.New(cpu.Config{})
	if err != nil {
		b.Fatal(err)
	}
	h, err := plugin.New(plugin.Options{Builtin: bundleInProcess()})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	read := func() *data.Table {
		t, err := data.ReadCSV(b.Context(), path, data.CSVOptions{Columns: censusColumns, SkipInitialSpace: true, Missing: []string{"?"}})
		if err != nil {
			b.Fatal(err)
		}
		return t
	}
	fit := func(t *data.Table) *prep.Pipeline {
		p, ds := prep.Fit(b.Context(), h, censusTransforms(), t, prep.Options{Backend: be, Targets: []string{"income"}})
		if err := ds.Err(); err != nil {
			b.Fatal(err)
		}
		return p
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			read()
		}
	})
	t := read()
	b.Run("fit", func(b *testing.B) {
		for b.Loop() {
			fit(t)
		}
	})
	p := fit(t)
	b.Run("apply", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := p.Apply(b.Context(), prep.Train, t); err != nil {
				b.Fatal(err)
			}
		}
	})
}
