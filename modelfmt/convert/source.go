package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
	"github.com/hone-ml/hone/modelfmt/safetensors"
)

// Format is a file format.
type Format string

// The formats. A .npy file can be read only.
const (
	Hone        Format = "hone"
	Safetensors Format = "safetensors"
	NPZ         Format = "npz"
)

// FormatOf tells the format that a path's ending asks for: .hone, .safetensors or,
// for shards and their index, .safetensors.index.json, and .npz.
func FormatOf(path string) (Format, error) {
	if strings.HasSuffix(path, safetensors.IndexSuffix) {
		return Safetensors, nil
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".hone":
		return Hone, nil
	case ".safetensors":
		return Safetensors, nil
	case ".npz":
		return NPZ, nil
	}
	return "", &modelfmt.InputError{What: path, Detail: "its ending names no format; use .hone, .safetensors, .safetensors.index.json or .npz"}
}

// Source is something that has tensors.
type Source interface {
	// Tensors lists them.
	Tensors() []modelfmt.TensorInfo
	// TensorReader gives the dense bytes of one, little endian and row-major.
	TensorReader(name string) (io.Reader, error)
	// Metadata is free text by key, or nil.
	Metadata() map[string]string
	// Close releases the files.
	Close() error
}

// Open opens a file for its tensors. The format is told from its first bytes, or
// for the index of a sharded safetensors file from the ending ".json".
func Open(path string, opts modelfmt.ReaderOptions) (Source, Format, error) {
	if strings.HasSuffix(strings.ToLower(path), ".json") {
		s, err := safetensors.Open(path)
		return source(s, err, Safetensors)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("open weights: %w", err)
	}
	var head [9]byte
	n, _ := io.ReadFull(f, head[:])
	f.Close()
	switch {
	case bytes.HasPrefix(head[:n], []byte("\x89HONE")):
		r, err := modelfmt.OpenWith(path, opts)
		if err != nil {
			return nil, "", err
		}
		return FromReader(r), Hone, nil
	case bytes.HasPrefix(head[:n], []byte("PK")), bytes.HasPrefix(head[:n], []byte("\x93NUMPY")):
		a, err := npz.Open(path)
		return source(noMetadata{a}, err, NPZ)
	case n == len(head) && head[8] == '{':
		s, err := safetensors.Open(path)
		return source(s, err, Safetensors)
	}
	return nil, "", fmt.Errorf("open weights %s: it is no .hone, .safetensors, .npz or .npy file; pickled formats (.pt, .bin, .pkl) are not opened, since they run code: convert them to safetensors where they were made", path)
}

func source(s Source, err error, f Format) (Source, Format, error) {
	if err != nil {
		return nil, "", err
	}
	return s, f, nil
}

type noMetadata struct{ *npz.File }

func (noMetadata) Metadata() map[string]string { return nil }

// FromReader makes a Source of a checkpoint, which Close closes.
func FromReader(r *modelfmt.Reader) Source { return honeSource{r} }

type honeSource struct{ *modelfmt.Reader }

func (h honeSource) TensorReader(name string) (io.Reader, error) {
	r, err := h.Reader.TensorReader(name)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// metadataSection is where an imported file's free text is kept in a checkpoint.
const metadataSection = "metadata"

func (h honeSource) Metadata() map[string]string {
	var m map[string]string
	if ok, err := h.Section(metadataSection, &m); !ok || err != nil {
		return nil
	}
	return m
}

func metadataJSON(m map[string]string) (json.RawMessage, error) { return json.Marshal(m) }
