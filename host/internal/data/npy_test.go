package data

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// arrays.npz is NumPy's own, see arrays.py.
func TestNPZ(t *testing.T) {
	tab, err := ReadNPZ(t.Context(), filepath.Join("testdata", "arrays.npz"), nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range tab.Columns {
		s := fmt.Sprint(c.Field(), " ", c.values)
		if c.Type == String {
			s = fmt.Sprintf("%v %q", c.Field(), []string{c.StringAt(0), c.StringAt(1), c.StringAt(2)})
		}
		got = append(got, s)
	}
	want := []string{
		"bool: bool [true false true]",
		"i1: i8[2] [-128 127 0 1 2 3]",
		"big_i2: i32 [-300 300 0]",
		"i4: i32 [-2147483648 2147483647 0]",
		"i8: i64 [-9223372036854775808 9223372036854775807 0]",
		"u1: u8[2, 2] [0 1 2 3 4 5 6 7 8 9 10 11]",
		"u2: i32 [0 65535 1]",
		"u4: i64 [0 4294967295 1]",
		"u8: i64 [0 9223372036854775807 1]",
		"f2: f32 [1.5 -65504 5.9604645e-08]",
		"big_f4: f32 [1.5 -Inf 1e-45]",
		"fortran: f64[2, 3] [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17]",
		`text: string ["é" "😀 and more" ""]`,
		`bytes: string ["ab" "" "abc"]`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d arrays", len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	two, err := ReadNPZ(t.Context(), filepath.Join("testdata", "arrays.npz"), []string{"u1", "i4"}, Limits{})
	if err != nil || fmt.Sprint(two.Schema()) != "[u1: u8[2, 2] i4: i32]" || !strings.HasPrefix(two.Digest(), "sha256:") {
		t.Errorf("%v, %v", two, err)
	}
	_, err = ReadNPZ(t.Context(), filepath.Join("testdata", "arrays.npz"), []string{"u3"}, Limits{})
	checkDiag(t, err, "missing_column", 0, 0, `no column "u3"`)
}

func TestFloat16(t *testing.T) {
	for bits, want := range map[uint16]float32{0: 0, 0x8000: float32(math.Copysign(0, -1)), 1: 5.9604645e-8, 0x3ff: 6.097555e-5, 0x400: 6.1035156e-5,
		0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1)), 0x3555: 0.33325195} {
		if got := float16(bits); math.Float32bits(got) != math.Float32bits(want) {
			t.Errorf("%04x is %v, want %v", bits, got, want)
		}
	}
	if got := float16(0x7e00); got == got {
		t.Errorf("7e00 is %v", got)
	}
}

func npyFile(header string, elements []byte) []byte {
	b := append([]byte(npyMagic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	return append(append(b, header...), elements...)
}

func TestNPYErrors(t *testing.T) {
	header := func(descr, shape string) string {
		return "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }"
	}
	for _, c := range []struct {
		name, code, summary string
		file                []byte
	}{
		{"empty", "not_npy", "begins with the bytes", nil},
		{"another file", "not_npy", "begins with the bytes 50 4b", []byte("PK0123456789")},
		{"a future version", "not_npy", "version is 9.0", append([]byte(npyMagic), 9, 0, 0, 0)},
		{"a short header", "not_npy", "ends in its header", npyFile(header("'<f4'", "(1,)"), nil)[:30]},
		{"objects", "npy_type", "can hold programs", npyFile(header("'|O'", "(1,)"), nil)},
		{"structures", "not_npy", "structured", npyFile(header("[('a', '<f4')]", "(1,)"), nil)},
		{"dates", "npy_type", "not read", npyFile(header("'<M8[ns]'", "(1,)"), nil)},
		{"complex", "npy_type", "not read", npyFile(header("'<c8'", "(1,)"), nil)},
		{"a value", "npy_shape", "single value", npyFile(header("'<f4'", "()"), make([]byte, 4))},
		{"empty examples", "npy_shape", "are empty", npyFile(header("'<f4'", "(3, 0)"), nil)},
		{"short", "truncated_npy", "7 bytes of 8", npyFile(header("'<f4'", "(2,)"), make([]byte, 7))},
		{"long", "npy_too_long", "goes on", npyFile(header("'<f4'", "(2,)"), make([]byte, 9))},
		{"giant", "data_too_large", "16384 MiB", npyFile(header("'<f4'", "(2305843009213693951, 9)"), nil)},
		{"giant, but allowed", "truncated_npy", "0 bytes of 4000000000", npyFile(header("'<f4'", "(1000000000,)"), nil)},
		{"a bad shape", "not_npy", "a bad shape", npyFile(header("'<f4'", "(-1,)"), nil)},
		{"an unknown key", "not_npy", "the key", npyFile("{'x': 1}", nil)},
		{"keys absent", "not_npy", "absent", npyFile("{'descr': '<f4'}", nil)},
		{"an unsigned beyond", "npy_range", "18446744073709551615", npyFile(header("'<u8'", "(1,)"), bytes.Repeat([]byte{255}, 8))},
		{"no text", "npy_encoding", "not UTF-8", npyFile(header("'|S2'", "(1,)"), []byte{0xff, 0})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeNPY(t.Context(), Bytes{"t.npy", c.file}, "x", Limits{})
			checkDiag(t, err, c.code, 0, 0, c.summary)
		})
	}
}

func TestNPZErrors(t *testing.T) {
	npz := func(entries ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i := 0; i < len(entries); i += 2 {
			w, err := z.CreateHeader(&zip.FileHeader{Name: entries[i], Method: zip.Store})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(entries[i+1])); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	array := func(n int) string {
		return string(npyFile(fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }", n), make([]byte, n)))
	}
	damaged := npz("a.npy", array(100))
	damaged[bytes.IndexByte(damaged, '}')+10] ^= 1 // one of the elements
	for _, c := range []struct {
		name, code, summary string
		file                []byte
	}{
		{"no archive", "not_npz", "not a file of NumPy arrays", []byte("abc")},
		{"no arrays", "not_npz", "holds no array", npz("readme.txt", "x")},
		{"one name twice", "not_npz", "two arrays", npz("a.npy", array(1), "a.npy", array(1))},
		{"unequal", "count_mismatch", `"a" of t.npz has 1 examples, "b" has 2`, npz("a.npy", array(1), "b.npy", array(2))},
		{"a cut array", "truncated_npy", "t.npz/a.npy ends early", npz("a.npy", array(9)[:70])},
		{"damaged", "corrupt_compression", "damaged", damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeNPZ(t.Context(), Bytes{"t.npz", c.file}, nil, Limits{})
			checkDiag(t, err, c.code, 0, 0, c.summary)
		})
	}
}

func FuzzNPY(f *testing.F) {
	z, err := os.ReadFile(filepath.Join("testdata", "arrays.npz"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(z)
	f.Add(npyFile("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", make([]byte, 24)))
	f.Add(npyFile("{'shape': (1L,), 'descr': \"<U3\", 'fortran_order': False}", make([]byte, 12)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range []func() (*Table, error){
			func() (*Table, error) {
				return DecodeNPY(t.Context(), Bytes{"f", b}, "x", Limits{Bytes: 1 << 20})
			},
			func() (*Table, error) { return DecodeNPZ(t.Context(), Bytes{"f", b}, nil, Limits{Bytes: 1 << 20}) },
		} {
			tab, err := decode()
			if err != nil {
				continue
			}
			for _, c := range tab.Columns {
				if c.Rows()*c.Width()*c.Type.Size() > 1<<20 {
					t.Fatal("the limit was passed")
				}
			}
		}
	})
}
