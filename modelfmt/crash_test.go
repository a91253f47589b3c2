//go:build unix

package modelfmt

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The crash test kills a process that saves a state again and again, at random
// moments, and starts it anew from what it left. HONE_CRASHES sets how often; the
// child is this test binary, told by HONE_CRASH_CHILD what to save.

const crashElements = 50_000

// crashState is a stand-in for training: each step depends on the last.
type crashState struct {
	step int64
	data []byte
}

func newCrashState() *crashState { return &crashState{data: make([]byte, 4*crashElements)} }

func (s *crashState) advance() {
	s.step++
	rng := rand.New(rand.NewPCG(uint64(s.step), uint64(s.data[0])+1))
	for i := range s.data {
		if i%4 >= 2 || rng.IntN(2) == 0 {
			s.data[i] += byte(rng.Uint32()) & 15
		}
	}
}

func (s *crashState) save(path string, lock *Lock) error {
	w, err := Create(path, WriterOptions{Lock: lock})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.SetManifest("step", json.RawMessage(fmt.Sprint(s.step))); err != nil {
		return err
	}
	if err := w.AddTensor(TensorInfo{Name: "w", DType: F32, Shape: []int{crashElements}}, s.data); err != nil {
		return err
	}
	return w.Commit()
}

func loadCrashState(path string) (*crashState, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.VerifyDeep(context.Background(), nil); err != nil {
		return nil, err
	}
	s := newCrashState()
	if _, err := r.Section("step", &s.step); err != nil {
		return nil, err
	}
	s.data, err = r.ReadTensor("w", s.data)
	return s, err
}

// crashChild saves every step up to the last, and tells of each that is durable.
func crashChild(path string, last int64) error {
	lock, err := LockPath(path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	s, err := loadCrashState(path)
	if os.IsNotExist(unwrapAll(err)) {
		s, err = newCrashState(), nil
	}
	if err != nil {
		return err
	}
	for s.step < last {
		s.advance()
		if err := s.save(path, lock); err != nil {
			return err
		}
		fmt.Println("saved", s.step)
	}
	return nil
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestCrashLoop(t *testing.T) {
	if spec := os.Getenv("HONE_CRASH_CHILD"); spec != "" {
		path, last, _ := strings.Cut(spec, "|")
		n, _ := strconv.ParseInt(last, 10, 64)
		if err := crashChild(path, n); err != nil {
			fmt.Println("child failed:", err)
			t.Fatal(err)
		}
		return
	}
	crashes := 8
	if v := os.Getenv("HONE_CRASHES"); v != "" {
		var err error
		if crashes, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "m.hone")
	child := func(last int64) (*exec.Cmd, *bufio.Scanner) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashLoop$", "-test.count=1")
		cmd.Env = append(os.Environ(), fmt.Sprintf("HONE_CRASH_CHILD=%s|%d", path, last), "GOMAXPROCS=2")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, bufio.NewScanner(out)
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var told int64 // the last step that a child called durable
	// hear reads one line of a child, and reports whether it told of a save.
	hear := func(lines *bufio.Scanner) (saved, more bool) {
		if !lines.Scan() {
			return false, false
		}
		if strings.HasPrefix(lines.Text(), "child failed") {
			t.Fatal(lines.Text())
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(lines.Text(), "saved "), 10, 64)
		if err == nil {
			told = n
		}
		return err == nil, true
	}
	listen := func(lines *bufio.Scanner) {
		for more := true; more; {
			_, more = hear(lines)
		}
	}
	during := 0
	for range crashes {
		cmd, lines := child(1 << 40)
		// Wait for the first save, and then for a moment within a save or two.
		for saved, more := false, true; more && !saved; {
			saved, more = hear(lines)
		}
		time.Sleep(time.Duration(rng.IntN(12_000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		listen(lines)
		cmd.Wait()
		s, err := loadCrashState(path)
		if err != nil {
			t.Fatalf("after a kill the checkpoint does not open: %v", err)
		}
		if s.step < told {
			t.Fatalf("step %d was durable, and the checkpoint has %d", told, s.step)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".m.hone.tmp-*")); len(left) > 0 {
			during++
		}
	}
	end := told + 3
	cmd, lines := child(end)
	listen(lines)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d of them while a file was being written; %d steps", crashes, during, end)
	list, _ := os.ReadDir(filepath.Dir(path))
	if len(list) != 1 {
		t.Errorf("stray files: %v", list)
	}
	got, err := loadCrashState(path)
	if err != nil {
		t.Fatal(err)
	}
	want := newCrashState()
	for want.step < got.step {
		want.advance()
	}
	if got.step != end || string(got.data) != string(want.data) {
		t.Error("the broken run ends in other bits than an unbroken one")
	}
}
