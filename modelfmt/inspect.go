package modelfmt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
)

// FileInfo is what `checkpoint show` prints: everything but the data.
type FileInfo struct {
	Version   int                        `json:"version"`
	Bytes     int64                      `json:"bytes"`
	Root      Digest                     `json:"root"`
	Base      *Digest                    `json:"base,omitempty"`
	ChunkSize int                        `json:"chunk_size"`
	Logical   int64                      `json:"logical_bytes"`
	Manifest  map[string]json.RawMessage `json:"manifest"`
	Tensors   []EntryInfo                `json:"tensors"`
	Blobs     []EntryInfo                `json:"blobs"`
	Ignored   []string                   `json:"ignored,omitempty"`
}

// EntryInfo describes one tensor or blob and how it is stored.
type EntryInfo struct {
	TensorInfo
	// Logical is the size of the dense bytes, Stored of their records.
	Logical int64 `json:"logical_bytes"`
	Stored  int64 `json:"stored_bytes"`
	Chunks  int   `json:"chunks"`
	// Codec names what the chunks use, for example "split(raw+huffman)", and
	// several with commas in between, the most frequent first.
	Codec string `json:"codec"`
}

// Ratio is stored over logical bytes, 1 for an empty tensor.
func (e EntryInfo) Ratio() float64 {
	if e.Logical == 0 {
		return 1
	}
	return float64(e.Stored) / float64(e.Logical)
}

// Info describes the file. It reads the heads of the records, not their bodies,
// and checks no checksum of them.
func (r *Reader) Info(ctx context.Context) (FileInfo, error) {
	f := FileInfo{
		Version: FormatVersion, Bytes: r.size, Root: r.foot.root, ChunkSize: r.ChunkSize(),
		Manifest: r.Manifest(), Ignored: r.Ignored(), Tensors: []EntryInfo{}, Blobs: []EntryInfo{},
	}
	if base, ok := r.Base(); ok {
		f.Base = &base
	}
	for _, e := range r.index.entries {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		info := EntryInfo{TensorInfo: e.copyInfo(), Logical: e.bytes, Chunks: len(e.chunks)}
		counts := map[string]int{}
		for i := range e.chunks {
			info.Stored += int64(e.chunks[i].stored)
			name, err := r.codecName(e, i)
			if err != nil {
				return f, err
			}
			counts[name]++
		}
		info.Codec = byFrequency(counts)
		f.Logical += e.bytes
		if e.kind == kindTensor {
			f.Tensors = append(f.Tensors, info)
		} else {
			f.Blobs = append(f.Blobs, info)
		}
	}
	return f, nil
}

func byFrequency(counts map[string]int) string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	return strings.Join(names, ",")
}

var (
	transformNames = []string{"", "split", "bitmap"}
	codecNames     = []string{"raw", "constant", "huffman", "zstd"}
)

// codecName reads the heads of a record's streams.
func (r *Reader) codecName(e *entry, i int) (string, error) {
	c := &e.chunks[i]
	at, end := c.offset, c.offset+int64(c.stored)
	head := make([]byte, min(16, end-at))
	if err := r.readAt(head, at, e.section()); err != nil {
		return "", err
	}
	transform, xor := head[0]&transformMask, head[0]&transformXor != 0
	if int(transform) >= len(transformNames) {
		return "", r.corrupt(e, i, "transform is unknown", nil)
	}
	var used []string
	for at++; at < end; {
		head = head[:min(int64(cap(head)), 16, end-at)]
		if err := r.readAt(head, at, e.section()); err != nil {
			return "", err
		}
		if int(head[0]) >= len(codecNames) {
			return "", r.corrupt(e, i, "stream codec is unknown", nil)
		}
		n, w := binary.Uvarint(head[1:])
		if w <= 0 || n > uint64(end-at) {
			return "", r.corrupt(e, i, "a stream's length is wrong", nil)
		}
		if name := codecNames[head[0]]; !slices.Contains(used, name) {
			used = append(used, name)
		}
		at += 1 + int64(w) + int64(n)
	}
	name := strings.Join(used, "+")
	if transform != transformPlain {
		name = transformNames[transform] + "(" + name + ")"
	}
	if xor {
		name = "xor " + name
	}
	return name, nil
}
