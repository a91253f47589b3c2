//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hone-ml/hone/modelfmt"
)

// crashSpec keeps checkpoints by every rule, as differences, with everything in
// the training that draws or remembers.
const crashSpec = `
data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
}
model "net" {
  input "image" {}
  layer "flatten" "flat" {}
  layer "dense" "hidden" {
    units      = 24
    activation = "relu"
  }
  layer "batch_norm" "norm" {}
  layer "dropout" "drop" {
    rate = 0.2
  }
  layer "dense" "logits" {
    units = 10
  }
}
train {
  epochs           = 30
  batch_size       = 64
  validation_split = 0.2
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate "cosine_decay" {
      initial_learning_rate = 0.01
    }
  }
  checkpoint {
    keep       = 2
    keep_every = 8
    full_every = 3
    best {
      keep = 2
    }
  }
}
`

// trainer runs hone train in a process of its own, going on where m.hone stands.
type trainer struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	errs  *bytes.Buffer
	told  int // the last epoch that it called durable
}

func startTraining(t *testing.T, spec, dir string) *trainer {
	t.Helper()
	out := filepath.Join(dir, "m.hone")
	args := []string{"train", spec, "--out", out, "--json", "--threads", "1"}
	if _, err := os.Stat(out); err == nil {
		args = append(args, "--resume", out)
	}
	c := &trainer{cmd: exec.Command(os.Args[0], args...), errs: &bytes.Buffer{}}
	c.cmd.Env = append(os.Environ(), asCommand+"=1")
	c.cmd.Stderr = c.errs
	pipe, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(pipe)
	c.lines.Buffer(nil, 1<<20)
	return c
}

// hear reads one event; a line that a kill has cut is none.
func (c *trainer) hear() bool {
	if !c.lines.Scan() {
		return false
	}
	var e struct {
		Event, Kind string
		Epoch       int
	}
	if err := json.Unmarshal(c.lines.Bytes(), &e); err == nil && e.Event == "checkpoint" && e.Kind == "last" {
		c.told = e.Epoch
	}
	return true
}

func (c *trainer) finish() error {
	for c.hear() {
	}
	return c.cmd.Wait()
}

// checkpoints opens every checkpoint of a folder, each with its base from there,
// checks every byte, and returns the tensors by file and name.
func checkpoints(t *testing.T, dir string) map[string]map[string][]byte {
	t.Helper()
	out := map[string]map[string][]byte{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.hone"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		r, err := modelfmt.OpenWith(path, modelfmt.ReaderOptions{Base: modelfmt.BaseFolder(dir)})
		if err == nil {
			err = r.VerifyDeep(context.Background(), nil)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		tensors := map[string][]byte{}
		for _, i := range r.Tensors() {
			if tensors[i.Name], err = r.ReadTensor(i.Name, nil); err != nil {
				t.Fatal(err)
			}
		}
		out[filepath.Base(path)] = tensors
		r.Close()
	}
	return out
}

func epochOf(t *testing.T, path string) int {
	t.Helper()
	r, err := modelfmt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var state struct{ Epoch int }
	if _, err := r.Section("run", &state); err != nil {
		t.Fatal(err)
	}
	return state.Epoch
}

// TestTrainingCrashLoop kills hone train with SIGKILL at random moments, most of
// them while it saves, and lets it go on from what it left. Whenever it is killed
// all that it left opens, and is no older than what it called durable; at the end
// of each run all files are those of an unbroken one, to the bit, and there are no
// others. HONE_CRASHES sets how often it kills.
func TestTrainingCrashLoop(t *testing.T) {
	crashes := 4
	if v := os.Getenv("HONE_CRASHES"); v != "" {
		var err error
		if crashes, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	spec := filepath.Join(root, "crash.hone.hcl")
	if err := os.WriteFile(spec, []byte(crashSpec), 0o644); err != nil {
		t.Fatal(err)
	}
	unbroken := t.TempDir()
	ref := startTraining(t, spec, unbroken)
	if err := ref.finish(); err != nil {
		t.Fatalf("%v\n%s", err, ref.errs)
	}
	want := checkpoints(t, unbroken)
	names := func(dir string) []string {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range list {
			out = append(out, d.Name())
		}
		return out
	}

	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	killed, writing, rounds := 0, 0, 0
	for ; killed < crashes; rounds++ {
		dir := t.TempDir()
		out := filepath.Join(dir, "m.hone")
		told := 0
		for {
			c := startTraining(t, spec, dir)
			more := true
			if killed < crashes {
				// From the first save on, after some events, within a save or two.
				for n := 1 + rng.IntN(12); more && n > 0; n-- {
					more = c.hear()
				}
				time.Sleep(time.Duration(rng.IntN(8_000)) * time.Microsecond)
				if more {
					if err := c.cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			err := c.finish()
			told = max(told, c.told)
			if err == nil {
				break // it was done before the kill
			}
			if c.cmd.ProcessState.Exited() {
				t.Fatalf("hone train failed: %v\n%s", err, c.errs)
			}
			killed++
			checkpoints(t, dir)
			if told > 0 {
				if e := epochOf(t, out); e < told {
					t.Fatalf("epoch %d was durable, and the checkpoint is of epoch %d", told, e)
				}
			}
			if slices.ContainsFunc(names(dir), func(n string) bool { return strings.Contains(n, ".tmp-") }) {
				writing++
			}
		}
		if got, want := names(dir), names(unbroken); !slices.Equal(got, want) {
			t.Errorf("the broken run left %v, the unbroken one %v", got, want)
		}
		for name, tensors := range checkpoints(t, dir) {
			if len(tensors) != len(want[name]) {
				t.Errorf("%s has %d tensors, and %d in the unbroken run", name, len(tensors), len(want[name]))
			}
			for k, v := range tensors {
				if !bytes.Equal(v, want[name][k]) {
					t.Errorf("%s: tensor %s has other bits than in the unbroken run", name, k)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills in %d runs, %d of them while a file was being written; %d checkpoints each", killed, rounds, writing, len(want))
}
