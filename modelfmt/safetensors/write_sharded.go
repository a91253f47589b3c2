package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

// IndexSuffix ends the name of the index of a sharded file.
const IndexSuffix = ".safetensors.index.json"

// DefaultShard is the most bytes of tensors that a shard is given: 5 GB.
const DefaultShard = 5_000_000_000

// WriteSharded writes NAME.safetensors.index.json and, beside it, the shards
// NAME-00001-of-0000N.safetensors, each with at most limit bytes of tensors, or one
// tensor that is larger; 0 means [DefaultShard]. Tensors keep their order. The
// index is written last, so that whoever finds it finds all shards. No file is
// replaced, and after an error none is left.
func WriteSharded(index string, metadata map[string]string, tensors []Tensor, limit int64) (err error) {
	name, ok := strings.CutSuffix(index, IndexSuffix)
	if !ok {
		return &modelfmt.InputError{What: "index " + index, Detail: "its name must end in " + IndexSuffix}
	}
	if limit <= 0 {
		limit = DefaultShard
	}
	shards := split(tensors, limit)
	paths := make([]string, len(shards))
	for i := range shards {
		paths[i] = fmt.Sprintf("%s-%05d-of-%05d.safetensors", name, i+1, len(shards))
	}
	for _, path := range append(paths, index) {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return &modelfmt.InputError{What: path, Detail: "it is there already; a sharded file replaces none: remove it, or choose another name"}
		}
	}
	var written []string
	defer func() {
		if err != nil {
			for _, path := range written {
				os.Remove(path)
			}
		}
	}()
	weights := map[string]string{}
	var total int64
	for i, shard := range shards {
		for _, t := range shard {
			if _, twice := weights[t.Info.Name]; twice {
				return &modelfmt.InputError{What: fmt.Sprintf("tensor %q", t.Info.Name), Detail: "the name is taken; safetensors names are unique"}
			}
			weights[t.Info.Name] = filepath.Base(paths[i])
			total += t.Info.Bytes()
		}
		if err := modelfmt.ReplaceFile(paths[i], func(w io.Writer) error { return Write(w, metadata, shard) }); err != nil {
			return err
		}
		written = append(written, paths[i])
	}
	text, err := indexJSON(metadata, weights, total)
	if err != nil {
		return err
	}
	return modelfmt.ReplaceFile(index, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// split cuts the list where the next tensor would not fit; there is a shard even
// where there is no tensor.
func split(tensors []Tensor, limit int64) [][]Tensor {
	shards := [][]Tensor{nil}
	var used int64
	for _, t := range tensors {
		n := t.Info.Bytes()
		last := len(shards) - 1
		if len(shards[last]) > 0 && used+n > limit {
			shards = append(shards, nil)
			last, used = last+1, 0
		}
		shards[last] = append(shards[last], t)
		used += n
	}
	return shards
}

func indexJSON(metadata, weights map[string]string, total int64) ([]byte, error) {
	meta := map[string]any{}
	for k, v := range metadata {
		meta[k] = v
	}
	meta["total_size"] = total
	b, err := json.MarshalIndent(map[string]any{"metadata": meta, "weight_map": weights}, "", "  ")
	return append(b, '\n'), err
}
