package safetensors

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
)

func TestWriteSharded(t *testing.T) {
	data := []byte("0123456789abcdef")
	tensor := func(name string, n int) Tensor {
		return Tensor{Info: modelfmt.TensorInfo{Name: name, DType: modelfmt.U8, Shape: []int{n}}, Open: func() (io.Reader, error) { return bytes.NewReader(data[:n]), nil }}
	}
	list := []Tensor{tensor("a", 4), tensor("b", 4), tensor("large", 16), tensor("c", 1), tensor("d", 7)}
	dir := t.TempDir()
	index := filepath.Join(dir, "m.safetensors.index.json")
	if err := WriteSharded(index, map[string]string{"format": "pt"}, list, 8); err != nil {
		t.Fatal(err)
	}
	shards, err := filepath.Glob(filepath.Join(dir, "m-0000?-of-00003.safetensors"))
	if err != nil || len(shards) != 3 {
		t.Fatalf("shards %v", shards)
	}
	s, err := Open(index)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Tensors()) != len(list) || s.Metadata()["format"] != "pt" {
		t.Errorf("%v, %v", s.Tensors(), s.Metadata())
	}
	for _, x := range list {
		r, err := s.TensorReader(x.Info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, data[:x.Info.Bytes()]) {
			t.Errorf("%s is %q, %v", x.Info.Name, b, err)
		}
	}

	var input *modelfmt.InputError
	if err := WriteSharded(index, nil, list, 8); !errors.As(err, &input) {
		t.Errorf("over an existing file: %v", err)
	}
	if err := WriteSharded(filepath.Join(dir, "m.json"), nil, list, 8); !errors.As(err, &input) {
		t.Errorf("an index of another name: %v", err)
	}
	// What fails leaves nothing.
	empty := t.TempDir()
	broken := append(list, Tensor{Info: tensor("e", 1).Info, Open: func() (io.Reader, error) { return nil, io.ErrUnexpectedEOF }})
	if err := WriteSharded(filepath.Join(empty, "m.safetensors.index.json"), nil, broken, 8); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(empty); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	if err := WriteSharded(filepath.Join(empty, "m.safetensors.index.json"), nil, append(list, list[0]), 8); !errors.As(err, &input) {
		t.Errorf("one name twice: %v", err)
	}
}
