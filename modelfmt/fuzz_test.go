package modelfmt

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// fuzzLimits are small, so that a file which claims much is refused and not
// obeyed.
var fuzzLimits = Limits{ManifestBytes: 1 << 20, IndexBytes: 1 << 20, Entries: 1 << 12, EntryBytes: 1 << 18, BlobBytes: 1 << 18}

// openBound is the most that opening may allocate under fuzzLimits: zstd's window
// of 16 MiB and its like again, the index, and what hangs on its entries.
const openBound = 64 << 20

func allocated(f func()) uint64 {
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	f()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

// exercise calls everything that reads on a file that opened.
func exercise(t *testing.T, r *Reader) {
	ctx := context.Background()
	_ = r.Verify(ctx, nil)
	_ = r.VerifyDeep(ctx, nil)
	_, _ = r.Info(ctx)
	_, _ = Compare(ctx, r, r, nil)
	for _, info := range r.Tensors() {
		b, err := r.ReadTensor(info.Name, nil)
		if err != nil {
			continue
		}
		if int64(len(b)) != info.Bytes() {
			t.Fatalf("%s has %d bytes, and %d were read", info.Name, info.Bytes(), len(b))
		}
		s, err := r.ReadSparse(info.Name)
		if err != nil {
			t.Fatalf("%s is read dense and not sparse: %v", info.Name, err)
		}
		dense := make([]byte, len(b))
		unpackNonzero(dense, s.Bitmap, s.Values, info.DType.Size())
		if !bytes.Equal(dense, b) {
			t.Fatalf("%s differs between its dense and its sparse reading", info.Name)
		}
		if len(info.Shape) > 0 && info.Shape[0] > 1 && len(b) > 0 {
			row := len(b) / info.Shape[0]
			got, err := r.ReadRows(info.Name, 1, 2, nil)
			if err != nil || !bytes.Equal(got, b[row:2*row]) {
				t.Fatalf("%s: row 1 differs: %v", info.Name, err)
			}
		}
	}
	for _, name := range r.Blobs() {
		_, _ = r.Blob(name)
	}
}

// addSmallFiles gives the fuzzer files of a few kilobytes with every codec, with
// the index compressed and not.
func addSmallFiles(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 3))
	skew := make([]byte, 1500)
	for i := range skew {
		skew[i] = 1 + byte(rng.IntN(4))
	}
	sparse := make([]byte, 1200)
	for i := 0; i < len(sparse); i += 40 {
		copy(sparse[i:], gaussF32(rng, 1, 1))
	}
	one := newSample()
	one.manifest["a"] = `{"b":1}`
	one.blob("spec", bytes.Repeat([]byte("units = 10 "), 30))
	one.tensor("gauss", F32, []int{30, 10}, "param", gaussF32(rng, 300, 0.1))
	one.tensor("skew", U8, []int{1500}, "slot", skew)
	one.tensor("sparse", F32, []int{300}, "mask", sparse)
	one.tensor("ones", F16, []int{2, 100}, "", bytes.Repeat([]byte{0, 0x3c}, 200))
	many := newSample()
	for i := range 20 {
		many.tensor(string(rune('a'+i)), I32, []int{2}, "param", randomBytes(rng, 8))
	}
	f.Add(one.encode(f, WriterOptions{ChunkSize: 4096}))
	f.Add(many.encode(f, WriterOptions{ChunkSize: 4096}))
	for _, name := range []string{"v0-empty.hone", "v0-delta.hone", "v0-extended.hone"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// resealFile makes the checksums of a mutated file right, so that the fuzzer gets
// behind them, and returns nil when the layout does not allow it.
func resealFile(b []byte) []byte {
	if len(b) < headerSize+footerSize {
		return nil
	}
	b = bytes.Clone(b)
	le := binary.LittleEndian
	copy(b, appendHeader(nil))
	foot := b[len(b)-footerSize:]
	copy(foot, footerMagic[:])
	le.PutUint64(foot[8:], 0)
	le.PutUint64(foot[80:], uint64(len(b)))
	copy(foot[124:], endMagic[:])
	mAt, mLen := le.Uint64(foot[32:]), le.Uint64(foot[40:])
	iAt, iLen, raw := le.Uint64(foot[56:]), le.Uint64(foot[64:]), le.Uint64(foot[72:])
	end := uint64(len(b) - footerSize)
	if mAt > end || mLen > end-mAt || iAt > end || iLen > end-iAt {
		return reseal(foot)[:0]
	}
	manifest, stored := b[mAt:mAt+mLen], b[iAt:iAt+iLen]
	index := stored
	if iLen < raw && raw < 1<<20 {
		z, err := newZstdDecoder()
		if err == nil {
			if out, err := decodeBounded(z, stored, int(raw)); err == nil {
				index = out
			}
			z.Close()
		}
	}
	if x, logical, err := parseIndexUnsealed(index, int64(mAt)); err == nil {
		for _, e := range x.entries {
			for i := range e.chunks {
				c := &e.chunks[i]
				if c.offset+int64(c.stored) <= int64(len(b)) && iLen == raw {
					sealRecord(b, stored, c)
				}
			}
		}
		root := rootDigest(manifest, index[:logical])
		copy(foot[88:], root[:])
	}
	le.PutUint32(foot[48:], checksum(manifest))
	le.PutUint32(foot[52:], checksum(stored))
	reseal(foot)
	return b
}

func parseIndexUnsealed(b []byte, dataEnd int64) (*index, int, error) {
	return parseIndex(b, dataEnd, fuzzLimits.withDefaults())
}

// sealRecord writes a record's checksum into an index that is stored raw.
func sealRecord(file, stored []byte, c *chunkRef) {
	old := binary.LittleEndian.AppendUint32(binary.AppendUvarint(nil, uint64(c.stored)), c.crc)
	if at := bytes.LastIndex(stored, old); at >= 0 {
		n := len(old) - 4
		binary.LittleEndian.PutUint32(stored[at+n:], checksum(file[c.offset:c.offset+int64(c.stored)]))
	}
}

// FuzzFile opens files whose outer checksums have been made right.
func FuzzFile(f *testing.F) {
	addSmallFiles(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, resealFile(b)} {
			var r *Reader
			var err error
			if n := allocated(func() { r, err = openBytes(file, ReaderOptions{Limits: fuzzLimits, Workers: 1}) }); n > openBound {
				t.Fatalf("opening %d bytes allocates %d", len(file), n)
			}
			if err == nil {
				exercise(t, r)
				r.Close()
			}
		}
	})
}

// FuzzIndex parses an index that no checksum protects. What is accepted must be
// written back as it was.
func FuzzIndex(f *testing.F) {
	list, _ := filepath.Glob("testdata/v0-*.hone")
	for _, path := range list {
		r, err := Open(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.index.appendPhysical(r.index.appendLogical(nil)), r.foot.manifestOffset)
		r.Close()
	}
	f.Fuzz(func(t *testing.T, b []byte, dataEnd uint64) {
		dataEnd %= 1 << 40
		var x *index
		var logical int
		var err error
		n := allocated(func() { x, logical, err = parseIndex(b, int64(dataEnd), fuzzLimits.withDefaults()) })
		if limit := uint64(200*len(b) + 1<<20); n > limit {
			t.Fatalf("an index of %d bytes allocates %d", len(b), n)
		}
		if err != nil {
			return
		}
		again := x.appendLogical(nil)
		if len(again) != logical || !bytes.Equal(x.appendPhysical(again), b) {
			t.Fatal("an accepted index is not the one that would be written")
		}
	})
}

// FuzzRecord decodes chunk records that no checksum protects.
func FuzzRecord(f *testing.F) {
	list, _ := filepath.Glob("testdata/v0-*.hone")
	for _, path := range list {
		r, err := Open(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range r.index.entries {
			for i := range e.chunks {
				record, err := r.readRecord(e, i)
				if err != nil {
					f.Fatal(err)
				}
				if len(*record) < 3_000 {
					f.Add(bytes.Clone(*record), uint8(e.info.DType), uint32(e.chunkLen(i, r.index.chunkSize())))
				}
			}
		}
		r.Close()
	}
	d, err := newChunkDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, record []byte, code uint8, size uint32) {
		dt := DType(code % 12)
		if !dt.Valid() {
			return
		}
		n := int(size%(1<<14)) / dt.Size() * dt.Size()
		if n == 0 {
			return
		}
		guard := make([]byte, n+64)
		for i := range guard[n:] {
			guard[n+i] = 0x5c
		}
		first, xor1, err1 := guard[:n:n], false, error(nil)
		xor1, err1 = d.decode(first, record, dt)
		for i, v := range guard[n:] {
			if v != 0x5c {
				t.Fatalf("byte %d past the chunk is written", i)
			}
		}
		if err1 != nil {
			return
		}
		// A decoder that has been used gives what a new one gives.
		fresh, err := newChunkDecoder()
		if err != nil {
			t.Fatal(err)
		}
		second := make([]byte, n)
		xor2, err2 := fresh.decode(second, record, dt)
		if err2 != nil || xor1 != xor2 || !bytes.Equal(first, second) {
			t.Fatalf("a second decoding differs: %v", err2)
		}
	})
}

// FuzzRoundTrip encodes any bytes and wants them back.
func FuzzRoundTrip(f *testing.F) {
	rng := rand.New(rand.NewPCG(2, 2))
	f.Add([]byte("text text text text"), []byte{}, uint8(10))
	f.Add(gaussF32(rng, 2000, 0.1), gaussF32(rng, 2000, 0.1), uint8(2))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 1}, 900), bytes.Repeat([]byte{0}, 3600), uint8(5))
	enc, err := newChunkEncoder()
	if err != nil {
		f.Fatal(err)
	}
	dec, err := newChunkDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data, base []byte, code uint8) {
		dt := DType(code % 12)
		if !dt.Valid() {
			return
		}
		data = data[:len(data)/dt.Size()*dt.Size()]
		if len(data) == 0 || len(data) > 1<<20 {
			return
		}
		var b []byte
		if len(base) >= len(data) {
			base = base[:len(data)]
			b = bytes.Clone(base)
		}
		record := enc.encode(nil, data, dt, b)
		if uint64(len(record)) > maxStored(len(data)) {
			t.Fatalf("%d bytes become %d", len(data), len(record))
		}
		out := make([]byte, len(data))
		xor, err := dec.decode(out, record, dt)
		if err != nil {
			t.Fatal(err)
		}
		if xor {
			xorBytes(out, out, base)
		}
		if !bytes.Equal(out, data) {
			t.Fatal("other bytes come back")
		}
	})
}

// TestSampledDamage flips bits and cuts at random in a file of some megabytes.
func TestSampledDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 21))
	s := newSample()
	s.manifest["m"] = `{"a":1}`
	s.blob("module", randomBytes(rng, 5000))
	for i := range 4 {
		s.tensor(string(rune('a'+i)), F32, []int{300_000}, "param", gaussF32(rng, 300_000, 0.1))
	}
	b := s.encode(t, WriterOptions{})
	damaged := func(c []byte) bool {
		r, err := openBytes(c, ReaderOptions{})
		return err != nil || r.Verify(context.Background(), nil) != nil
	}
	for range 400 {
		at, bit := rng.IntN(len(b)), byte(1)<<rng.IntN(8)
		b[at] ^= bit
		if !damaged(b) {
			t.Fatalf("bit %#x of byte %d flips unseen", bit, at)
		}
		b[at] ^= bit
		if cut := rng.IntN(len(b)); !damaged(b[:cut]) {
			t.Fatalf("a cut to %d bytes is unseen", cut)
		}
	}
	if damaged(b) {
		t.Error("the whole file is called damaged")
	}
}

// TestCutUnderneath cuts a file while it is open: an error, and no fault.
func TestCutUnderneath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hone")
	s := smallSample(64 << 10)
	if err := os.WriteFile(path, s.encode(t, WriterOptions{ChunkSize: 4096}), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	_, err = r.ReadTensor("gauss", nil)
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("tensor gauss")) {
		t.Errorf("reading a cut file: %v", err)
	}
}
