package prep_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/kernels/reference"
)

func TestSampling(t *testing.T) {
	classes := slices.Concat(slices.Repeat([]string{"a"}, 50), slices.Repeat([]string{"b"}, 20), slices.Repeat([]string{"c"}, 7))
	number := make([]int64, len(classes))
	for i := range number {
		number[i] = int64(i)
	}
	in := table(t, data.NewColumn("n", nil, number), data.StringsOf("y", classes))
	count := func(p *prep.Pipeline, part prep.Part) (string, []int64) {
		out, rows, err := p.Apply(t.Context(), part, in)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for i := range out.Rows() {
			counts[out.Column("y").StringAt(i)]++
			if rows != nil && data.Values[int64](out.Column("n"))[i] != rows[i] {
				t.Fatalf("row %d is said to come from %d, and came from %d", i, rows[i], data.Values[int64](out.Column("n"))[i])
			}
		}
		return fmt.Sprint(counts), rows
	}
	for _, test := range []struct {
		typ   string
		ratio float64
		want  string
	}{
		{"over_sample", 1, "map[a:50 b:50 c:50]"},
		{"over_sample", 0.5, "map[a:50 b:25 c:25]"},
		{"under_sample", 1, "map[a:7 b:7 c:7]"},
		{"under_sample", 0.5, "map[a:14 b:14 c:7]"},
	} {
		o := prep.Options{Targets: []string{"y"}, Seed: 3}
		p := fit(t, in, o, transform(test.typ, nil, "ratio", test.ratio))
		got, rows := count(p, prep.Train)
		if got != test.want {
			t.Errorf("%s with ratio %v: %s, wanted %s", test.typ, test.ratio, got, test.want)
		}
		if test.typ == "over_sample" {
			if distinct := len(slices.Compact(slices.Clone(rows))); distinct != in.Rows() {
				t.Errorf("over-sampling drops rows: %d of %d are left", distinct, in.Rows())
			}
		} else if !slices.Equal(rows, slices.Compact(slices.Clone(rows))) {
			t.Error("under-sampling repeats rows")
		}
		if _, again := count(reload(t, p), prep.Train); !slices.Equal(again, rows) {
			t.Error("a loaded pipeline draws other rows")
		}
		o.Seed++
		if _, other := count(fit(t, in, o, transform(test.typ, nil, "ratio", test.ratio)), prep.Train); slices.Equal(other, rows) {
			t.Error("another seed draws the same rows")
		}
		if got, rows := count(p, prep.Evaluate); got != "map[a:50 b:20 c:7]" || rows != nil {
			t.Errorf("evaluation is sampled: %s", got)
		}
	}
}

func TestAugmentation(t *testing.T) {
	const n, h, w = 300, 4, 6
	pixels := make([]uint8, n*h*w)
	for i := range pixels {
		pixels[i] = uint8(1 + i%251)
	}
	in := table(t, data.NewColumn("image", []int{h, w}, pixels), data.NewColumn("y", nil, make([]int64, n)))
	p := fit(t, in, prep.Options{Targets: []string{"y"}, Seed: 5}, transform("rescale", nil, "scale", 1.0/255),
		transform("random_crop", nil, "padding", 2), transform("random_flip", nil, "mode", "horizontal"))
	if !p.Augments() || p.Outputs()[0].String() != "image: f32[4, 6]" {
		t.Fatalf("it augments: %v; %v", p.Augments(), p.Outputs())
	}
	plain := apply(t, p, prep.Train, in)
	equalTables(t, "Apply augments", plain, apply(t, p, prep.Evaluate, in))
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	augment := func(p *prep.Pipeline, rows []int64, epoch uint64) *data.Table {
		out, err := p.Augment(t.Context(), plain.Gather(rows), rows, epoch)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := augment(p, all, 0)
	before, after := data.Values[float32](plain.Columns[0]), data.Values[float32](first.Columns[0])
	shifts := map[[3]int]int{}
	for i := range n {
		shift, ok := shiftOf(before[i*h*w:(i+1)*h*w], after[i*h*w:(i+1)*h*w], h, w, 2)
		if !ok {
			t.Fatalf("image %d is neither shifted nor mirrored: %v from %v", i, after[i*h*w:(i+1)*h*w], before[i*h*w:(i+1)*h*w])
		}
		shifts[shift]++
	}
	if len(shifts) != 50 {
		t.Errorf("300 images take %d of the 50 places", len(shifts))
	}
	// The same for any order and size of batches, after loading, and other in another epoch.
	shuffled := data.Permutation(1, 0, n)
	equalTables(t, "another batch", augment(reload(t, p), shuffled[:37], 0), first.Gather(shuffled[:37]))
	second := augment(p, all, 1)
	if slices.Equal(data.Values[float32](second.Columns[0]), after) {
		t.Error("two epochs are the same")
	}
	_, ds := tryFit(t, in, prep.Options{Backend: reference.New()}, transform("random_flip", nil), transform("rescale", []string{"image"}, "scale", 2.0))
	says(t, ds, "after_augmentation", "random_flip", "last")
}

// shiftOf finds how an image was moved and whether it was mirrored.
func shiftOf(from, to []float32, h, w, most int) ([3]int, bool) {
	for flip := range 2 {
		for dy := -most; dy <= most; dy++ {
			for dx := -most; dx <= most; dx++ {
				same := true
				for y := range h {
					for x := range w {
						at := x
						if flip == 1 {
							at = w - 1 - x
						}
						want := float32(0)
						if y+dy >= 0 && y+dy < h && at+dx >= 0 && at+dx < w {
							want = from[(y+dy)*w+at+dx]
						}
						same = same && to[y*w+x] == want
					}
				}
				if same {
					return [3]int{flip, dy, dx}, true
				}
			}
		}
	}
	return [3]int{}, false
}

func TestColumns(t *testing.T) {
	in := table(t, data.NewColumn("a1", nil, []float64{1, 2, 3}), data.StringsOf("w", []string{"x", "y", "x"}), data.NewColumn("a2", nil, []float64{4, 5, 7}),
		data.NewColumn("b", nil, []float64{1, 1, 1}), data.NewColumn("y", nil, []int64{0, 1, 0}), data.NewColumn("weight", nil, []float64{1, 1, 2}))
	o := prep.Options{Targets: []string{"y"}, Aside: []string{"weight", ""}}
	for _, test := range []struct {
		about string
		p     *prep.Pipeline
		want  string
		needs string
	}{
		{"select keeps targets and weights", fit(t, in, o, transform("select", []string{"a*"})), "[a1: f32 a2: f32 y: i64 weight: f32]", "[]"},
		{"select drops", fit(t, in, o, transform("select", []string{"b", "w"}, "mode", "drop")), "[a1: f32 a2: f32 y: i64 weight: f32]", "[]"},
		{"columns stay in their places, new ones follow", fit(t, in, o, transform("pca", []string{"a*"}, "n_components", 1)), "[w: string pca: f32[1] b: f32 y: i64 weight: f32]", "[a1 a2]"},
		{"what is dropped later is needed where it is computed from", fit(t, in, o, transform("log1p", []string{"a1", "b"}), transform("select", []string{"a1"})), "[a1: f32 y: i64 weight: f32]", "[a1 b]"},
		{"numbers without targets and weights are chosen", fit(t, in, o, transform("variance_threshold", nil)), "[a1: f32 w: string a2: f32 y: i64 weight: f32]", "[]"},
		{"copies are needed as what they are of", fit(t, in, o, transform("copy", []string{"a1", "w"}, "suffix", "_2"), transform("select", []string{"a1", "w"}, "mode", "drop"), transform("bucketize", []string{"a1_2"}, "n_bins", 2)),
			"[a1_2: f32[2] w_2: string a2: f32 b: f32 y: i64 weight: f32]", "[a1]"},
		{"text is chosen", fit(t, in, o, transform("one_hot", nil)), "[a1: f32 w: f32[2] a2: f32 b: f32 y: i64 weight: f32]", "[w]"},
		{"targets and weights by name", fit(t, in, o, transform("rescale", []string{"y", "weight"}, "scale", 2)), "[a1: f32 w: string a2: f32 b: f32 y: f32 weight: f32]", "[weight]"},
	} {
		for _, p := range []*prep.Pipeline{test.p, reload(t, test.p)} {
			if got := fmt.Sprint(p.Outputs()); got != test.want {
				t.Errorf("%s: %v, wanted %v", test.about, got, test.want)
			}
			if got := fmt.Sprint(apply(t, p, prep.Train, in).Schema()); got != test.want {
				t.Errorf("%s: the table has %v, wanted %v", test.about, got, test.want)
			}
			if got := fmt.Sprint(p.Inputs().Names()); got != test.needs {
				t.Errorf("%s: needs %v, wanted %v", test.about, got, test.needs)
			}
		}
	}
	words := table(t, data.StringsOf("v", []string{"1.5", " 2e1", "none"}))
	p := fit(t, words, prep.Options{}, transform("parse_number", nil), transform("impute", nil, "strategy", "constant", "fill_value", -1))
	if got := fmt.Sprint(data.Values[float32](apply(t, p, prep.Predict, words).Columns[0])); got != "[1.5 20 -1]" {
		t.Errorf("parsed %s", got)
	}
	_, ds := tryFit(t, words, prep.Options{}, transform("parse_number", nil, "strict", true))
	says(t, ds, "not_a_number", `"none"`, "row 3")
}

// TestQuantileMemory fits with less memory than exact quantiles would take.
func TestQuantileMemory(t *testing.T) {
	n := 12 * data.ChunkRows
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i * 7919 % n)
	}
	in := table(t, data.NewColumn("x", nil, v))
	p := fit(t, chunksOnly{in}, prep.Options{ExactValues: 1 << 14, Float64: true}, transform("impute", nil, "strategy", "median"), transform("robust", nil))
	out := apply(t, p, prep.Predict, table(t, data.NewColumn("x", nil, []float64{float64(n) / 2, float64(n) * 3 / 4})))
	got := data.Values[float64](out.Columns[0])
	if got[0] < -0.01 || got[0] > 0.01 || got[1] < 0.49 || got[1] > 0.51 {
		t.Errorf("the median and the third quartile become %v", got)
	}
}
