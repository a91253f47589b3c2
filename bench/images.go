package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/sdk/graph"
)

// network is a training on random images, and prediction by what it has trained.
type network struct {
	side    int
	body    string // layers, in HCL
	peers   []string
	macs    int // as of a work
	predict bool
}

const wholeNetwork = `
  layer %q "body" {
    include_top = false
    pooling     = "avg"
  }`

// networks are the trainings on random images, batch 8.
var networks = map[string]network{
	"vgg16":    {side: 224, body: fmt.Sprintf(wholeNetwork, "vgg16"), peers: []string{"torch", "keras"}, macs: 46004e6, predict: true},
	"resnet50": {side: 224, body: fmt.Sprintf(wholeNetwork, "resnet50"), peers: []string{"torch", "keras"}, macs: 11573e6, predict: true},
	// Odd sizes and numbers of channels, which no kernel was tuned for.
	"heldoutcnn": {side: 61, macs: 2*57*59*45*5*3*3 + 3*(28*29*75*9*45+13*14*91*9*75+91*10), body: `
  layer "conv2d" "a" {
    filters     = 45
    kernel_size = [5, 3]
    activation  = "relu"
  }
  layer "max_pooling2d" "pool" {
    pool_size = [3, 3]
    strides   = [2, 2]
  }
  layer "conv2d" "b" {
    filters     = 75
    kernel_size = [3, 3]
    padding     = "same"
  }
  layer "batch_norm" "norm" {}
  layer "relu" "relu" {}
  layer "conv2d" "c" {
    filters     = 91
    kernel_size = [3, 3]
    strides     = [2, 2]
  }
  layer "global_average_pooling2d" "mean" {}`},
}

var spec = template.Must(template.New("spec").Parse(`
data "npz" "images" {
  path    = "images.npz"
  targets = ["label"]
}
model "network" {
  input "image" {
    shape = [{{.Side}}, {{.Side}}, 3]
  }{{.Body}}
  layer "dense" "logits" {
    units = 10
  }
}
train {
  epochs     = {{.Epochs}}
  batch_size = 8
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {}
  metrics = ["accuracy"]
  # The peers write no checkpoints; the last one is written when all is measured.
  checkpoint {
    every = 1000
  }
}
`))

// images compares the training of a network, then its predictions.
func (b *bench) images(ctx context.Context, name, dir string) error {
	n := networks[name]
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeImages(filepath.Join(dir, "images.npz"), 16, n.side); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := spec.Execute(&text, map[string]any{"Side": n.side, "Body": n.body, "Epochs": b.epochs}); err != nil {
		return err
	}
	path := filepath.Join(dir, "network.hone.hcl")
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return err
	}
	works[name] = work{spec: path, macs: n.macs, peers: n.peers}
	if err := b.compare(ctx, name, dir); err != nil {
		return err
	}
	if !n.predict {
		return nil
	}
	return b.predictions(ctx, name, filepath.Join(dir, fmt.Sprint(name, 0)), n)
}

// predictions compares predicting 8 images at once, and prints what one takes.
func (b *bench) predictions(ctx context.Context, name, checkpoint string, n network) error {
	m, err := host.Open(checkpoint, host.Options{})
	if err != nil {
		return err
	}
	defer m.Close()
	for _, count := range []int{8, 1} {
		x := graph.NewTensor(graph.F32, int64(count), int64(n.side), int64(n.side), 3)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range x.Len() {
			x.SetFloat(i, r.NormFloat64())
		}
		best := time.Duration(1<<63 - 1)
		for range 2 + 4 {
			start := time.Now()
			if _, err := m.Predict(ctx, map[string]*host.Tensor{"image": x}); err != nil {
				return err
			}
			best = min(best, time.Since(start))
		}
		ours := float64(count) / best.Seconds()
		fmt.Printf("%s, predicting %d at once: hone %.2f examples/s (fastest of 6)\n", name, count, ours)
		if count != 8 || b.peers == "" {
			continue
		}
		for _, peer := range [][]string{{"torch"}, {"torch", "compile"}, {"keras"}} {
			v, err := b.peer(ctx, peer[0], name+"-infer", peer[1:]...)
			if err != nil {
				fmt.Printf("%s, predicting: %s is skipped: %v\n", name, strings.Join(peer, " "), err)
				continue
			}
			fmt.Printf("%s, predicting 8 at once: %s %.2f examples/s; hone is %.2fx\n", name, strings.Join(peer, " "), v, ours/v)
		}
	}
	return nil
}

// writeImages writes random images, and labels out of 10 classes, as NumPy does.
func writeImages(path string, n, side int) error {
	r := rand.New(rand.NewPCG(1, 2))
	images, labels := make([]float32, n*side*side*3), make([]int32, n)
	for i := range images {
		images[i] = float32(r.NormFloat64())
	}
	for i := range labels {
		labels[i] = r.Int32N(10)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	write := func(name, descr, shape string, data any) error {
		w, err := z.Create(name + ".npy")
		if err != nil {
			return err
		}
		header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
		header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
		if _, err := fmt.Fprintf(w, "\x93NUMPY\x01\x00%c%c%s", len(header)&255, len(header)>>8, header); err != nil {
			return err
		}
		return binary.Write(w, binary.LittleEndian, data)
	}
	if err := write("image", "<f4", fmt.Sprintf("%d, %d, %d, 3", n, side, side), images); err != nil {
		return err
	}
	if err := write("label", "<i4", fmt.Sprintf("%d,", n), labels); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
