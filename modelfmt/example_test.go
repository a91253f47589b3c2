package modelfmt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hone-ml/hone/modelfmt"
)

func tempPath(name string) (path string, done func()) {
	dir, err := os.MkdirTemp("", "modelfmt")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, name), func() { os.RemoveAll(dir) }
}

func Example() {
	path, done := tempPath("model.hone")
	defer done()

	w, err := modelfmt.Create(path, modelfmt.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort() // does nothing after Commit
	w.SetManifest("train", json.RawMessage(`{"step": 1200}`))
	w.AddBlob("module", []byte("the graph"))
	err = w.AddTensor(modelfmt.TensorInfo{Name: "dense.bias", DType: modelfmt.F32, Shape: []int{2}, Role: "param"},
		[]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		log.Fatal(err)
	}

	r, err := modelfmt.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	b, err := r.ReadTensor("dense.bias", nil)
	if err != nil {
		log.Fatal(err)
	}
	var train struct{ Step int }
	r.Section("train", &train)
	fmt.Println(train.Step, modelfmt.F32.Float(b), modelfmt.F32.Float(b[4:]))
	_, err = r.ReadTensor("dense.bais", nil)
	fmt.Println(err)
	// Output:
	// 1200 1 -2
	// checkpoint has no tensor "dense.bais": did you mean "dense.bias"?
}

func ExampleReader_ReadRows() {
	path, done := tempPath("model.hone")
	defer done()
	w, err := modelfmt.Create(path, modelfmt.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	w.AddTensor(modelfmt.TensorInfo{Name: "table", DType: modelfmt.U8, Shape: []int{3, 2}}, []byte{1, 2, 3, 4, 5, 6})
	if err := w.Commit(); err != nil {
		log.Fatal(err)
	}
	r, err := modelfmt.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	rows, err := r.ReadRows("table", 1, 3, nil)
	fmt.Println(rows, err)
	fmt.Println(r.VerifyDeep(context.Background(), nil))
	// Output:
	// [3 4 5 6] <nil>
	// <nil>
}

func ExampleAsyncWriter() {
	path, done := tempPath("last.hone")
	defer done()
	a := modelfmt.NewAsyncWriter(func(s modelfmt.Saved) {
		if s.Err != nil {
			log.Println("the checkpoint was not written:", s.Err)
		}
	})
	weights := make([]byte, 4)
	for step := range 3 {
		weights[0] = byte(step) // training
		s := a.Snapshot()       // waits only for the save before
		s.AddTensor(modelfmt.TensorInfo{Name: "w", DType: modelfmt.U8, Shape: []int{4}}, weights)
		s.Save(path, modelfmt.WriterOptions{})
	}
	fmt.Println(a.Wait())
	r, err := modelfmt.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(r.ReadTensor("w", nil))
	// Output:
	// <nil>
	// [2 0 0 0] <nil>
}

func ExampleRetention_Remove() {
	var saved []modelfmt.Kept
	for step := int64(1); step <= 6; step++ {
		saved = append(saved, modelfmt.Kept{Path: fmt.Sprintf("step-%d.hone", step), Step: step, Score: float64(10 - step%4)})
	}
	rule := modelfmt.Retention{Last: 1, Best: 1, Every: 3}
	for _, k := range rule.Remove(saved) {
		fmt.Println(k.Path)
	}
	// Output:
	// step-5.hone
	// step-2.hone
	// step-1.hone
}
