package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
)

func contents(t *testing.T, s Source) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, info := range s.Tensors() {
		r, err := s.TensorReader(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[info.Name] = fmt.Sprintf("%v%v%x", info.DType, info.Shape, b)
	}
	return out
}

func same(a, b map[string]string) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func open(t *testing.T, path string) Source {
	t.Helper()
	s, _, err := Open(path, modelfmt.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestThereAndBack takes the other libraries' files through a checkpoint.
func TestThereAndBack(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		from   string
		format Format
		ending string
	}{
		{"../safetensors/testdata/all.safetensors", Safetensors, ".safetensors"},
		{"../safetensors/testdata/model.safetensors.index.json", Safetensors, ".safetensors"},
		{"../npz/testdata/stored.npz", NPZ, ".npz"},
		{"../npz/testdata/deflated.npz", NPZ, ".npz"},
		{"../npz/testdata/one.npy", NPZ, ".npz"},
	} {
		src := open(t, c.from)
		mid := filepath.Join(dir, "mid.hone")
		back := filepath.Join(dir, "back"+c.ending)
		var done, total int64
		r, err := Convert(context.Background(), src, mid, Options{Role: "param", Progress: func(d, n int64) { done, total = d, n }})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Mapped) != len(src.Tensors()) || done != total || total == 0 {
			t.Errorf("%s: %d tensors, progress %d of %d", c.from, len(r.Mapped), done, total)
		}
		h := open(t, mid)
		if h.Tensors()[0].Role != "param" {
			t.Errorf("role %q", h.Tensors()[0].Role)
		}
		if _, err := Convert(context.Background(), h, back, Options{}); err != nil {
			t.Fatal(err)
		}
		end := open(t, back)
		if !same(contents(t, src), contents(t, h)) || !same(contents(t, src), contents(t, end)) {
			t.Errorf("%s: tensors differ on the way", c.from)
		}
		if fmt.Sprint(src.Metadata()) != fmt.Sprint(end.Metadata()) && len(src.Metadata()) > 0 {
			t.Errorf("%s: metadata %v became %v", c.from, src.Metadata(), end.Metadata())
		}
	}
	list, _ := os.ReadDir(dir)
	if len(list) != 3 {
		t.Errorf("stray files: %v", list)
	}
}

// python finds an interpreter with the libraries, named by HONE_PYTHON or in the
// path.
func python(t *testing.T) string {
	t.Helper()
	name := os.Getenv("HONE_PYTHON")
	if name == "" {
		name = "python3"
	}
	if err := exec.Command(name, "-c", "import safetensors, numpy, ml_dtypes").Run(); err != nil {
		t.Skipf("%s has no safetensors, numpy and ml_dtypes; set HONE_PYTHON to one that has", name)
	}
	return name
}

// TestLibrariesReadOurFiles asks the other libraries what is in ours.
func TestLibrariesReadOurFiles(t *testing.T) {
	py := python(t)
	dir := t.TempDir()
	var paths []string
	var want []map[string]string
	for from, to := range map[string]string{
		"../safetensors/testdata/all.safetensors": "a.safetensors",
		"../npz/testdata/stored.npz":              "b.npz",
		"../npz/testdata/deflated.npz":            "c.safetensors",
	} {
		src := open(t, from)
		path := filepath.Join(dir, to)
		if _, err := Convert(context.Background(), src, path, Options{}); err != nil {
			t.Fatal(err)
		}
		paths, want = append(paths, path), append(want, contents(t, src))
	}
	// Shards of any size have the same tensors, in files that the index names.
	for _, size := range []int64{1, 300, 1 << 30} {
		src := open(t, "../safetensors/testdata/all.safetensors")
		path := filepath.Join(dir, fmt.Sprintf("s%d.safetensors.index.json", size))
		if _, err := Convert(context.Background(), src, path, Options{ShardBytes: size}); err != nil {
			t.Fatal(err)
		}
		paths, want = append(paths, path), append(want, contents(t, src))
	}
	out, err := exec.Command(py, append([]string{"../testdata/interchange.py", "dump"}, paths...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []struct {
		Tensors map[string]struct {
			DType string
			Shape []int
			Hex   string
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		m := map[string]string{}
		for name, a := range got[i].Tensors {
			m[name] = fmt.Sprintf("%v%v%s", a.DType, a.Shape, a.Hex)
		}
		if !same(m, want[i]) {
			t.Errorf("%s: the library reads\n%v\nwant\n%v", paths[i], m, want[i])
		}
	}
}

func writeHone(t *testing.T, path string, names ...string) {
	t.Helper()
	w, err := modelfmt.Create(path, modelfmt.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.SetManifest("train", json.RawMessage(`{"step":1}`))
	w.AddBlob("module", []byte("graph"))
	for i, n := range names {
		w.AddTensor(modelfmt.TensorInfo{Name: n, DType: modelfmt.U8, Shape: []int{2, 3}}, []byte{byte(i), 1, 2, 3, 4, 5})
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAndPermutation(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.hone"), filepath.Join(dir, "b.hone")
	writeHone(t, a, "enc.layer.0.weight", "enc.layer.1.weight", "enc.layer.0.bias", "opt.m.x", "other")
	m, err := NewNameMap([]Rule{
		{From: "enc.layer.*.weight", To: "body.$1.kernel", Permute: []int{1, 0}},
		{From: `enc\.layer\.(\d+)\.(b)ias`, Regexp: true, To: "body.$1.$2ias"},
		{From: "opt.**", Drop: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Convert(context.Background(), open(t, a), b, Options{Names: m})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Dropped, []string{"opt.m.x"}) {
		t.Errorf("dropped %v", r.Dropped)
	}
	src := open(t, b).(honeSource)
	var names []string
	for _, info := range src.Tensors() {
		names = append(names, fmt.Sprint(info.Name, info.Shape))
	}
	if got := strings.Join(names, " "); got != "body.0.kernel[3 2] body.1.kernel[3 2] body.0.bias[2 3] other[2 3]" {
		t.Errorf("names %s", got)
	}
	if got, _ := src.ReadTensor("body.1.kernel", nil); !bytes.Equal(got, []byte{1, 3, 1, 4, 2, 5}) {
		t.Errorf("transposed %v", got)
	}
	if g, _ := src.Blob("module"); string(g) != "graph" || len(src.Manifest()) != 1 {
		t.Error("blobs and manifest did not go along")
	}
	lost, err := Convert(context.Background(), src, filepath.Join(dir, "c.safetensors"), Options{})
	if err != nil || !slices.Equal(lost.Lost, []string{"blob module", "manifest train"}) {
		t.Errorf("lost %v, %v", lost.Lost, err)
	}
}

func TestRulesRefused(t *testing.T) {
	for _, r := range []Rule{
		{From: ""},
		{From: "(", Regexp: true},
		{From: "a.*", To: "$2"},
		{From: "a", To: "x$"},
		{From: "a", To: "$0"},
		{From: "a", To: "b", Drop: true},
		{From: "a", Permute: []int{0, 0}},
		{From: "a", Permute: []int{1, 2}},
	} {
		if _, err := NewNameMap([]Rule{r}); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	dir := t.TempDir()
	a := filepath.Join(dir, "a.hone")
	writeHone(t, a, "x.1", "x.2")
	for _, rules := range [][]Rule{
		{{From: "x.*", To: "same"}},
		{{From: "y.*", To: "z.$1"}},
		{{From: "x.*", Permute: []int{0}}},
	} {
		m, err := NewNameMap(rules)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out.hone")
		if _, err := Convert(context.Background(), open(t, a), out, Options{Names: m}); err == nil {
			t.Errorf("%+v converts", rules)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a refused conversion left a file")
		}
	}
}

// TestReadAs has numbers of each type whose values in the others are known: one
// and a third, the largest below two, a subnormal, infinity.
func TestReadAs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hone")
	w, err := modelfmt.Create(path, modelfmt.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	bits := map[modelfmt.DType][]byte{
		modelfmt.BF16: le.AppendUint16(le.AppendUint16(nil, 0x3fab), 0xff80),            // 1.3359375, -Inf
		modelfmt.F16:  le.AppendUint16(le.AppendUint16(nil, 0x3d55), 0x0001),            // 1.3330078125, 2^-24
		modelfmt.F32:  le.AppendUint32(le.AppendUint32(nil, 0x3faaaaab), 0x3fffffff),    // 1.33333337, 2-2^-23
		modelfmt.F64:  le.AppendUint64(le.AppendUint64(nil, 0x3ff5555555555555), 1<<63), // 4/3, -0
		modelfmt.I32:  le.AppendUint32(le.AppendUint32(nil, 1), 2),
	}
	for d, b := range bits {
		if err := w.AddTensor(modelfmt.TensorInfo{Name: d.String(), DType: d, Shape: []int{2}}, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	src := open(t, path)
	for d, want := range map[modelfmt.DType][2]uint32{
		modelfmt.BF16: {0x3fab0000, 0xff800000}, modelfmt.F16: {0x3faaa000, 0x33800000}, modelfmt.F32: {0x3faaaaab, 0x3fffffff}, modelfmt.F64: {0x3faaaaab, 0x80000000},
	} {
		p := Pair{From: d.String(), To: modelfmt.TensorInfo{Name: "x", DType: d, Shape: []int{2}}}
		b, err := p.ReadAs(src, modelfmt.F32)
		if err != nil || len(b) != 8 || le.Uint32(b) != want[0] || le.Uint32(b[4:]) != want[1] {
			t.Errorf("%s becomes %x, %v", d, b, err)
		}
	}
	wide := Pair{From: "f32", To: modelfmt.TensorInfo{Name: "x", DType: modelfmt.F32, Shape: []int{2}}}
	if b, err := wide.ReadAs(src, modelfmt.F64); err != nil || le.Uint64(b) != 0x3ff5555560000000 {
		t.Errorf("f32 becomes %x, %v", b, err)
	}
	whole := Pair{From: "i32", To: modelfmt.TensorInfo{Name: "x", DType: modelfmt.I32, Shape: []int{2}}}
	if _, err := whole.ReadAs(src, modelfmt.F32); err == nil {
		t.Error("integers become floats")
	}
}

func TestMatch(t *testing.T) {
	info := func(name string, d modelfmt.DType, shape ...int) modelfmt.TensorInfo {
		return modelfmt.TensorInfo{Name: name, DType: d, Shape: shape}
	}
	target := []modelfmt.TensorInfo{info("a", modelfmt.F32, 2), info("b", modelfmt.F32, 3), info("c", modelfmt.F32, 4), info("d", modelfmt.F32, 5)}
	source := []modelfmt.TensorInfo{info("a", modelfmt.F32, 2), info("b", modelfmt.F32, 9), info("c", modelfmt.F16, 4), info("x", modelfmt.F32, 1)}
	r, err := Match(source, target, nil, Strictness{}, false)
	if err == nil {
		t.Fatal("a bad match passes")
	}
	for _, part := range []string{"d", "x", "b is f32 [9] where the model has f32 [3]", "c is f16"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not tell of %q", err, part)
		}
	}
	if len(r.Mapped) != 1 || len(r.Mismatched) != 2 || !slices.Equal(r.Missing, []string{"d"}) || !slices.Equal(r.Unused, []string{"x"}) {
		t.Errorf("report %+v", r)
	}
	r, err = Match(source, target, nil, Strictness{AllowUnused: true, AllowMissing: true, AllowMismatch: true}, true)
	if err != nil || len(r.Mapped) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	m, err := NewNameMap([]Rule{{From: "enc.*", To: "$1", Permute: []int{1, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.hone")
	writeHone(t, path, "enc.w")
	src := open(t, path)
	r, err = Match(src.Tensors(), []modelfmt.TensorInfo{info("w", modelfmt.U8, 3, 2)}, m, Strictness{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.Mapped[0].Read(src); err != nil || !bytes.Equal(b, []byte{0, 3, 1, 4, 2, 5}) {
		t.Errorf("%v, %v", b, err)
	}
	// Nothing at all is never a match.
	if _, err := Match(source[3:], target, nil, Strictness{true, true, true, true}, true); err == nil {
		t.Error("a match of nothing passes")
	}
}

func TestExtract(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.hone")
	writeHone(t, a, "x.1", "../../evil", "..")
	r, err := modelfmt.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := filepath.Join(dir, "sub", "out")
	list, err := Extract(context.Background(), r, out, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	found, _ := os.ReadDir(out)
	if len(list) != 4 || len(found) != 4 {
		t.Errorf("%v %v", list, found)
	}
	for _, e := range list {
		if filepath.Dir(e.Path) != out {
			t.Errorf("%s left the folder", e.Path)
		}
		if st, err := os.Stat(e.Path); err != nil || st.Size() != e.Bytes {
			t.Errorf("%s: %v", e.Path, err)
		}
	}
	s := open(t, filepath.Join(out, "x.1.npy"))
	if got := contents(t, s)["array"]; got != "u8[2 3]000102030405" {
		t.Errorf("x.1 is %s", got)
	}
	if _, err := Extract(context.Background(), r, out, []string{"nobody"}, nil); err == nil {
		t.Error("a name that nothing has is accepted")
	}
	if list, err := Extract(context.Background(), r, out, []string{"mod*"}, nil); err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
}

func TestOpenRefusesPickles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.pkl")
	os.WriteFile(path, []byte("\x80\x04\x95 pickle of something"), 0o600)
	if _, _, err := Open(path, modelfmt.ReaderOptions{}); err == nil || !strings.Contains(err.Error(), "pickle") {
		t.Errorf("%v", err)
	}
}

func TestCancel(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.hone"), filepath.Join(dir, "b.hone")
	writeHone(t, a, "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Convert(ctx, open(t, a), b, Options{}); err == nil {
		t.Error("a cancelled conversion ends well")
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("stray files %v", list)
	}
}
