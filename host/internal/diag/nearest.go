package diag

import "strings"

// maxNameLength bounds the work of Nearest on hostile names.
const maxNameLength = 64

// Nearest returns the candidate that a user who wrote name most likely meant,
// and whether there is one near enough to be worth suggesting. Letter case,
// hyphens and underscores count for nothing, a swap of two neighbours for one
// mistake; a third of the name's letters may be wrong. The first of several
// equally near candidates wins.
func Nearest(name string, candidates []string) (string, bool) {
	a := fold(name)
	if len(a) == 0 || len(a) > maxNameLength {
		return "", false
	}
	best, bestDistance := "", -1
	for _, c := range candidates {
		b := fold(c)
		if len(b) == 0 || len(b) > maxNameLength {
			continue
		}
		allowed := (max(len(a), len(b)) + 1) / 3
		if d := distance(a, b); d <= allowed && (bestDistance < 0 || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best, bestDistance >= 0
}

// DidYouMean returns `Did you mean "x"? ` when Nearest finds an x, else nothing:
// made for the beginning of a detail.
func DidYouMean(name string, candidates []string) string {
	if c, ok := Nearest(name, candidates); ok {
		return `Did you mean "` + c + `"? `
	}
	return ""
}

func fold(s string) []rune {
	return []rune(strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)))
}

// distance is the optimal string alignment distance: insertions, deletions,
// replacements and swaps of neighbours that turn a into b.
func distance(a, b []rune) int {
	previous, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], previous[j-2]+1)
			}
		}
		previous, above, row = above, row, previous
	}
	return above[len(b)]
}
