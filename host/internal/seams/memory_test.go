package seams

// A CSV larger than memory fits and trains.
//
// The file's table would take 72 MiB, and with the arrays made of it more than twice
// that. A process of its own may use 8 MiB for examples; the peak of its memory, as
// the system counts it, stays below what the table alone would take.
//
//	GOMEMLIMIT=48MiB hone train spec --data-memory 8MiB

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

const memorySpec = `
data "csv" "wide" {
  path   = FILE
  target = "y"
  transform "impute" {
    columns = ["x*"]
  }
  transform "standardize" {
    columns = ["x*"]
  }
  transform "one_hot" {
    columns = ["word"]
  }
  split {
    validation = 0.1
  }
}
model "linear" {
  input "features" {
    columns = ["*"]
  }
  layer "dense" "out" {
    units = 2
  }
}
train {
  epochs     = 1
  batch_size = 2048
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate = 0.02
  }
  metrics = ["accuracy"]
}
`

const (
	memoryRows    = 500_000
	memoryColumns = 19
)

// writeWide writes the file row by row; y follows from x0.
func writeWide(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range memoryColumns {
		fmt.Fprintf(w, "x%d,", i)
	}
	fmt.Fprintln(w, "word,y")
	x := uint32(1)
	var line []byte
	for range memoryRows {
		line = line[:0]
		first := uint32(0)
		for i := range memoryColumns {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			if i == 0 {
				first = x % 10
			}
			if x%97 != 0 || i == 0 {
				line = strconv.AppendUint(line, uint64(x%10), 10)
			}
			line = append(line, '.', '5', ',')
			if x%97 == 0 && i > 0 {
				line = append(line[:len(line)-3], ',')
			}
		}
		line = append(line, "wxyz"[first%4], ',', '0'+byte(first/5), '\n')
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// peakMemory returns the most bytes that this process has had in memory.
func peakMemory(t *testing.T) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the system does not say")
	return 0
}

func TestLargerThanMemory(t *testing.T) {
	const variable = "HONE_PROBE_FILE"
	if path := os.Getenv(variable); path != "" {
		before := peakMemory(t)
		p := project(t, strings.Replace(memorySpec, "FILE", strconv.Quote(path), 1), "", host.Options{Backend: "cpu", DataMemory: 8 << 20})
		_, r, _ := train(t, p, host.TrainOptions{})
		fmt.Printf("peak %d %d accuracy %v\n", before, peakMemory(t), r.Metrics["val_accuracy"])
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("the peak of a process's memory is read as Linux tells it")
	}
	if testing.Short() {
		t.Skip("writes and reads 30 MB several times")
	}
	path := filepath.Join(t.TempDir(), "wide.csv")
	writeWide(t, path)
	cmd := exec.Command(os.Args[0], "-test.run=^TestLargerThanMemory$")
	cmd.Env = append(os.Environ(), variable+"="+path, "GOMEMLIMIT=48MiB")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var before, peak int64
	var accuracy float64
	for line := range strings.Lines(string(out)) {
		fmt.Sscanf(line, "peak %d %d accuracy %g", &before, &peak, &accuracy)
	}
	const table = memoryRows * memoryColumns * 8
	t.Logf("a table of %d MiB, %d MiB before and %d at the peak, accuracy %.3f", table>>20, before>>20, peak>>20, accuracy)
	if peak == 0 || peak > before+table {
		t.Errorf("the process took %d MiB, of which %d before it read anything; the table would take %d", peak>>20, before>>20, table>>20)
	}
	if accuracy < 0.9 {
		t.Errorf("the accuracy is %v: the rows were not learned from", accuracy)
	}
}
