package seams

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/kernels/process"
	"github.com/hone-ml/hone/kernels/reference"
)

// Seam: the same model saved, opened and continued on another backend. Nothing in
// a checkpoint belongs to the backend that wrote it: what one saves another opens
// and trains on. Their numbers agree within what the IR's specification allows
// each op (here 1e-5 relative after fifteen steps), the run says so with a warning,
// and a model that has only passed through another backend goes on to the bits of
// an unbroken run. A backend in a process of its own is one among them:
//
//	hone train --backend ./my-backend --resume last.hone
const servesBackend = "HONE_SEAMS_SERVE_BACKEND"

// backendBinary is main for the test's binary where it is run as a backend.
func backendBinary() {
	if os.Getenv(servesBackend) != "" {
		if err := process.ServeStdio(context.Background(), reference.New()); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func TestContinuedOnAnotherBackend(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rows := examples(18)
	on := func(backend, epochs, resume string) (string, []string) {
		t.Helper()
		if backend == self {
			t.Setenv(servesBackend, "yes")
			defer os.Unsetenv(servesBackend)
		}
		p := toy(t, `
  epochs     = `+epochs+`
  batch_size = 4
  optimizer "adam" {
    learning_rate = 0.01
  }`, rows, host.Options{Backend: backend, NoPlugins: resume != ""})
		var warned []string
		out, _, _ := train(t, p, host.TrainOptions{Resume: resume, Out: filepath.Join(t.TempDir(), "out.hone"), Events: func(e host.Event) {
			if w, ok := e.(host.WarningEvent); ok {
				for _, d := range w.Diagnostics {
					warned = append(warned, d.Code)
				}
			}
		}})
		return out, warned
	}
	whole, _ := on("reference", "5", "")
	part, _ := on("reference", "2", "")

	// Passed through cpu and through another process, the bits are the same.
	there, warned := on("cpu", "2", part)
	if !strings.Contains(strings.Join(warned, " "), "resume_backend") {
		t.Errorf("going on with another backend warns %v", warned)
	}
	sameBits(t, part, there)
	apart, _ := on(self, "2", there)
	sameBits(t, part, apart)
	back, _ := on("reference", "5", apart)
	sameBits(t, whole, back)

	// The reference in another process is the reference.
	apart, warned = on(self, "5", part)
	if strings.Contains(strings.Join(warned, " "), "resume_backend") {
		t.Errorf("the same backend elsewhere warns %v", warned)
	}
	sameBits(t, whole, apart)

	// Trained on by cpu, and by cpu in between, the numbers agree closely.
	theirs, _ := on("cpu", "5", part)
	between, _ := on("cpu", "4", part)
	mixed, _ := on("reference", "5", between)
	want := values(t, whole)
	differs := false
	for _, path := range []string{theirs, mixed} {
		got := values(t, path)
		for _, n := range []string{"hidden.kernel", "hidden.bias", "out.kernel", "out.bias", "hidden.kernel:momentum", "hidden.kernel:velocity"} {
			near(t, n, got[n], want[n], 1e-5)
			for i := range got[n] {
				differs = differs || got[n][i] != want[n][i]
			}
		}
	}
	if !differs {
		t.Error("cpu gives the very bits of the reference: the probe tells them not apart")
	}
}
