package modelfmt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// step returns b with small updates, as training makes them.
func step(rng *rand.Rand, b []byte, sigma float64) []byte {
	out := make([]byte, 0, len(b))
	for ; len(b) > 0; b = b[4:] {
		v := math.Float32frombits(binary.LittleEndian.Uint32(b))
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v+float32(rng.NormFloat64()*sigma)))
	}
	return out
}

func TestDeltaAndFlatten(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	dir := t.TempDir()
	basePath, deltaPath, flatPath := filepath.Join(dir, "base.hone"), filepath.Join(dir, "delta.hone"), filepath.Join(dir, "flat.hone")
	w0 := gaussF32(rng, 1<<18, 0.1)
	base := newSample()
	base.tensor("w", F32, []int{1 << 18}, "param", w0)
	base.tensor("frozen", F32, []int{512, 512}, "param", gaussF32(rng, 1<<18, 0.1))
	base.blob("module", bytes.Repeat([]byte("same graph "), 900))
	next := newSample()
	next.manifest["train"] = `{"step":2}`
	next.tensor("w", F32, []int{1 << 18}, "param", step(rng, w0, 1e-5))
	next.tensor("frozen", F32, []int{512, 512}, "param", base.data["frozen"])
	next.tensor("new", I32, []int{1000}, "slot", randomBytes(rng, 4000))
	next.blob("module", base.blobs["module"])

	save := func(path string, s *sample, opts WriterOptions) {
		t.Helper()
		w, err := Create(path, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		s.writeTo(t, w)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	save(basePath, base, WriterOptions{})
	br, err := Open(basePath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(basePath, WriterOptions{Base: br}); err == nil {
		t.Error("a delta may replace its own base")
	}
	save(deltaPath, next, WriterOptions{Base: br})
	br.Close()

	delta, err := OpenWith(deltaPath, ReaderOptions{Base: BaseFiles(deltaPath, basePath)})
	if err != nil {
		t.Fatal(err)
	}
	defer delta.Close()
	if err := next.equal(delta); err != nil {
		t.Fatal(err)
	}
	if err := delta.VerifyDeep(context.Background(), nil); err != nil {
		t.Error(err)
	}
	info, err := delta.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range info.Tensors {
		t.Logf("%s %s %.3f", e.Name, e.Codec, e.Ratio())
		switch e.Name {
		case "w":
			if e.Ratio() > 0.56 || !strings.HasPrefix(e.Codec, "xor") {
				t.Errorf("small updates take %.3f of their size, by %s", e.Ratio(), e.Codec)
			}
		case "frozen":
			if e.Stored > 16 {
				t.Errorf("an unchanged tensor takes %d bytes", e.Stored)
			}
		}
	}

	var total, seen int64
	err = Flatten(context.Background(), delta, flatPath, WriterOptions{}, func(done, all int64) { seen, total = done, all })
	if err != nil {
		t.Fatal(err)
	}
	if seen != total || total == 0 {
		t.Errorf("progress ended at %d of %d", seen, total)
	}
	flat, err := Open(flatPath)
	if err != nil {
		t.Fatal(err)
	}
	defer flat.Close()
	if _, has := flat.Base(); has {
		t.Error("the flattened file names a base")
	}
	if flat.Root() != delta.Root() {
		t.Error("flattening changed the root")
	}
	if err := next.equal(flat); err != nil {
		t.Error(err)
	}

	// Without the base, with another file, and with a base that is gone.
	for name, resolve := range map[string]func(Digest, ReaderOptions) (*Reader, error){
		"none":  nil,
		"wrong": BaseFiles(flatPath),
		"gone":  BaseFiles(filepath.Join(dir, "gone.hone")),
		"self":  func(Digest, ReaderOptions) (*Reader, error) { return Open(deltaPath) },
	} {
		r, err := OpenWith(deltaPath, ReaderOptions{Base: resolve})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ReadTensor("w", nil)
		var be *BaseError
		if !errors.As(err, &be) || be.Want != br.Root() || !strings.Contains(err.Error(), br.Root().String()) {
			t.Errorf("%s base: %v", name, err)
		}
		if err := r.Verify(context.Background(), nil); err != nil {
			t.Errorf("%s base: the stored bytes are fine, and Verify says %v", name, err)
		}
		r.Close()
	}
}

func TestDeltaChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	v := gaussF32(rng, 1<<16, 0.1)
	var prev *Reader
	var files []*Reader
	for i := range 4 {
		s := newSample()
		s.tensor("w", F32, []int{1 << 16}, "param", v)
		b := s.encode(t, WriterOptions{Base: prev})
		below := prev
		r := mustOpen(t, b, ReaderOptions{Base: func(Digest, ReaderOptions) (*Reader, error) { return below, nil }})
		if err := s.equal(r); err != nil {
			t.Fatalf("link %d: %v", i, err)
		}
		files = append(files, r)
		prev, v = r, step(rng, v, 1e-5)
	}
	if _, has := files[3].Base(); !has {
		t.Error("the last link has no base")
	}
}

func TestSparse(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, d := range DTypes() {
		for _, n := range []int{0, 1, 7, 9001} {
			for _, density := range []float64{0, 0.1, 1} {
				dense := make([]byte, n*d.Size())
				var bitmap, values []byte
				bitmap = make([]byte, (n+7)/8)
				for i := range n {
					if rng.Float64() < density {
						el := dense[i*d.Size():][:d.Size()]
						copy(el, randomBytes(rng, d.Size()))
						el[0] |= 1
						bitmap[i/8] |= 1 << (i % 8)
						values = append(values, el...)
					}
				}
				info := TensorInfo{Name: "x", DType: d, Shape: []int{n}}
				var a, b bytes.Buffer
				for _, out := range []*bytes.Buffer{&a, &b} {
					w, _ := NewWriter(out, WriterOptions{ChunkSize: 4096})
					var err error
					if out == &a {
						err = w.AddTensor(info, dense)
					} else {
						err = w.AddSparse(Sparse{info, bitmap, values})
					}
					if err == nil {
						err = w.Commit()
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(a.Bytes(), b.Bytes()) {
					t.Errorf("%s %d %g: AddSparse and AddTensor give different files", d, n, density)
				}
				s, err := mustOpen(t, a.Bytes(), ReaderOptions{}).ReadSparse("x")
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(s.Bitmap, bitmap) || !bytes.Equal(s.Values, values) {
					t.Errorf("%s %d %g: sparse form differs", d, n, density)
				}
			}
		}
	}
	w, _ := NewWriter(&bytes.Buffer{}, WriterOptions{})
	defer w.Abort()
	info := TensorInfo{Name: "x", DType: U8, Shape: []int{9}}
	for _, s := range []Sparse{
		{info, []byte{1}, []byte{1}},
		{info, []byte{1, 2}, []byte{1, 1}},
		{info, []byte{1, 0}, []byte{1, 1}},
	} {
		var ie *InputError
		if err := w.AddSparse(s); !errors.As(err, &ie) {
			t.Errorf("%v is accepted: %v", s, err)
		}
	}
}

// TestCodecs has data for which each codec is the right one, and checks that it
// was taken and what it saves.
func TestCodecs(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const n = 1 << 18
	pruned := gaussF32(rng, n, 0.05)
	for i := 0; i < len(pruned); i += 4 {
		if rng.IntN(10) != 0 {
			clear(pruned[i : i+4])
		}
	}
	bf := make([]byte, 0, 2*n)
	for b := gaussF32(rng, n, 0.05); len(b) > 0; b = b[4:] {
		bf = append(bf, b[2], b[3])
	}
	counts := make([]byte, 0, 8*n/2)
	for i := range n / 2 {
		counts = binary.LittleEndian.AppendUint64(counts, uint64(i/7+rng.IntN(3)))
	}
	row := gaussF32(rng, 256, 1)
	for _, c := range []struct {
		name  string
		d     DType
		data  []byte
		codec string
		most  float64
	}{
		{"noise", U8, randomBytes(rng, n), "raw", 1.001},
		{"zeros", F32, make([]byte, 4*n), "constant", 0.0001},
		{"f32", F32, gaussF32(rng, n, 0.05), "split(raw+huffman)", 0.84},
		{"bf16", BF16, bf, "split(raw+huffman)", 0.68},
		{"pruned", F32, pruned, "bitmap(huffman+raw)", 0.11},
		{"text", U8, bytes.Repeat([]byte("units = 128, activation = relu\n"), 9000), "zstd", 0.01},
		{"repeated rows", F32, bytes.Repeat(row, n/256), "split(zstd)", 0.002},
		{"ones", F32, bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, n), "split(constant)", 0.0001},
		{"counts", I64, counts, "", 0.3},
	} {
		s := newSample()
		s.tensor("x", c.d, []int{len(c.data) / c.d.Size()}, "", c.data)
		r := mustOpen(t, s.encode(t, WriterOptions{}), ReaderOptions{})
		if err := s.equal(r); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		info, err := r.Info(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		e := info.Tensors[0]
		t.Logf("%-14s %-24s %.4f", c.name, e.Codec, e.Ratio())
		if e.Ratio() > c.most || c.codec != "" && e.Codec != c.codec {
			t.Errorf("%s: %s at %.4f, want %s at %.4f or less", c.name, e.Codec, e.Ratio(), c.codec, c.most)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b := newSample(), newSample()
	f32 := func(v ...float32) []byte {
		var out []byte
		for _, x := range v {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
		return out
	}
	nan := float32(math.NaN())
	a.tensor("same", F32, []int{2}, "", f32(1, 2))
	b.tensor("same", F32, []int{2}, "", f32(1, 2))
	a.tensor("moved", F32, []int{3}, "", f32(3, 4, 0))
	b.tensor("moved", F32, []int{3}, "", f32(4, 3, 0))
	a.tensor("nan", F32, []int{2}, "", f32(1, nan))
	b.tensor("nan", F32, []int{2}, "", f32(2, 1))
	a.tensor("shape", F32, []int{2, 1}, "", f32(1, 2))
	b.tensor("shape", F32, []int{2}, "", f32(1, 2))
	a.tensor("gone", F32, []int{1}, "", f32(1))
	b.tensor("new", F32, []int{1}, "", f32(1))
	a.tensor("half", F16, []int{2}, "", []byte{0x00, 0x3c, 0x01, 0x00}) // 1, 2^-24
	b.tensor("half", F16, []int{2}, "", []byte{0x00, 0xc0, 0x01, 0x00}) // -2
	a.blob("x", []byte("1"))
	b.blob("x", []byte("2"))
	a.manifest["m"], b.manifest["m"] = "1", "2"
	b.manifest["n"] = "1"
	d, err := Compare(context.Background(), mustOpen(t, a.encode(t, WriterOptions{}), ReaderOptions{}),
		mustOpen(t, b.encode(t, WriterOptions{ChunkSize: 4096}), ReaderOptions{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(d)
	want := `{"same":false,"tensors":[` +
		`{"name":"same","how":"same","elements":2,"changed":0,"max_abs":0,"cosine":1,"non_finite":0},` +
		`{"name":"moved","how":"changed","elements":3,"changed":2,"max_abs":1,"cosine":0.96,"non_finite":0},` +
		`{"name":"nan","how":"changed","elements":2,"changed":2,"max_abs":1,"cosine":1,"non_finite":1},` +
		`{"name":"shape","how":"type or shape","elements":2,"changed":0,"max_abs":0,"cosine":0,"non_finite":0},` +
		`{"name":"gone","how":"only in first","elements":1,"changed":0,"max_abs":0,"cosine":0,"non_finite":0},` +
		`{"name":"half","how":"changed","elements":2,"changed":1,"max_abs":3,"cosine":-0.999999999999996,"non_finite":0},` +
		`{"name":"new","how":"only in second","elements":1,"changed":0,"max_abs":0,"cosine":0,"non_finite":0}],` +
		`"blobs":[{"name":"x","how":"changed"}],` +
		`"manifest":[{"name":"m","how":"changed"},{"name":"n","how":"only in second"}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRetention(t *testing.T) {
	root := func(i int) Digest { return Digest{byte(i)} }
	var list []Kept
	for i := 1; i <= 10; i++ {
		list = append(list, Kept{Path: fmt.Sprint(i), Step: int64(i), Score: float64(i % 4), Root: root(i)})
	}
	list[4].Score = math.NaN()
	list[9].Base = root(6) // 10 needs 6, which needs 2
	list[5].Base = root(2)
	list[3].Base = root(1)
	for _, c := range []struct {
		rule Retention
		keep string
	}{
		{Retention{}, "1 2 3 4 5 6 7 8 9 10"},
		{Retention{Last: 1}, "2 6 10"},
		{Retention{Last: 2}, "2 6 9 10"},
		{Retention{Best: 2}, "3 7"},
		{Retention{Best: 2, LowerIsBetter: true}, "1 4 8"},
		{Retention{Every: 3}, "2 3 6 9"},
		{Retention{Last: 1, Best: 1, Every: 8}, "2 6 7 8 10"},
		{Retention{Last: 99}, "1 2 3 4 5 6 7 8 9 10"},
	} {
		gone := c.rule.Remove(list)
		var kept []string
		for _, k := range list {
			if !slices.ContainsFunc(gone, func(g Kept) bool { return g.Path == k.Path }) {
				kept = append(kept, k.Path)
			}
		}
		if got := strings.Join(kept, " "); got != c.keep {
			t.Errorf("%+v keeps %s, want %s", c.rule, got, c.keep)
		}
		for i, g := range gone {
			for _, later := range gone[i+1:] {
				if later.Base == g.Root {
					t.Errorf("%+v removes %s before its delta %s", c.rule, g.Path, later.Path)
				}
			}
		}
	}
}

func TestPruneDeletes(t *testing.T) {
	dir := t.TempDir()
	var list []Kept
	for i := range 4 {
		path := filepath.Join(dir, fmt.Sprintf("step-%d.hone", i))
		w, err := Create(path, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.SetManifest("step", json.RawMessage(fmt.Sprint(i)))
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		k, err := Describe(path)
		if err != nil {
			t.Fatal(err)
		}
		k.Step = int64(i)
		list = append(list, k)
	}
	os.WriteFile(filepath.Join(dir, ".step-0.hone.tmp-12"), nil, 0o600)
	busy, err := LockPath(list[1].Path)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := Retention{Last: 1}.Prune(list)
	if err != nil {
		t.Fatal(err)
	}
	busy.Unlock()
	if len(removed) != 2 {
		t.Errorf("removed %v", removed)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) != 2 || len(hidden) != 0 {
		t.Errorf("left: %v %v", left, hidden)
	}
}

func TestAsyncWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hone")
	var reports []Saved
	a := NewAsyncWriter(func(s Saved) { reports = append(reports, s) })
	data := make([]byte, 4<<20)
	var last *sample
	for i := range 5 {
		for j := range data {
			data[j] = byte(i + j>>12)
		}
		last = newSample()
		last.tensor("x", U8, []int{len(data)}, "param", bytes.Clone(data))
		last.blob("b", []byte{byte(i)})
		last.manifest["step"] = fmt.Sprint(i)
		s := a.Snapshot()
		s.SetManifest("step", json.RawMessage(fmt.Sprint(i)))
		s.AddTensor(last.tensors[0], data)
		s.AddBlob("b", last.blobs["b"])
		s.Save(path, WriterOptions{})
		clear(data) // the snapshot must not see it
	}
	if err := a.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 5 || reports[4].Err != nil || reports[4].Size == 0 {
		t.Fatalf("reports %+v", reports)
	}
	// The order of entries in sample.equal is blobs and tensors apart.
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := last.equal(r); err != nil {
		t.Error(err)
	}
	if r.Root() != reports[4].Root {
		t.Error("the report has another root")
	}

	// A failing disk is reported, the file stays, and the next save works.
	s := a.Snapshot()
	s.AddBlob("b", []byte("lost"))
	s.Save(path, WriterOptions{FS: &failingFS{limit: 20}})
	if err := a.Wait(); !errors.Is(err, errDiskFull) {
		t.Errorf("a full disk gives %v", err)
	}
	if err := a.Wait(); err != nil {
		t.Errorf("a failure is reported twice: %v", err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := last.equal(again); err != nil {
		t.Error(err)
	}
	a.Snapshot().Discard()
	s = a.Snapshot()
	s.Save(path, WriterOptions{})
	if err := a.Wait(); err != nil || a.Busy() {
		t.Error(err, a.Busy())
	}
}
