package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/hone-ml/hone/host"
)

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 20 {
			return n
		}
	}
	return 100
}

// show prints an error, with the user's own lines where it knows them.
func (a *app) show(err error) {
	host.WriteError(a.stderr, err, a.sources(), width(a.stderr), isTerminal(a.stderr) && os.Getenv("NO_COLOR") == "")
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// warn prints diagnostics that are no errors.
func (a *app) warn(ds host.Diagnostics) {
	if len(ds) > 0 {
		a.show(ds)
	}
}

// jsonLine writes one event as a line. A closed pipe is not worth a message.
func (a *app) jsonLine(e host.Event) error {
	b, err := host.MarshalEvent(e, time.Now())
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(append(b, '\n'))
	return err
}

// failure is the last line of --json output where a verb fails.
type failure struct {
	Error       string           `json:"error"`
	Diagnostics host.Diagnostics `json:"diagnostics"`
	Result      *host.Result     `json:"-"`
}

func (failure) EventName() string { return "result" }

// MarshalJSON joins what the run reached with what went wrong.
func (f failure) MarshalJSON() ([]byte, error) {
	out := map[string]any{}
	if f.Result != nil {
		b, err := json.Marshal(f.Result)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &out); err != nil {
			return nil, err
		}
	}
	out["error"], out["diagnostics"] = f.Error, f.Diagnostics
	return json.Marshal(out)
}

func diagnosticsOf(err error) host.Diagnostics {
	var ds host.Diagnostics
	if errors.As(err, &ds) {
		return ds
	}
	var d host.Diagnostic
	if errors.As(err, &d) {
		return host.Diagnostics{d}
	}
	return host.Diagnostics{}
}

// tell writes a failure as JSON where asked, and keeps the error for the exit code.
func (a *app) tell(asJSON bool, r *host.Result, err error) error {
	if err == nil || !asJSON {
		return err
	}
	if werr := a.jsonLine(failure{Error: err.Error(), Diagnostics: diagnosticsOf(err), Result: r}); werr != nil {
		return werr
	}
	a.show(err)
	return toldError{err}
}

// bytesBar returns a progress function that shows a bar once the work has taken a
// second; where no terminal is, a line now and then.
func (a *app) bytesBar(what string) func(done, total int64) {
	now := a.clock
	if now == nil {
		now = time.Now
	}
	var bar *progressbar.ProgressBar
	told := now()
	every := time.Second
	tty := isTerminal(a.stderr)
	var mu sync.Mutex
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if !tty {
			if now().Sub(told) >= every {
				told, every = now(), 10*time.Second
				fmt.Fprintf(a.stderr, "%s: %s of %s\n", what, bytesText(done), bytesText(total))
			}
			return
		}
		if bar == nil {
			if now().Sub(told) < every {
				return
			}
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what),
				progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		}
		_ = bar.Set64(done)
	}
}

// table prints rows in columns.
func table(w io.Writer, rows [][]string) {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for _, r := range rows {
		line := ""
		for i, c := range r {
			line += c
			if i < len(r)-1 {
				for range widths[i] - len([]rune(c)) + 2 {
					line += " "
				}
			}
		}
		fmt.Fprintln(w, line)
	}
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
