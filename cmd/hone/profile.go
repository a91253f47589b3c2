package main

import (
	"fmt"
	"io"
	"sort"

	"github.com/hone-ml/hone/host"
)

// writeProfile writes the time by op and by layer as text.
func writeProfile(path string, r *host.Result) error {
	return host.ReplaceWith(path, func(w io.Writer) error {
		total := int64(0)
		byOp, byLayer := map[string]int64{}, map[string]int64{}
		for _, t := range r.Profile {
			total += t.Nanos
			byOp[t.Name] += t.Nanos
			scope := t.Scope
			if scope == "" {
				scope = "(loss, optimizer, metrics)"
			}
			byLayer[scope] += t.Nanos
		}
		for _, part := range []struct {
			title string
			times map[string]int64
		}{{"by op", byOp}, {"by layer", byLayer}} {
			names := make([]string, 0, len(part.times))
			for n := range part.times {
				names = append(names, n)
			}
			sort.Slice(names, func(i, j int) bool { return part.times[names[i]] > part.times[names[j]] })
			fmt.Fprintf(w, "%s\n", part.title)
			for _, n := range names {
				fmt.Fprintf(w, "%6.2f%%  %10.3f ms  %s\n", 100*float64(part.times[n])/float64(max(total, 1)), float64(part.times[n])/1e6, n)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, "instructions: ms, calls, GFLOP/s, GB/s, op, layer")
		for _, t := range r.Profile {
			s := float64(max(t.Nanos, 1)) / 1e9
			fmt.Fprintf(w, "%10.3f  %8d  %8.2f  %8.2f  %s  %s\n", float64(t.Nanos)/1e6, t.Calls, float64(t.FLOPs)*float64(t.Calls)/s/1e9, float64(t.Bytes)*float64(t.Calls)/s/1e9, t.Name, t.Scope)
		}
		return nil
	})
}
