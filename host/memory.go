package host

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// fallbackMemory is taken where the system does not say what it has.
const fallbackMemory = 8 << 30

// machineMemory returns the bytes that this process may hope to use: what the
// machine has available, less where a container or GOMEMLIMIT grants less.
func machineMemory() int64 {
	least := int64(math.MaxInt64)
	if n := availableMemory(os.ReadFile); n > 0 {
		least = n
	}
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 {
		least = min(least, n)
	}
	if least == math.MaxInt64 {
		return fallbackMemory
	}
	return least
}

// availableMemory reads what Linux tells of memory; 0 where it tells nothing.
func availableMemory(read func(string) ([]byte, error)) int64 {
	least := int64(0)
	take := func(n int64) {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	if text, err := read("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
				if kib, err := strconv.ParseInt(f[1], 10, 54); err == nil {
					take(kib << 10)
				}
			}
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := read(name); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				take(n)
			}
		}
	}
	return least
}

// fitsMachine reports parameters that cannot be held, each with the gradient that
// training it takes, before memory is asked for them.
func fitsMachine(p *train.Program, memory int64) error {
	var total, largest float64 // the product of extents may be beyond any integer
	name := ""
	for _, q := range p.Params() {
		if q.Decl != nil && q.Decl.Alias != "" {
			continue
		}
		n := float64(q.Type.DType.Size())
		for _, d := range q.Type.Shape {
			k, _ := d.Const()
			n *= float64(k)
		}
		if n > largest {
			largest, name = n, q.Name+" "+q.Type.String()
		}
		if q.Role == graph.ParamRole && (q.Decl == nil || !q.Decl.NonTrainable) {
			n *= 2
		}
		total += n
	}
	if total <= float64(memory) {
		return nil
	}
	return diag.Errorf("too_large", "the parameters and their gradients take %.4g GiB, and the machine has %.4g GiB to give", total/(1<<30), float64(memory)/(1<<30)).
		Hint("The largest is %s. Make its layer smaller, or free memory.", name)
}
