package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

const maxIndexBytes = 64 << 20

// Set is one file, or the shards that an index names.
type Set struct {
	files []*File
	names []string // of the files
	owner map[string]*File
	meta  map[string]string
}

// Open opens a file, or all shards of an index when the path ends in ".json", as
// model.safetensors.index.json does.
func Open(path string) (*Set, error) {
	if strings.HasSuffix(strings.ToLower(path), ".json") {
		return openIndex(path)
	}
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	s := &Set{owner: map[string]*File{}, meta: f.metadata}
	return s, s.add(filepath.Base(path), f)
}

func (s *Set) add(name string, f *File) error {
	s.files, s.names = append(s.files, f), append(s.names, name)
	for _, t := range f.tensors {
		if _, twice := s.owner[t.info.Name]; twice {
			return fmt.Errorf("tensor %q lies in two shards", t.info.Name)
		}
		s.owner[t.info.Name] = f
	}
	return nil
}

func openIndex(path string) (*Set, error) {
	wrap := func(err error) (*Set, error) {
		return nil, fmt.Errorf("open safetensors index %s: %w", path, err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return wrap(err)
	}
	if st.Size() > maxIndexBytes {
		return wrap(&modelfmt.LimitError{What: "bytes of the index", Value: uint64(st.Size()), Limit: maxIndexBytes, Remedy: "the file is not an index"})
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return wrap(err)
	}
	shards, weights, meta, err := parseIndex(text)
	if err != nil {
		return wrap(err)
	}
	s := &Set{owner: map[string]*File{}, meta: meta}
	for _, shard := range shards {
		f, err := OpenFile(filepath.Join(filepath.Dir(path), shard))
		if err == nil {
			err = s.add(shard, f)
		}
		if err != nil {
			s.Close()
			return wrap(err)
		}
	}
	if err := s.agrees(weights); err != nil {
		s.Close()
		return wrap(err)
	}
	return s, nil
}

// parseIndex returns the shards' names in order, the map from tensor to shard,
// and what metadata is text.
func parseIndex(text []byte) (shards []string, weights, meta map[string]string, err error) {
	var raw struct {
		Metadata  map[string]json.RawMessage `json:"metadata"`
		WeightMap map[string]string          `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, nil, nil, err
	}
	if len(raw.WeightMap) == 0 {
		return nil, nil, nil, errors.New("its weight_map is empty or absent")
	}
	for tensor, shard := range raw.WeightMap {
		// The only names taken from a file: they may not leave its folder.
		if shard == "" || shard != filepath.Base(shard) || !filepath.IsLocal(shard) || strings.ContainsAny(shard, `/\`) || shard == "." {
			return nil, nil, nil, fmt.Errorf("tensor %q is in shard %q, which is not a plain file name", tensor, shard)
		}
		if !slices.Contains(shards, shard) {
			shards = append(shards, shard)
		}
	}
	slices.Sort(shards)
	meta = map[string]string{}
	for k, v := range raw.Metadata {
		var s string
		if json.Unmarshal(v, &s) == nil {
			meta[k] = s
		}
	}
	return shards, raw.WeightMap, meta, nil
}

// agrees checks that index and shards tell of the same tensors.
func (s *Set) agrees(weights map[string]string) error {
	for i, f := range s.files {
		for _, t := range f.tensors {
			if w, ok := weights[t.info.Name]; !ok || w != s.names[i] {
				return fmt.Errorf("shard %s holds tensor %q, which the index places in %q", s.names[i], t.info.Name, w)
			}
		}
	}
	for tensor, shard := range weights {
		if s.owner[tensor] == nil {
			return fmt.Errorf("the index places tensor %q in %s, which does not hold it", tensor, shard)
		}
	}
	return nil
}

// Tensors lists the tensors, shard by shard.
func (s *Set) Tensors() []modelfmt.TensorInfo {
	var out []modelfmt.TensorInfo
	for _, f := range s.files {
		out = append(out, f.Tensors()...)
	}
	return out
}

// Metadata returns the free text of the file or the index.
func (s *Set) Metadata() map[string]string { return s.meta }

// TensorReader gives the bytes of a tensor.
func (s *Set) TensorReader(name string) (io.Reader, error) {
	f, ok := s.owner[name]
	if !ok {
		return nil, &modelfmt.NotFoundError{Kind: "tensor", Name: name}
	}
	return f.TensorReader(name)
}

// Close closes every file.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
