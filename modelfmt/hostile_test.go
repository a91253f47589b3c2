package modelfmt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// forged is a file made by hand: every checksum is right, and what it says may be
// anything.
type forged struct {
	manifest string
	entries  []*entry
	records  [][]byte // in the order of the entries' chunks
	logical  func([]byte) []byte
	tail     func([]byte) []byte
	foot     func(*footer)
	base     *Digest
	log2     uint8 // of the chunk size; 0 means 12
}

func (f forged) file() []byte {
	out := appendHeader(nil)
	x := &index{chunkLog2: max(f.log2, 12), entries: f.entries}
	if f.base != nil {
		x.hasBase, x.base = true, *f.base
	}
	k := 0
	for _, e := range f.entries {
		for i := range e.chunks {
			if k < len(f.records) {
				e.chunks[i].stored = uint32(len(f.records[k]))
				e.chunks[i].crc = checksum(f.records[k])
				out = append(out, f.records[k]...)
			}
			k++
		}
	}
	manifest := []byte(f.manifest)
	if f.manifest == "" {
		manifest = []byte("{}")
	}
	logical := x.appendLogical(nil)
	if f.logical != nil {
		logical = f.logical(logical)
	}
	raw := x.appendPhysical(bytes.Clone(logical))
	if f.tail != nil {
		raw = f.tail(raw)
	}
	foot := footer{
		manifestOffset: uint64(len(out)), manifestLength: uint64(len(manifest)), manifestCRC: checksum(manifest),
		indexOffset: uint64(len(out) + len(manifest)), indexStored: uint64(len(raw)), indexRaw: uint64(len(raw)),
		indexCRC: checksum(raw), root: rootDigest(manifest, logical),
	}
	if f.base != nil {
		foot.required = FeatureDelta
	}
	out = append(append(out, manifest...), raw...)
	foot.fileLength = uint64(len(out) + footerSize)
	if f.foot != nil {
		f.foot(&foot)
	}
	return foot.append(out)
}

func tensorEntry(name string, d DType, chunks int, shape ...int) *entry {
	return &entry{info: TensorInfo{Name: name, DType: d, Shape: shape}, chunks: make([]chunkRef, chunks)}
}

func raw4(n int) []byte { return appendRaw([]byte{transformPlain}, make([]byte, n)) }

// TestHostileIndex has files that must not open, with what their error says.
func TestHostileIndex(t *testing.T) {
	good := forged{entries: []*entry{tensorEntry("a", F32, 1, 2)}, records: [][]byte{raw4(8)}}
	if r, err := openBytes(good.file(), ReaderOptions{}); err != nil {
		t.Fatalf("a good file: %v", err)
	} else if b, err := r.ReadTensor("a", nil); err != nil || len(b) != 8 {
		t.Fatalf("a good file: %v", err)
	}
	for want, f := range map[string]forged{
		"appears twice":           {entries: []*entry{tensorEntry("a", F32, 1, 2), tensorEntry("a", F32, 1, 2)}, records: [][]byte{raw4(8), raw4(8)}},
		"must end at":             {entries: []*entry{tensorEntry("a", F32, 1, 2)}, records: [][]byte{raw4(8)}, tail: func(b []byte) []byte { b[len(b)-5]--; return b }},
		"cannot be":               {entries: []*entry{tensorEntry("a", F32, 1, 2)}, records: [][]byte{make([]byte, 8+129)}},
		"too large":               {entries: []*entry{tensorEntry("a", F32, 0, 1<<62+1)}},
		"bytes of tensor a":       {entries: []*entry{tensorEntry("a", F32, 0, 1<<20, 1<<20, 1<<20)}},
		"too short for":           {entries: []*entry{tensorEntry("a", U8, 0, 1<<38)}},
		"kind 9":                  {entries: []*entry{{kind: 9, info: TensorInfo{Name: "a", DType: U8}}}},
		"type 77":                 {entries: []*entry{tensorEntry("a", 77, 0)}},
		"no name":                 {entries: []*entry{tensorEntry("", U8, 0, 0)}},
		"control":                 {entries: []*entry{tensorEntry("a\n", U8, 0, 0)}},
		"UTF-8":                   {entries: []*entry{tensorEntry("\xff", U8, 0, 0)}},
		"rank 33":                 {entries: []*entry{tensorEntry("a", U8, 0, make([]int, 33)...)}},
		"vector of u8":            {entries: []*entry{{kind: kindBlob, info: TensorInfo{Name: "a", DType: F32, Shape: []int{0}}}}},
		"left over":               {tail: func(b []byte) []byte { return append(b, 0) }},
		"shortest form":           {logical: func(b []byte) []byte { return []byte{12, 0x80, 0} }},
		"chunk size":              {logical: func(b []byte) []byte { return []byte{40, 0} }},
		"tensors and blobs":       {logical: func(b []byte) []byte { return binary.AppendUvarint([]byte{12}, 1<<50) }},
		"key \"a\" appears twice": {manifest: `{"a":1,"a":2}`},
		"JSON object":             {manifest: `[1]`},
		"follows the object":      {manifest: `{} {}`},
		"root digest":             {foot: func(f *footer) { f.root[0]++ }},
		"manifest bytes":          {foot: func(f *footer) { f.manifestLength = 1 << 40 }},
		"index bytes":             {foot: func(f *footer) { f.indexRaw = 1 << 40 }},
		"where they must":         {foot: func(f *footer) { f.manifestOffset-- }},
		"disagree":                {foot: func(f *footer) { f.required = FeatureDelta }},
		"does not decompress":     {foot: func(f *footer) { f.indexRaw++ }},
	} {
		_, err := openBytes(f.file(), ReaderOptions{})
		var corrupt *CorruptError
		var limit *LimitError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &corrupt) && !errors.As(err, &limit) {
			t.Errorf("want an error of %q, got %v", want, err)
		}
	}
}

// TestInflation has a small file that claims terabytes.
func TestInflation(t *testing.T) {
	const chunks = 5 << 30 >> maxChunkLog2
	f := forged{entries: []*entry{tensorEntry("a", U8, chunks, 5<<30)}, log2: maxChunkLog2}
	for range chunks {
		f.records = append(f.records, []byte{transformPlain, codecConstant, 1, 0})
	}
	b := f.file()
	if _, err := openBytes(b, ReaderOptions{Limits: Limits{Inflation: 1 << 20}}); err != nil {
		t.Fatal(err)
	}
	var limit *LimitError
	if _, err := openBytes(b, ReaderOptions{Limits: Limits{}}); !errors.As(err, &limit) || limit.What != "logical bytes" {
		t.Errorf("%v", err)
	}
	if _, err := openBytes(b, ReaderOptions{Limits: Limits{EntryBytes: 1 << 30}}); !errors.As(err, &limit) {
		t.Errorf("%v", err)
	}
}

// TestHostileRecords has chunk records that must not decode, for a chunk of 64
// bytes of f32 or u8.
func TestHostileRecords(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := z.EncodeAll(make([]byte, 1<<20), nil)
	short := z.EncodeAll(make([]byte, 63), nil)
	stream := func(codec byte, body []byte) []byte {
		return append(binary.AppendUvarint([]byte{codec}, uint64(len(body))), body...)
	}
	join := func(head byte, parts ...[]byte) []byte {
		return append([]byte{head}, bytes.Join(parts, nil)...)
	}
	zero := stream(codecConstant, []byte{0})
	for name, c := range map[string]struct {
		d      DType
		record []byte
	}{
		"transform":           {F32, join(3, zero)},
		"no stream":           {F32, []byte{transformPlain}},
		"half a stream":       {F32, []byte{transformPlain, codecRaw, 64, 1}},
		"endless length":      {F32, []byte{transformPlain, codecRaw, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}},
		"length not shortest": {F32, []byte{transformPlain, codecConstant, 0x81, 0, 7}},
		"raw short":           {F32, join(transformPlain, stream(codecRaw, make([]byte, 63)))},
		"raw long":            {F32, join(transformPlain, stream(codecRaw, make([]byte, 65)))},
		"constant of two":     {F32, join(transformPlain, stream(codecConstant, []byte{1, 1}))},
		"constant of none":    {F32, join(transformPlain, stream(codecConstant, nil))},
		"codec":               {F32, join(transformPlain, stream(9, nil))},
		"block codec outside": {F32, join(transformPlain, stream(codecLiterals, []byte{1, 2, 3}))},
		"zstd bomb":           {F32, join(transformPlain, stream(codecZstd, bomb))},
		"zstd short":          {F32, join(transformPlain, stream(codecZstd, short))},
		"zstd noise":          {F32, join(transformPlain, stream(codecZstd, []byte("noise")))},
		"two streams":         {F32, join(transformPlain, zero, zero)},
		"three planes":        {F32, join(transformSplit, zero, zero, zero)},
		"five planes":         {F32, join(transformSplit, zero, zero, zero, zero, zero)},
		"split bytes":         {U8, join(transformSplit, zero)},
		"bitmap past the end": {F32, join(transformBitmap, stream(codecRaw, []byte{0, 0, 1}), zero, zero, zero, zero)},
		"bitmap alone":        {F32, join(transformBitmap, stream(codecRaw, []byte{0, 1}))},
		"bitmap and more":     {F32, join(transformBitmap, zero, zero)},
		"huffman noise":       {F32, join(transformPlain, stream(codecHuffman, stream(codecLiterals, []byte("noise and more noise"))))},
		"huffman empty":       {F32, join(transformPlain, stream(codecHuffman, nil))},
		"huffman two blocks":  {F32, join(transformPlain, stream(codecHuffman, append(stream(codecConstant, []byte{1}), zero...)))},
		"huffman in huffman":  {F32, join(transformPlain, stream(codecHuffman, stream(codecHuffman, zero)))},
		"xor without a base":  {F32, join(transformPlain|transformXor, zero)},
	} {
		n := 64 / c.d.Size()
		f := forged{entries: []*entry{tensorEntry("a", c.d, 1, n)}, records: [][]byte{c.record}}
		r, err := openBytes(f.file(), ReaderOptions{})
		if err != nil {
			t.Errorf("%s: does not open: %v", name, err)
			continue
		}
		if err := r.Verify(context.Background(), nil); err != nil {
			t.Errorf("%s: its checksums are right, and Verify says %v", name, err)
		}
		_, err = r.ReadTensor("a", nil)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Section != "tensor a" || corrupt.Offset != headerSize {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.ReadSparse("a"); err == nil {
			t.Errorf("%s: is read sparse", name)
		}
	}
}

// TestBaseRing has two files that each name the other as base, which honest
// writers cannot make.
func TestBaseRing(t *testing.T) {
	make1 := func(base *Digest) []byte {
		return forged{entries: []*entry{tensorEntry("a", U8, 1, 4)}, base: base,
			records: [][]byte{{transformPlain | transformXor, codecConstant, 1, 0}}}.file()
	}
	make2 := func(base *Digest) []byte {
		return forged{manifest: `{"m":2}`, entries: []*entry{tensorEntry("a", U8, 1, 4)}, base: base,
			records: [][]byte{{transformPlain | transformXor, codecConstant, 1, 0}}}.file()
	}
	// A root does not depend on the base, so the ring can be closed.
	zero := Digest{9}
	r1, r2 := mustOpen(t, make1(&zero), ReaderOptions{}).Root(), mustOpen(t, make2(&zero), ReaderOptions{}).Root()
	files := map[Digest][]byte{r1: make1(&r2), r2: make2(&r1)}
	r := mustOpen(t, files[r1], ReaderOptions{Base: func(d Digest, opts ReaderOptions) (*Reader, error) {
		return openBytes(files[d], opts)
	}})
	_, err := r.ReadTensor("a", nil)
	var limit *LimitError
	if !errors.As(err, &limit) {
		t.Errorf("a ring of bases: %v", err)
	}
	if _, err := openBytes(make1(&r1), ReaderOptions{}); err == nil || !strings.Contains(err.Error(), "itself") {
		t.Errorf("a file that is its own base: %v", err)
	}
}
