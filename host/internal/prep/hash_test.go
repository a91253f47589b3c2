package prep

import (
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
)

// The values of 64-bit FNV-1a are those of its authors' test suite (C. Landon Noll,
// test_fnv.c; also the appendix of draft-eastlake-fnv). Those of MurmurHash3's
// fmix64 are what others pin for A. Appleby's function: 0, 1, FNV's offset basis,
// and all ones.
func TestHashIsAsPublished(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0xcbf29ce484222325, "a": 0xaf63dc4c8601ec8c, "b": 0xaf63df4c8601f1a5, "foobar": 0x85944171f73967e8,
		"chongo was here!\n": 0x46810940eff5f915,
	} {
		if got := fnv1a(text); got != want {
			t.Errorf("FNV-1a of %q is %#x, wanted %#x", text, got, want)
		}
	}
	for x, want := range map[uint64]uint64{0: 0, 1: 0xb456bcfc34c2cb2c, 0xcbf29ce484222325: 0xefd01f60ba992926, 1<<64 - 1: 0x64b5720b4b825f21} {
		if got := fmix64(x); got != want {
			t.Errorf("fmix64 of %#x is %#x, wanted %#x", x, got, want)
		}
	}
}

// A bucket is the remainder of the hash, which a stored pipeline relies on. The
// numbers are from the formula in another language.
func TestBucketsAreFixed(t *testing.T) {
	words := data.StringsOf("w", []string{"red", "Ärmel", "true", "2", "red"})
	words.SetMissing(4)
	for _, test := range []struct {
		about   string
		column  *data.Column
		buckets uint32
		salt    string
		want    []int32
	}{
		{"words", words, 1000, "", []int32{922, 988, 9, 630, 1000}},
		{"a salt", words, 10, "s", []int32{9, 8, 8, 8, 10}},
		{"numbers are their shortest decimals", data.NewColumn("n", nil, []int64{2, 2}), 10, "s", []int32{8, 8}},
		{"truth values are words", data.NewColumn("t", nil, []bool{true}), 10, "", []int32{9}},
	} {
		e := entry{Buckets: test.buckets, Salt: test.salt}
		got := e.hash(test.column)
		for i, want := range test.want {
			if got[i] != want {
				t.Errorf("%s: row %d is in bucket %d, wanted %d", test.about, i+1, got[i], want)
			}
		}
	}
	e := entry{Buckets: 97}
	if a, b := e.hash(words), (&entry{Buckets: 97, Salt: strings.Repeat("s", 3)}).hash(words); a[0] == b[0] && a[1] == b[1] && a[2] == b[2] {
		t.Error("the salt changes nothing")
	}
}
