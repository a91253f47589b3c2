package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
	"github.com/hone-ml/hone/modelfmt/safetensors"
)

// foreign has the parameters of the network plain under a stranger's names.
var foreign = map[string][]int{"enc.fc1.kernel": {64, 16}, "enc.fc1.bias": {16}, "head.kernel": {16, 10}, "head.bias": {10}, "unrelated": {3}}

// value is element i of every foreign tensor: it has the same value in bf16.
func value(i int) float32 { return float32(i%200-100) / 64 }

func writeForeign(t *testing.T, path string, d modelfmt.DType) {
	t.Helper()
	var list []safetensors.Tensor
	for _, name := range sortedKeys(foreign) {
		info := modelfmt.TensorInfo{Name: name, DType: d, Shape: foreign[name]}
		var b []byte
		for i := range info.Elements() {
			switch v := value(i); d {
			case modelfmt.BF16:
				b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(v)>>16))
			case modelfmt.F64:
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(v)))
			default:
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			}
		}
		list = append(list, safetensors.Tensor{Info: info, Open: func() (io.Reader, error) { return bytes.NewReader(b), nil }})
	}
	var err error
	switch {
	case strings.HasSuffix(path, ".npz"):
		f, cerr := os.Create(path)
		if cerr != nil {
			t.Fatal(cerr)
		}
		defer f.Close()
		z := npz.NewWriter(f)
		for _, x := range list {
			r, _ := x.Open()
			if err := z.Add(x.Info, r); err != nil {
				t.Fatal(err)
			}
		}
		err = z.Close()
	case strings.HasSuffix(path, safetensors.IndexSuffix):
		err = safetensors.WriteSharded(path, nil, list, 500)
	default:
		var b bytes.Buffer
		if err = safetensors.Write(&b, nil, list); err == nil {
			err = os.WriteFile(path, b.Bytes(), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestInitFromTransposed starts from kernels as PyTorch keeps them.
func TestInitFromTransposed(t *testing.T) {
	dir := t.TempDir()
	shapes := map[string][]int{"Enc-0/fc.weight": {16, 64}, "Enc-0/fc.bias": {16}, "head.weight": {10, 16}, "head.bias": {10}}
	var list []safetensors.Tensor
	for _, name := range sortedKeys(shapes) {
		info := modelfmt.TensorInfo{Name: name, DType: modelfmt.F32, Shape: shapes[name]}
		var b []byte
		for i := range info.Elements() {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(value(i)))
		}
		list = append(list, safetensors.Tensor{Info: info, Open: func() (io.Reader, error) { return bytes.NewReader(b), nil }})
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, nil, list); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pt.safetensors")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := func(axes string) string {
		return strings.Replace(strings.NewReplacer("BATCH", "32", "MORE", `init_from {
    path = "`+filepath.ToSlash(file)+`"
    map = {
      "Enc-0/fc.weight" = "hidden.kernel"
      "Enc-0/fc.bias"   = "hidden.bias"
      "head.weight"     = "logits.kernel"
      "head"            = "logits"
    }
    `+axes+"\n}").Replace(plain), "learning_rate = 0.1", "learning_rate = 0", 1)
	}
	ctx := context.Background()
	out := filepath.Join(dir, "out.hone")
	fits := text(`axes = { "*.kernel" = [1, 0] }`)
	if _, err := load(t, fits, Options{}).Train(ctx, TrainOptions{Out: out, stopAfter: 1}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	for name, in := range map[string]int{"hidden.kernel": 64, "logits.kernel": 16} {
		got := floats(t, out, name)
		units := len(got) / in
		for i := range in {
			for j := range units {
				if got[i*units+j] != float64(value(j*in+i)) {
					t.Fatalf("%s[%d, %d] is %v", name, i, j, got[i*units+j])
				}
			}
		}
	}
	for axes, want := range map[string]string{
		"": "f32 [16 64] where the model has f32 [64 16]",
		`axes = { "*.kernel" = [1, 0], "norm.gamma" = [1, 0] }`: "norm.gamma",
		`axes = { "**" = [1, 0] }`:                              "[1 0]",
	} {
		if _, err := load(t, text(axes), Options{}).Train(ctx, TrainOptions{Out: filepath.Join(dir, "x.hone")}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", axes, err)
		}
	}
}

// TestInitFromForeignFiles starts from safetensors, shards and NumPy archives.
// With a rate of zero the first checkpoint has the very values taken.
func TestInitFromForeignFiles(t *testing.T) {
	dir := t.TempDir()
	spec := func(file, more string) string {
		text := strings.NewReplacer("BATCH", "32", "MORE", "init_from {\n path = \""+filepath.ToSlash(filepath.Join(dir, file))+"\"\n"+more+"\n}").Replace(plain)
		return strings.Replace(text, "learning_rate = 0.1", "learning_rate = 0", 1)
	}
	names := `map = { "enc.fc1" = "hidden", "head.*" = "logits.$1" }`
	run := func(text, out string) (InitEvent, error) {
		var got InitEvent
		_, err := load(t, text, Options{}).Train(context.Background(), TrainOptions{Out: out, stopAfter: 1, Events: func(e Event) {
			if i, ok := e.(InitEvent); ok {
				got = i
			}
		}})
		if errors.Is(err, ErrInterrupted) {
			err = nil
		}
		return got, err
	}
	for _, c := range []struct {
		file      string
		d         modelfmt.DType
		converted int
	}{
		{"a.safetensors", modelfmt.F32, 0},
		{"half.safetensors", modelfmt.BF16, 4},
		{"shards.safetensors.index.json", modelfmt.BF16, 4},
		{"double.npz", modelfmt.F64, 4},
	} {
		writeForeign(t, filepath.Join(dir, c.file), c.d)
		out := filepath.Join(dir, c.file+".out.hone")
		got, err := run(spec(c.file, names), out)
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got.Taken != 4 || got.Unused != 1 || got.Converted != c.converted {
			t.Errorf("%s: %+v", c.file, got)
		}
		for _, name := range []string{"hidden.kernel", "hidden.bias", "logits.kernel", "logits.bias"} {
			for i, v := range floats(t, out, name) {
				if v != float64(value(i)) {
					t.Fatalf("%s: %s[%d] is %v, the file has %v", c.file, name, i, v, value(i))
				}
			}
		}
	}
	// Strict: nothing is passed over in silence.
	for _, c := range []struct{ more, want string }{
		{"", "no tensor of the file has a place"},
		{`map = { "enc.fc1" = "hidden" }`, "logits.kernel"},
		{`map = { "enc.fc1" = "hidden", "head" = "logits", "enc.fc2" = "body" }`, "enc.fc2"},
		{`map = { "enc.fc1" = "logits", "head" = "hidden" }`, "[64 16]"},
		{`map = { "enc.fc1" = "hidden", "head.*" = "hidden.$1" }`, "both become"},
	} {
		out := filepath.Join(dir, "refused.hone")
		if _, err := run(spec("a.safetensors", c.more), out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.more, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a checkpoint was written", c.more)
		}
	}
	got, err := run(spec("a.safetensors", "strict = false\n"+`map = { "enc.fc1" = "hidden" }`), filepath.Join(dir, "lax.hone"))
	if err != nil || got.Taken != 2 || got.Missing != 2 {
		t.Errorf("not strict: %+v, %v", got, err)
	}
}
