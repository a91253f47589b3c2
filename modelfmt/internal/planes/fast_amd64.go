//go:build amd64 && !noasm

package planes

import "golang.org/x/sys/cpu"

var haveAVX2 = cpu.X86.HasAVX2

// splitFast splits as many leading elements as the assembly can, and says how
// many.
func splitFast(planes [][]byte, src []byte, width int, rotate bool) int {
	groups := len(src) / width / 32
	if !haveAVX2 || groups == 0 {
		return 0
	}
	n := uint64(groups)
	switch {
	case width == 4 && rotate:
		split4Rotated(&planes[0][:32*n][0], &planes[1][:32*n][0], &planes[2][:32*n][0], &planes[3][:32*n][0], &src[0], n)
	case width == 4:
		split4(&planes[0][:32*n][0], &planes[1][:32*n][0], &planes[2][:32*n][0], &planes[3][:32*n][0], &src[0], n)
	case width == 2 && rotate:
		split2Rotated(&planes[0][:32*n][0], &planes[1][:32*n][0], &src[0], n)
	case width == 2:
		split2(&planes[0][:32*n][0], &planes[1][:32*n][0], &src[0], n)
	default:
		return 0
	}
	return 32 * groups
}

func joinFast(dst []byte, planes [][]byte, width int, rotate bool) int {
	groups := len(dst) / width / 32
	if !haveAVX2 || groups == 0 {
		return 0
	}
	n := uint64(groups)
	switch {
	case width == 4 && rotate:
		join4Rotated(&dst[0], &planes[0][:32*n][0], &planes[1][:32*n][0], &planes[2][:32*n][0], &planes[3][:32*n][0], n)
	case width == 4:
		join4(&dst[0], &planes[0][:32*n][0], &planes[1][:32*n][0], &planes[2][:32*n][0], &planes[3][:32*n][0], n)
	case width == 2 && rotate:
		join2Rotated(&dst[0], &planes[0][:32*n][0], &planes[1][:32*n][0], n)
	case width == 2:
		join2(&dst[0], &planes[0][:32*n][0], &planes[1][:32*n][0], n)
	default:
		return 0
	}
	return 32 * groups
}
