package digits

import (
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
)

// The numbers are those of scikit-learn's load_digits: its shape, the sum of
// all pixels, the sum of squares, the examples of each class, and the first row.
func TestLoad(t *testing.T) {
	tab, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tab.Rows() != 1797 || len(tab.Columns) != 2 {
		t.Fatalf("%d rows, %v", tab.Rows(), tab.Schema())
	}
	if got := tab.Schema()[0].String(); got != "image: u8[8, 8]" {
		t.Errorf("got %s", got)
	}
	pixels := data.Values[uint8](tab.Column("image"))
	var sum, squares int
	for _, p := range pixels {
		sum += int(p)
		squares += int(p) * int(p)
	}
	if sum != 561718 || squares != 6907012 {
		t.Errorf("the pixels sum up to %d, their squares to %d", sum, squares)
	}
	var classes [10]int
	for _, l := range data.Values[uint8](tab.Column("label")) {
		classes[l]++
	}
	if want := [10]int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}; classes != want {
		t.Errorf("classes %v, want %v", classes, want)
	}
	if string(pixels[:8]) != string([]byte{0, 0, 5, 13, 9, 1, 0, 0}) {
		t.Errorf("the first row of the first image is %v", pixels[:8])
	}
}
