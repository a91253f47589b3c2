package modelfmt

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Retention says which of a run's checkpoints to keep. A checkpoint is kept when
// any rule keeps it, or when one that is kept needs it as a base. With no rule at
// all everything is kept.
type Retention struct {
	// Last keeps the newest so many.
	Last int
	// Best keeps so many of the best scores. Of equal ones the newest is better;
	// a NaN is worse than every number.
	Best int
	// LowerIsBetter is for losses; without it a higher score is better.
	LowerIsBetter bool
	// Every keeps those whose step is a multiple of it.
	Every int64
}

// Kept is one checkpoint that a [Retention] decides on.
type Kept struct {
	Path string
	// Step orders the checkpoints; the highest is the newest.
	Step int64
	// Score is what Best compares, NaN when there is none.
	Score float64
	// Root and Base are digests as of [Reader.Root] and [Reader.Base]. Base is
	// zero for a whole checkpoint.
	Root, Base Digest
}

// Describe opens a checkpoint and fills Path, Root and Base.
func Describe(path string) (Kept, error) {
	r, err := Open(path)
	if err != nil {
		return Kept{}, err
	}
	defer r.Close()
	k := Kept{Path: path, Score: math.NaN(), Root: r.Root()}
	k.Base, _ = r.Base()
	return k, nil
}

// Remove returns those of list that no rule keeps, in an order in which they can
// be deleted one by one: no delta ever outlives its base.
func (p Retention) Remove(list []Kept) []Kept {
	if p.Last <= 0 && p.Best <= 0 && p.Every <= 0 {
		return nil
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b Kept) int { return compareInt(b.Step, a.Step) })
	keep := make([]bool, len(sorted))
	for i, k := range sorted {
		keep[i] = i < p.Last || p.Every > 0 && k.Step%p.Every == 0
	}
	p.keepBest(sorted, keep)
	keepBases(sorted, keep)
	var out []Kept
	for i, k := range sorted {
		if !keep[i] {
			out = append(out, k)
		}
	}
	return childrenFirst(out)
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p Retention) keepBest(sorted []Kept, keep []bool) {
	var order []int
	for i, k := range sorted {
		if !math.IsNaN(k.Score) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := sorted[i].Score, sorted[j].Score
		if p.LowerIsBetter {
			a, b = b, a
		}
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	for _, i := range order[:min(max(p.Best, 0), len(order))] {
		keep[i] = true
	}
}

// keepBases marks what kept deltas need, through any number of levels.
func keepBases(list []Kept, keep []bool) {
	for again := true; again; {
		again = false
		for i, k := range list {
			if !keep[i] || k.Base == (Digest{}) {
				continue
			}
			for j, b := range list {
				if b.Root == k.Base && !keep[j] {
					keep[j], again = true, true
				}
			}
		}
	}
}

// childrenFirst orders deltas before their bases.
func childrenFirst(list []Kept) []Kept {
	var out []Kept
	for len(list) > 0 {
		rest := list[:0:0]
		for _, k := range list {
			needed := slices.ContainsFunc(list, func(o Kept) bool {
				return o.Base != (Digest{}) && o.Base == k.Root && o.Path != k.Path
			})
			if needed {
				rest = append(rest, k)
			} else {
				out = append(out, k)
			}
		}
		if len(rest) == len(list) {
			return append(out, rest...) // a ring, which only a forger makes
		}
		list = rest
	}
	return out
}

// Prune deletes what the rules do not keep, with any temporary files that killed
// writers of those paths left, and returns the deleted paths. A checkpoint that is
// being written is left alone. The folders are synced at the end.
func (p Retention) Prune(list []Kept) ([]string, error) {
	var removed []string
	var errs []error
	dirs := map[string]bool{}
	for _, k := range p.Remove(list) {
		err := remove(k.Path)
		switch {
		case errors.Is(err, ErrLocked):
		case err != nil:
			errs = append(errs, fmt.Errorf("remove checkpoint: %w", err))
		default:
			removed = append(removed, k.Path)
			dirs[filepath.Dir(k.Path)] = true
		}
	}
	for dir := range dirs {
		if err := (osFS{}).SyncDir(dir); err != nil {
			errs = append(errs, fmt.Errorf("sync %s: %w", dir, err))
		}
	}
	return removed, errors.Join(errs...)
}

// Remove deletes a checkpoint, with any temporary files that killed writers of its
// path left. One that is being written gives [ErrLocked].
func Remove(path string) error {
	err := remove(path)
	if err == nil {
		err = osFS{}.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("remove checkpoint %s: %w", path, err)
	}
	return nil
}

func remove(path string) error {
	l, err := LockPath(path)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if err := removeStale(osFS{}, l.path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
