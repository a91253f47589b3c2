package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
)

type expected map[string]struct {
	DType modelfmt.DType
	Shape []int
	Hex   string
}

func loadExpected(t *testing.T) expected {
	t.Helper()
	text, err := os.ReadFile("testdata/all.json")
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e expected) compare(t *testing.T, s *Set) {
	t.Helper()
	list := s.Tensors()
	if len(list) != len(e) {
		t.Errorf("%d tensors, want %d", len(list), len(e))
	}
	for _, info := range list {
		want := e[info.Name]
		if info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
			t.Errorf("%s: %s %v, want %s %v", info.Name, info.DType, info.Shape, want.DType, want.Shape)
		}
		r, err := s.TensorReader(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(b) != want.Hex {
			t.Errorf("%s: bytes differ", info.Name)
		}
	}
}

// TestReadsTheLibrarysFiles reads what the format's own library wrote.
func TestReadsTheLibrarysFiles(t *testing.T) {
	e := loadExpected(t)
	for _, path := range []string{"testdata/all.safetensors", "testdata/model.safetensors.index.json"} {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		e.compare(t, s)
		if path == "testdata/all.safetensors" && s.Metadata()["note"] != "a<b" {
			t.Errorf("metadata %v", s.Metadata())
		}
		s.Close()
	}
}

// TestWritesTheLibrarysBytes writes the same tensors and expects the very file.
func TestWritesTheLibrarysBytes(t *testing.T) {
	want, err := os.ReadFile("testdata/all.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(bytes.NewReader(want), int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	var list []Tensor
	for _, info := range f.Tensors() {
		list = append([]Tensor{{info, func() (io.Reader, error) { return f.TensorReader(info.Name) }}}, list...)
	}
	var got bytes.Buffer
	if err := Write(&got, f.Metadata(), list); err != nil {
		t.Fatal(err)
	}
	n := 8 + binary.LittleEndian.Uint64(want)
	if !bytes.Equal(got.Bytes()[n:], want[n:]) {
		t.Error("the data differ")
	}
	// The library's order of metadata keys is that of a hash map.
	if !bytes.Equal(sortedHeader(t, got.Bytes()), sortedHeader(t, want)) {
		t.Errorf("the headers differ:\n%s\n%s", got.Bytes()[8:n], want[8:n])
	}
}

func sortedHeader(t *testing.T, file []byte) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(file[8:8+binary.LittleEndian.Uint64(file)], &m); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(m)
	return out
}

func build(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// TestRefuses has one fault a file.
func TestRefuses(t *testing.T) {
	const ok = `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	if _, err := NewFile(bytes.NewReader(build(ok+"  ", 8)), int64(len(ok))+18); err != nil {
		t.Fatalf("a good file: %v", err)
	}
	for name, c := range map[string]struct {
		header string
		data   int
	}{
		"cut":             {ok, 7},
		"bytes of nobody": {ok, 9},
		"hole":            {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12},
		"overlap":         {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12},
		"twice":           {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}`, 8},
		"shape":           {`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8},
		"negative":        {`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8},
		"overflow":        {`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}}`, 8},
		"wrap":            {`{"a":{"dtype":"U8","shape":[9223372036854775807,2],"data_offsets":[0,8]}}`, 8},
		"backwards":       {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8},
		"no dtype":        {`{"a":{"shape":[2],"data_offsets":[0,8]}}`, 8},
		"no shape":        {`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4},
		"three offsets":   {`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, 8},
		"dtype":           {`{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}`, 8},
		"not json":        {`{"a":`, 0},
		"space first":     {` {}`, 0},
		"trailing":        {`{}x`, 0},
		"null metadata":   {`{"__metadata__":null}`, 0},
		"number metadata": {`{"__metadata__":{"a":1}}`, 0},
		"empty":           {``, 0},
	} {
		b := build(c.header, c.data)
		if _, err := NewFile(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	huge := binary.LittleEndian.AppendUint64(nil, 1<<40)
	var le *modelfmt.LimitError
	if _, err := NewFile(bytes.NewReader(huge), 1<<41); !errors.As(err, &le) {
		t.Errorf("a header of a terabyte: %v", err)
	}
}

func TestIndexRefuses(t *testing.T) {
	dir := t.TempDir()
	good, err := os.ReadFile("testdata/all.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "a.safetensors"), good, 0o600)
	os.WriteFile(filepath.Join(dir, "..", "outside.safetensors"), good, 0o600)
	for name, index := range map[string]string{
		"leaves the folder": `{"weight_map":{"scalar":"../outside.safetensors"}}`,
		"absolute":          `{"weight_map":{"scalar":"/etc/passwd"}}`,
		"backslash":         `{"weight_map":{"scalar":"..\\a.safetensors"}}`,
		"absent shard":      `{"weight_map":{"scalar":"b.safetensors"}}`,
		"absent tensor":     `{"weight_map":{"nobody":"a.safetensors"}}`,
		"half":              `{"weight_map":{"scalar":"a.safetensors"}}`,
		"empty":             `{"weight_map":{}}`,
		"none":              `{}`,
		"dot":               `{"weight_map":{"scalar":"."}}`,
	} {
		path := filepath.Join(dir, "x.index.json")
		os.WriteFile(path, []byte(index), 0o600)
		if s, err := Open(path); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
	}
}

func FuzzHeader(f *testing.F) {
	good, err := os.ReadFile("testdata/all.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(build(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(build(`{"__metadata__":{"a":"b"}}`, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := NewFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		var total int64
		for _, info := range s.Tensors() {
			r, err := s.TensorReader(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r)
			if err != nil || n != info.Bytes() {
				t.Fatalf("%s: %d bytes of %d: %v", info.Name, n, info.Bytes(), err)
			}
			total += n
		}
		if total > int64(len(b)) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(b))
		}
	})
}

func FuzzIndex(f *testing.F) {
	good, err := os.ReadFile("testdata/model.safetensors.index.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		shards, weights, _, err := parseIndex(b)
		if err != nil {
			return
		}
		if len(weights) == 0 {
			t.Fatal("an index of nothing is accepted")
		}
		for _, s := range shards {
			if strings.ContainsAny(s, `/\`) || s == ".." || s == "." || s == "" {
				t.Fatalf("shard %q leaves the folder", s)
			}
		}
	})
}
