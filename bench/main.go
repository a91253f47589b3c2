// Command bench runs hone and its peers (JAX, PyTorch, Keras) in turn on the
// same work and prints the ratios of the medians:
//
//	go run ./bench -mnist FOLDER -peers FOLDER -python PYTHON [-rounds 5] [mlp cnn]
//
// The peers' scripts print one JSON line with examples a second (per_s). A peer
// whose script or modules are missing is skipped, and the output says so.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hone-ml/hone/kernels/cpu"
)

// works are what can be compared, with the spec that hone trains.
var works = map[string]string{
	"mlp": "examples/mnist-mlp",
	"cnn": "examples/mnist-cnn",
}

type bench struct {
	mnist, peers, python string
	epochs, rounds       int
	limit                time.Duration
	hone                 string // the binary
	skipped              map[string]bool
}

func main() {
	log.SetFlags(0)
	var b bench
	flag.StringVar(&b.mnist, "mnist", os.Getenv("HONE_MNIST"), "folder of the MNIST files")
	flag.StringVar(&b.peers, "peers", "", "folder of the peers' scripts; none: hone alone")
	flag.StringVar(&b.python, "python", "python3", "interpreter that has the peers' modules")
	flag.IntVar(&b.epochs, "epochs", 5, "epochs of a run")
	flag.IntVar(&b.rounds, "rounds", 5, "runs of each, in turn")
	flag.DurationVar(&b.limit, "limit", 10*time.Minute, "longest run")
	flag.Parse()
	if err := b.run(context.Background(), flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func (b *bench) run(ctx context.Context, names []string) error {
	if b.mnist == "" {
		return errors.New("-mnist FOLDER names the MNIST files")
	}
	if len(names) == 0 {
		names = []string{"mlp", "cnn"}
	}
	for _, n := range names {
		if works[n] == "" {
			return fmt.Errorf("there is no work %q; there are mlp and cnn", n)
		}
	}
	b.skipped = map[string]bool{}
	dir, err := os.MkdirTemp("", "hone-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.hone = filepath.Join(dir, "hone")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.hone, "./cmd/hone").CombinedOutput(); err != nil {
		return fmt.Errorf("building hone: %w\n%s", err, out)
	}
	if err := b.machine(); err != nil {
		return err
	}
	for _, n := range names {
		if err := b.compare(ctx, n, dir); err != nil {
			return err
		}
	}
	return nil
}

// machine prints what the figures belong to.
func (b *bench) machine() error {
	c, err := cpu.New(cpu.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Printf("%s, %d threads, %s kernels, peak %.1f GFLOP/s a core (calibrated)\n", processor(), runtime.GOMAXPROCS(0), c.Variant(), c.Peak()/1e9)
	return nil
}

// processor returns the processor's own name where the system tells it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

// compare runs one work in rounds, each runner once a round.
func (b *bench) compare(ctx context.Context, work, dir string) error {
	speeds := map[string][]float64{}
	var last []float64
	for round := range b.rounds {
		best, end, err := b.ours(ctx, work, filepath.Join(dir, fmt.Sprint(work, round)))
		if err != nil {
			return err
		}
		speeds["hone"] = append(speeds["hone"], best)
		last = append(last, end)
		for _, peer := range []string{"jax", "torch", "keras"} {
			if b.peers == "" || b.skipped[peer+work] {
				continue
			}
			v, err := b.peer(ctx, peer, work)
			if err != nil {
				b.skipped[peer+work] = true
				fmt.Printf("%s: %s is skipped: %v\n", work, peer, err)
				continue
			}
			speeds[peer] = append(speeds[peer], v)
		}
	}
	ours := median(speeds["hone"])
	fmt.Printf("%s: hone %.0f examples/s in the best epoch, %.0f in the last (medians of %d)\n", work, ours, median(last), b.rounds)
	for _, peer := range []string{"jax", "torch", "keras"} {
		if v := speeds[peer]; len(v) > 0 {
			fmt.Printf("%s: %s %.0f examples/s; hone is %.2fx (runs %s)\n", work, peer, median(v), ours/median(v), join(v))
		}
	}
	return nil
}

// ours trains with hone and returns the examples a second of the best epoch
// after the first, and of the last.
func (b *bench) ours(ctx context.Context, work, out string) (best, last float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.hone, "train", works[work], "--var", "mnist="+b.mnist, "--json", "--out", out)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("hone train %s: %w\n%s", works[work], err, stderr.String())
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
		var e struct {
			Event string  `json:"event"`
			Epoch int     `json:"epoch"`
			Speed float64 `json:"examples_per_second"`
		}
		if json.Unmarshal(line, &e) != nil || e.Event != "epoch" {
			continue
		}
		if e.Epoch > 1 {
			best = max(best, e.Speed)
		}
		last = e.Speed
	}
	if last == 0 {
		return 0, 0, fmt.Errorf("hone train %s told of no epoch", works[work])
	}
	return best, last, nil
}

// peer runs a peer's script.
func (b *bench) peer(ctx context.Context, peer, work string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	script := peer + "_peer.py"
	if _, err := os.Stat(filepath.Join(b.peers, script)); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, b.python, script, work)
	cmd.Dir = b.peers
	cmd.Env = append(os.Environ(), "EPOCHS="+strconv.Itoa(b.epochs), "MNIST="+b.mnist)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return 0, fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	var r struct {
		Speed float64 `json:"per_s"`
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil || r.Speed <= 0 {
		return 0, fmt.Errorf("%s printed no examples a second", script)
	}
	return r.Speed, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func join(v []float64) string {
	s := make([]string, len(v))
	for i, x := range v {
		s[i] = fmt.Sprintf("%.0f", x)
	}
	return strings.Join(s, " ")
}
