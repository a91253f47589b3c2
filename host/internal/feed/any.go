package feed

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
)

// ReadAny reads a file of examples, whose kind its name tells: .npy, .npz, .csv
// and .tsv, .jsonl and .ndjson, each also compressed, else IDX.
func ReadAny(ctx context.Context, path string) (*data.Table, error) {
	name := strings.ToLower(filepath.Base(path))
	for _, z := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, z)
	}
	switch filepath.Ext(name) {
	case ".npy":
		return data.ReadNPY(ctx, path, "x", data.Limits{})
	case ".npz":
		return data.ReadNPZ(ctx, path, nil, data.Limits{})
	case ".csv", ".tsv", ".txt", ".data":
		return data.ReadCSV(ctx, path, data.CSVOptions{})
	case ".jsonl", ".ndjson", ".json":
		return data.ReadJSONLines(ctx, path, data.JSONOptions{})
	}
	return data.ReadIDX(ctx, path, "image", data.Limits{})
}
