package modelfmt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Golden files are read for ever. New ones may be added with
//
//	go test -run Golden -update ./modelfmt
//
// which writes only files that do not exist.
var update = flag.Bool("update", false, "write golden files that are missing")

// described is what testdata/reader.py prints.
type described struct {
	Root     string                     `json:"root"`
	Manifest map[string]json.RawMessage `json:"manifest"`
	Ignored  []string                   `json:"ignored"`
	Tensors  []describedEntry           `json:"tensors"`
	Blobs    []describedEntry           `json:"blobs"`
}

type describedEntry struct {
	Name     string `json:"name"`
	SHA256   string `json:"sha256"`
	DType    string `json:"dtype,omitempty"`
	Shape    []int  `json:"shape,omitempty"`
	Role     string `json:"role"`
	Encoding string `json:"encoding"`
}

func describe(t *testing.T, r *Reader) described {
	t.Helper()
	if err := r.VerifyDeep(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	d := described{Root: r.Root().String(), Manifest: r.Manifest(), Ignored: []string{}, Tensors: []describedEntry{}, Blobs: []describedEntry{}}
	for range r.Ignored() {
		d.Ignored = append(d.Ignored, "")
	}
	sum := func(b []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:])
	}
	for _, x := range r.Tensors() {
		d.Tensors = append(d.Tensors, describedEntry{x.Name, sum(r.ReadTensor(x.Name, nil)), x.DType.String(), x.Shape, x.Role, x.Encoding})
	}
	for _, name := range r.Blobs() {
		d.Blobs = append(d.Blobs, describedEntry{Name: name, SHA256: sum(r.Blob(name))})
	}
	return d
}

// goldens are the files of version 0, with the base that each needs.
var goldens = []struct {
	file, base string
	make       func(t *testing.T, base *Reader) []byte
}{
	{"v0-all.hone", "", func(t *testing.T, _ *Reader) []byte {
		s := smallSample(8 << 10)
		rng := rand.New(rand.NewPCG(11, 11))
		counts := []byte{}
		for i := range 3000 {
			counts = binary.LittleEndian.AppendUint64(counts, uint64(i*i/500))
		}
		s.tensor("counts", I64, []int{1000, 3}, "state", counts)
		skew := make([]byte, 5000)
		for i := range skew {
			skew[i] = byte(rng.ExpFloat64() * 6)
		}
		s.tensor("skew", U8, []int{5000}, "slot", skew)
		for _, d := range []DType{F64, F16} {
			b := gaussF32(rng, 3000, 0.1)
			for i := range b {
				if i%d.Size() == d.Size()-1 {
					b[i] = 0x3f ^ byte(rng.IntN(3))
				}
			}
			s.tensor("dense/"+d.String(), d, []int{len(b) / d.Size()}, "param", b)
		}
		few := make([]byte, 20_000)
		for i := 0; i < len(few); i += 2000 {
			few[i] = 7
		}
		s.tensor("few", I8, []int{20_000}, "mask", few)
		s.tensors[0].Encoding = "owner's note"
		return s.encode(t, WriterOptions{ChunkSize: 4096})
	}},
	{"v0-empty.hone", "", func(t *testing.T, _ *Reader) []byte {
		return newSample().encode(t, WriterOptions{})
	}},
	{"v0-wide.hone", "", func(t *testing.T, _ *Reader) []byte {
		// More than one Huffman block in a plane, of bytes that repeat enough
		// for the file to be small.
		s := newSample()
		rng := rand.New(rand.NewPCG(12, 12))
		b := make([]byte, 1<<20+40)
		for i := 0; i < len(b); i += 4 {
			if i < 5000 || rng.IntN(300) == 0 {
				b[i+2], b[i+3] = byte(rng.IntN(4)), byte(rng.IntN(3))
			}
		}
		s.tensor("w", F32, []int{len(b) / 4}, "param", b)
		return s.encode(t, WriterOptions{})
	}},
	{"v0-blocks.hone", "", func(t *testing.T, _ *Reader) []byte {
		s := newSample()
		rng := rand.New(rand.NewPCG(13, 13))
		b := make([]byte, 150_000) // two Huffman blocks
		for i := range b {
			b[i] = 1 + byte(rng.IntN(4))
		}
		s.tensor("w", U8, []int{len(b)}, "param", b)
		return s.encode(t, WriterOptions{})
	}},
	{"v0-delta.hone", "v0-all.hone", func(t *testing.T, base *Reader) []byte {
		s := smallSample(8 << 10)
		b := s.data["gauss"]
		for i := 0; i < len(b); i += 4 {
			b[i] ^= byte(i / 4 % 5)
		}
		s.data["all/i64"][3]++
		return s.encode(t, WriterOptions{Base: base})
	}},
	{"v0-extended.hone", "", func(t *testing.T, _ *Reader) []byte {
		s := newSample()
		s.manifest["m"] = `"x"`
		s.blob("b", []byte("blob"))
		return extend(s.encode(t, WriterOptions{}), 0, 1<<9|FeatureSigned, []byte("unknown to this version"), nil)
	}},
}

// extend adds feature bits and extension records to a file.
func extend(file []byte, required, optional uint64, bodies ...[]byte) []byte {
	foot := bytes.Clone(file[len(file)-footerSize:])
	out := bytes.Clone(file[:len(file)-footerSize])
	for i, body := range bodies {
		rec := binary.LittleEndian.AppendUint32(nil, uint32(100+i))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(body)))
		crc := crc32.Checksum(append(bytes.Clone(rec), body...), castagnoli)
		out = append(binary.LittleEndian.AppendUint32(append(out, rec...), crc), body...)
	}
	le := binary.LittleEndian
	le.PutUint64(foot[16:], le.Uint64(foot[16:])|required)
	le.PutUint64(foot[24:], le.Uint64(foot[24:])|optional)
	le.PutUint64(foot[80:], uint64(len(out)+footerSize))
	return append(out, reseal(foot)...)
}

// reseal sets a footer's checksum right again.
func reseal(foot []byte) []byte {
	binary.LittleEndian.PutUint32(foot[120:], checksum(foot[:120]))
	return foot
}

func openGolden(t *testing.T, file, base string) *Reader {
	t.Helper()
	opts := ReaderOptions{}
	if base != "" {
		opts.Base = BaseFiles(filepath.Join("testdata", base))
	}
	r, err := OpenWith(filepath.Join("testdata", file), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestGolden(t *testing.T) {
	for _, g := range goldens {
		path := filepath.Join("testdata", g.file)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && *update {
			var base *Reader
			if g.base != "" {
				base = openGolden(t, g.base, "")
			}
			if err := os.WriteFile(path, g.make(t, base), 0o644); err != nil {
				t.Fatal(err)
			}
			text, _ := json.MarshalIndent(describe(t, openGolden(t, g.file, g.base)), "", " ")
			if err := os.WriteFile(path+".json", append(text, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got := describe(t, openGolden(t, g.file, g.base))
		text, err := os.ReadFile(path + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if want := decodeDescribed(t, text); !reflect.DeepEqual(roundTrip(t, got), want) {
			t.Errorf("%s reads as\n%+v\nwant\n%+v", g.file, got, want)
		}
	}
}

func decodeDescribed(t *testing.T, text []byte) described {
	t.Helper()
	var d described
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for k, v := range d.Manifest {
		var b bytes.Buffer
		json.Compact(&b, v)
		d.Manifest[k] = b.Bytes()
	}
	for i := range d.Ignored {
		d.Ignored[i] = ""
	}
	return d
}

func roundTrip(t *testing.T, d described) described {
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return decodeDescribed(t, text)
}

// TestGoldenCoversTheFormat keeps the golden files worth reading: together they
// have every transform and codec.
func TestGoldenCoversTheFormat(t *testing.T) {
	var all []string
	for _, g := range goldens {
		info, err := openGolden(t, g.file, g.base).Info(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range append(info.Tensors, info.Blobs...) {
			all = append(all, e.Codec)
		}
	}
	text := strings.Join(all, " ")
	for _, part := range []string{"raw", "constant", "huffman", "zstd", "split(", "bitmap(", "xor "} {
		if !strings.Contains(text, part) {
			t.Errorf("no golden file has %q: %s", part, text)
		}
	}
}

func TestIgnoresWhatItMay(t *testing.T) {
	r := openGolden(t, "v0-extended.hone", "")
	got := strings.Join(r.Ignored(), "; ")
	if got != "signature (bit 0); unknown feature (bit 9); extension 100 of 23 bytes; extension 101 of 0 bytes" {
		t.Errorf("ignored: %s", got)
	}
}

func TestRefusesWhatItMust(t *testing.T) {
	file := newSample().encode(t, WriterOptions{})
	for bits, want := range map[uint64]string{FeatureNM: "N:M", FeatureQuantized: "quantized", FeatureSharded: "sharded", 1 << 40: "bit 40"} {
		_, err := openBytes(extend(file, bits, 0), ReaderOptions{})
		var ue *UnsupportedError
		if !errors.As(err, &ue) || !strings.Contains(err.Error(), want) {
			t.Errorf("bits %x: %v", bits, err)
		}
	}
	newer := bytes.Clone(file)
	binary.LittleEndian.PutUint16(newer[8:], 1)
	binary.LittleEndian.PutUint32(newer[12:], checksum(newer[:12]))
	_, err := openBytes(newer, ReaderOptions{})
	var ue *UnsupportedError
	if !errors.As(err, &ue) || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("version 1: %v", err)
	}
}

// TestPythonReader compares with a reader that was written from SPEC.md.
func TestPythonReader(t *testing.T) {
	py := os.Getenv("HONE_PYTHON")
	if py == "" {
		py = "python3"
	}
	if err := exec.Command(py, "-c", "import zstandard").Run(); err != nil {
		t.Skipf("%s has no zstandard; set HONE_PYTHON to one that has", py)
	}
	dir := t.TempDir()
	fresh := filepath.Join(dir, "fresh.hone")
	if err := os.WriteFile(fresh, smallSample(64<<10).encode(t, WriterOptions{ChunkSize: 1 << 16}), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []string{fresh}
	args := []string{"testdata/reader.py"}
	for _, g := range goldens {
		if g.base != "" {
			args = append(args, "--base", filepath.Join("testdata", g.base))
		}
		files = append(files, filepath.Join("testdata", g.file))
	}
	var stderr bytes.Buffer
	cmd := exec.Command(py, append(args, files...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	for i, path := range files {
		r, err := OpenWith(path, ReaderOptions{Base: BaseFiles("testdata/v0-all.hone")})
		if err != nil {
			t.Fatal(err)
		}
		want := roundTrip(t, describe(t, r))
		r.Close()
		if got := decodeDescribed(t, lines[i]); fmt.Sprint(canonical(t, got)) != fmt.Sprint(canonical(t, want)) {
			t.Errorf("%s: the Python reader sees\n%v\nwant\n%v", path, canonical(t, got), canonical(t, want))
		}
	}
	// It must also see damage.
	b, _ := os.ReadFile("testdata/v0-all.hone")
	b[100] ^= 16
	os.WriteFile(fresh, b, 0o600)
	if err := exec.Command(py, "testdata/reader.py", fresh).Run(); err == nil {
		t.Error("the Python reader passes a damaged file")
	}
}

// canonical makes JSON that does not depend on the order of keys.
func canonical(t *testing.T, d described) string {
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	text, _ = json.Marshal(v)
	return string(text)
}
