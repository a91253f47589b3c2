// Command bench runs hone and its peers (JAX, PyTorch, Keras) in turn on the
// same work and prints the ratios of the medians:
//
//	go run ./bench -mnist FOLDER -peers FOLDER -python PYTHON [-rounds 5] [mlp cnn widedeep heldout gemm latency vgg16 resnet50 heldoutcnn]
//
// Of each network it also prints which share of the calibrated peak the
// multiplications of the step reach. The peers' scripts print one JSON line with examples a second (per_s). A peer
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
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hone-ml/hone/kernels/cpu"
)

// work is a training that can be compared.
type work struct {
	spec  string // that hone trains
	macs  int    // multiply-adds of a training step for each example
	rows  bool   // on random rows instead of MNIST
	peers []string
}

// works are the trainings; gemm and latency are measured in their own ways. A
// layer multiplies forward and for both gradients, the first one for the
// weights' alone; convolutions as the direct sum does.
var works = map[string]work{
	"mlp":      {spec: "examples/mnist-mlp", macs: 2*784*128 + 3*128*10, peers: []string{"jax", "torch", "keras"}},
	"cnn":      {spec: "examples/mnist-cnn", macs: 2*26*26*32*9 + 3*(11*11*64*9*32+1600*64+64*10), peers: []string{"jax", "torch", "keras"}},
	"widedeep": {spec: "bench/wide-deep.hone.hcl", macs: 2*108*33 + 3*(32*64+64*128+128*256+256+4), rows: true, peers: []string{"torch", "keras"}},
	"heldout":  {spec: "bench/mlp-heldout.hone.hcl", macs: 2*784*200 + 3*(200*64+64*10)},
}

type bench struct {
	mnist, peers, python string
	epochs, rounds       int
	limit                time.Duration
	hone                 string // the binary
	skipped              map[string]bool
	rows                 string           // file of random rows, made when first asked for
	peak                 float64          // of all threads, operations a second
	memory               map[string]int64 // most resident memory of the last run, MiB, by runner
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
		names = []string{"mlp", "cnn", "widedeep", "heldout", "gemm", "latency"}
	}
	for _, n := range names {
		if works[n].spec == "" && networks[n].body == "" && n != "gemm" && n != "latency" {
			return fmt.Errorf("there is no work %q; there are mlp, cnn, widedeep, heldout, gemm, latency, vgg16, resnet50 and heldoutcnn", n)
		}
	}
	b.skipped, b.memory = map[string]bool{}, map[string]int64{}
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
		var err error
		switch n {
		case "gemm":
			err = b.products(ctx)
		case "latency":
			err = b.latency(ctx)
		case "vgg16", "resnet50", "heldoutcnn":
			err = b.images(ctx, n, dir)
		default:
			err = b.compare(ctx, n, dir)
		}
		if err != nil {
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
	b.peak = c.Peak() * float64(runtime.GOMAXPROCS(0))
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
		for _, peer := range works[work].peers {
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
	fmt.Printf("%s: hone %.4g examples/s in the best epoch, %.4g in the last (medians of %d)\n", work, ours, median(last), b.rounds)
	if n := works[work].macs; b.peak > 0 {
		fmt.Printf("%s: the multiplications are %.0f%% of the calibrated peak\n", work, 100*2*float64(n)*ours/b.peak)
	}
	for _, peer := range works[work].peers {
		if v := speeds[peer]; len(v) > 0 {
			if ours, theirs := b.memory["hone"], b.memory[peer]; ours > 0 && theirs > 0 {
				fmt.Printf("%s: most resident memory: hone %d MiB, %s %d MiB; hone has %.2fx\n", work, ours, peer, theirs, float64(ours)/float64(theirs))
			}
			fmt.Printf("%s: %s %.4g examples/s; hone is %.2fx (runs %s)\n", work, peer, median(v), ours/median(v), join(v))
		}
	}
	return nil
}

// ours trains with hone and returns the examples a second of the best epoch
// after the first, and of the last.
func (b *bench) ours(ctx context.Context, work, out string) (best, last float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	spec, data := works[work].spec, "mnist="+b.mnist
	if networks[work].body == "" {
		epochs := b.epochs
		if works[work].rows {
			epochs = 3 // whatever the peers are told
		}
		if spec, err = asPeers(spec, filepath.Dir(out), epochs); err != nil {
			return 0, 0, err
		}
	}
	if works[work].rows {
		if err := b.randomRows(filepath.Dir(out)); err != nil {
			return 0, 0, err
		}
		data = "rows=" + b.rows
	}
	arguments := []string{"train", spec, "--json", "--out", out}
	if networks[work].body == "" {
		arguments = append(arguments, "--var", data)
	}
	cmd := exec.CommandContext(ctx, b.hone, arguments...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("hone train %s: %w\n%s", works[work].spec, err, stderr.String())
	}
	b.memory["hone"] = residentMiB(cmd.ProcessState)
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
		return 0, 0, fmt.Errorf("hone train %s told of no epoch", works[work].spec)
	}
	return best, last, nil
}

var (
	epochsOf = regexp.MustCompile(`(?m)^\s*epochs\s*=.*$`)
	trainOf  = regexp.MustCompile(`(?m)^train \{$`)
)

// asPeers writes a copy of a spec, a file or the one in a folder, that trains as
// the peers do: for as many epochs, and with no checkpoint before the last.
func asPeers(spec, dir string, epochs int) (string, error) {
	if info, err := os.Stat(spec); err != nil {
		return "", err
	} else if info.IsDir() {
		spec = filepath.Join(spec, filepath.Base(spec)+".hone.hcl")
	}
	text, err := os.ReadFile(spec)
	if err != nil {
		return "", err
	}
	if !epochsOf.Match(text) || !trainOf.Match(text) {
		return "", fmt.Errorf("%s has no epochs in a block train", spec)
	}
	text = epochsOf.ReplaceAll(text, fmt.Appendf(nil, "  epochs = %d", epochs))
	text = trainOf.ReplaceAll(text, []byte("train {\n  checkpoint {\n    every = 1000\n  }"))
	path := filepath.Join(dir, filepath.Base(spec))
	return path, os.WriteFile(path, text, 0o644)
}

// peer runs a peer's script and returns its examples a second.
func (b *bench) peer(ctx context.Context, peer, work string, more ...string) (float64, error) {
	r, err := b.script(ctx, peer, append([]string{work}, more...))
	if err != nil {
		return 0, err
	}
	v, _ := r["per_s"].(float64)
	if v <= 0 {
		return 0, fmt.Errorf("%s printed no examples a second", peer)
	}
	return v, nil
}

// script runs a peer's script and returns what it prints.
func (b *bench) script(ctx context.Context, peer string, arguments []string, env ...string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	script := peer + "_peer.py"
	if _, err := os.Stat(filepath.Join(b.peers, script)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.python, append([]string{script}, arguments...)...)
	cmd.Dir = b.peers
	cmd.Env = append(os.Environ(), "EPOCHS="+strconv.Itoa(b.epochs), "MNIST="+b.mnist)
	cmd.Env = append(cmd.Env, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	b.memory[peer] = residentMiB(cmd.ProcessState)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var out map[string]any
	if err := json.Unmarshal(lines[len(lines)-1], &out); err != nil {
		return nil, fmt.Errorf("%s printed no JSON: %w", script, err)
	}
	return out, nil
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
		s[i] = fmt.Sprintf("%.4g", x)
	}
	return strings.Join(s, " ")
}
