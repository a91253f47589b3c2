package modelfmt

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestLinkStaysALink writes through a link: its target is replaced, and both names
// share one lock.
func TestLinkStaysALink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("making links needs a privilege there")
	}
	dir := t.TempDir()
	target, link := filepath.Join(dir, "run", "m.hone"), filepath.Join(dir, "best.hone")
	if err := os.Mkdir(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) error {
		return ReplaceFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		})
	}
	if err := write(target, "one"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("run", "m.hone"), link); err != nil {
		t.Fatal(err)
	}
	if err := write(link, "two"); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", st, err)
	}
	if b, _ := os.ReadFile(target); string(b) != "two" {
		t.Errorf("the target holds %q", b)
	}
	l, err := LockPath(target)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if _, err := LockPath(link); !errors.Is(err, ErrLocked) {
		t.Errorf("the link's lock: %v", err)
	}
}

func TestReplaceFileKeepsTheOldOnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	os.WriteFile(path, []byte("old"), 0o640)
	broken := errors.New("broken")
	err := ReplaceFile(path, func(w io.Writer) error {
		io.WriteString(w, "half")
		return broken
	})
	b, _ := os.ReadFile(path)
	list, _ := os.ReadDir(dir)
	if !errors.Is(err, broken) || string(b) != "old" || len(list) != 1 {
		t.Errorf("%v, %q, %v", err, b, list)
	}
}

// TestLockIsExclusive has many goroutines take one lock; never do two have it, and
// nothing is left at the end.
// TestSweep removes what dead writers left, and nothing of the living or of others.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	alive, err := Create(at("alive.hone"), WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Abort()
	for _, name := range []string{
		".dead.hone.tmp-0123456789abcdef", ".dead.hone.lock", ".gone.hone.lock", "whole.hone",
		".notes.lock", "dead.hone.tmp-x", ".plan.txt.tmp-1",
	} {
		if err := os.WriteFile(at(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(at(".folder.hone.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), ".alive.hone.tmp-") {
			got = append(got, d.Name())
		}
	}
	want := []string{".alive.hone.lock", ".folder.hone.lock", ".notes.lock", ".plan.txt.tmp-1", "dead.hone.tmp-x", "whole.hone"}
	if !slices.Equal(got, want) || len(list) != len(want)+1 {
		t.Errorf("the folder has %v and the living writer's file of %d, wanted %v", got, len(list)-len(got), want)
	}
	if err := alive.Commit(); err != nil {
		t.Error(err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hone")
	var mu sync.Mutex
	holders, taken := 0, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := LockPath(path)
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				holders++
				taken++
				if holders != 1 {
					t.Errorf("%d have the lock", holders)
				}
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				holders--
				mu.Unlock()
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken == 0 {
		t.Error("nobody had the lock")
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}
