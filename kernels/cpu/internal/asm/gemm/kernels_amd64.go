//go:build amd64 && !noasm

package gemm

import (
	"unsafe"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

func forLevel(level isa.Level) *Kernels {
	switch {
	case level >= isa.AVX512:
		return &Kernels{
			// A panel of B is 32 KiB and a tile of A 14: together they fit a
			// first-level cache of 48 KiB, as from Ice Lake and Zen 5 on. In one of
			// 32 what A displaces comes back from the second level in time: a row
			// of the panel, two lines, serves 28 multiply-adds.
			// Where both operands are packed, tiles look ahead: a panel may come from
			// the second level, and C is visited half as often.
			level: level, blockK: 256, blockM: 480, blockN: 2048, deepK: 512, deepM: 336,
			tiles: &tiles{
				rows: 14, lanes: 16, cols: 32,
				full:      [15]func(*tile){1: tile1x32AVX512, 2: tile2x32AVX512, 3: tile3x32AVX512, 4: tile4x32AVX512, 5: tile5x32AVX512, 6: tile6x32AVX512, 7: tile7x32AVX512, 8: tile8x32AVX512, 9: tile9x32AVX512, 10: tile10x32AVX512, 11: tile11x32AVX512, 12: tile12x32AVX512, 13: tile13x32AVX512, 14: tile14x32AVX512},
				two:       [15]func(*tile){1: tile1x32MaskAVX512, 2: tile2x32MaskAVX512, 3: tile3x32MaskAVX512, 4: tile4x32MaskAVX512, 5: tile5x32MaskAVX512, 6: tile6x32MaskAVX512, 7: tile7x32MaskAVX512, 8: tile8x32MaskAVX512, 9: tile9x32MaskAVX512, 10: tile10x32MaskAVX512, 11: tile11x32MaskAVX512, 12: tile12x32MaskAVX512, 13: tile13x32MaskAVX512, 14: tile14x32MaskAVX512},
				one:       [15]func(*tile){1: tile1x16MaskAVX512, 2: tile2x16MaskAVX512, 3: tile3x16MaskAVX512, 4: tile4x16MaskAVX512, 5: tile5x16MaskAVX512, 6: tile6x16MaskAVX512, 7: tile7x16MaskAVX512, 8: tile8x16MaskAVX512, 9: tile9x16MaskAVX512, 10: tile10x16MaskAVX512, 11: tile11x16MaskAVX512, 12: tile12x16MaskAVX512, 13: tile13x16MaskAVX512, 14: tile14x16MaskAVX512},
				pack:      [3]func(*tile){tile14x32PackAVX512, tile13x32PackAVX512, tile12x32PackAVX512},
				deep:      [3]func(*tile){tile14x32AheadAVX512, tile13x32AheadAVX512, tile12x32AheadAVX512},
				wide:      [4][]wide{1: {{128, tile1x128AVX512}, {64, tile1x64AVX512}}, 2: {{64, tile2x64AVX512}}, 3: {{48, tile3x48AVX512}}},
				mask:      func(lanes int) uintptr { return 1<<lanes - 1 },
				copyPanel: copyPanelAVX512,
				zeros: zeros{
					sums: []sums{
						{128, sumRows128AVX512, sumBits128AVX512}, {112, sumRows112AVX512, sumBits112AVX512}, {96, sumRows96AVX512, sumBits96AVX512},
						{80, sumRows80AVX512, sumBits80AVX512}, {64, sumRows64AVX512, sumBits64AVX512}, {48, sumRows48AVX512, sumBits48AVX512},
						{32, sumRows32AVX512, sumBits32AVX512}, {16, sumRows16AVX512, sumBits16AVX512},
					},
					masked:   true,
					nonzeros: nonzerosAVX512, nonzeroBits: nonzeroBits8, notFinite: notFiniteAVX512, finish: finish8,
				},
			},
		}
	case level >= isa.AVX2:
		return &Kernels{
			level: level, blockK: 384, blockM: 144, blockN: 2048, deepK: 384, deepM: 144,
			tiles: &tiles{
				rows: 6, lanes: 8, cols: 16,
				full:      [15]func(*tile){1: tile1x16AVX2, 2: tile2x16AVX2, 3: tile3x16AVX2, 4: tile4x16AVX2, 5: tile5x16AVX2, 6: tile6x16AVX2},
				two:       [15]func(*tile){1: tile1x16MaskAVX2, 2: tile2x16MaskAVX2, 3: tile3x16MaskAVX2, 4: tile4x16MaskAVX2, 5: tile5x16MaskAVX2, 6: tile6x16MaskAVX2},
				one:       [15]func(*tile){1: tile1x8MaskAVX2, 2: tile2x8MaskAVX2, 3: tile3x8MaskAVX2, 4: tile4x8MaskAVX2, 5: tile5x8MaskAVX2, 6: tile6x8MaskAVX2},
				pack:      [3]func(*tile){tile6x16PackAVX2, tile5x16PackAVX2, tile4x16PackAVX2},
				deep:      [3]func(*tile){tile6x16AVX2, tile5x16AVX2, tile4x16AVX2},
				wide:      [4][]wide{1: {{64, tile1x64AVX2}}, 2: {{32, tile2x32AVX2}}, 3: {{24, tile3x24AVX2}}},
				mask:      func(lanes int) uintptr { return uintptr(unsafe.Pointer(&maskTable[8-lanes])) },
				copyPanel: copyPanelAVX2,
				zeros: zeros{
					sums:     []sums{{64, sumRows64AVX2, sumBits64AVX2}, {32, sumRows32AVX2, sumBits32AVX2}, {16, sumRows16AVX2, sumBits16AVX2}, {8, sumRows8AVX2, sumBits8AVX2}},
					nonzeros: nonzerosAVX2, nonzeroBits: nonzeroBits8, notFinite: notFiniteAVX2, finish: finish8,
				},
			},
		}
	}
	return &Kernels{level: isa.Portable}
}

// maskTable has the mask of n lanes at 8-n. It is never written.
var maskTable = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

// PeakFMA runs 48*n vectors of multiply-adds that wait for nothing and
// returns the number of floating-point operations: timed, the peak of a core
// at a level. It returns 0 for the portable one.
func PeakFMA(level isa.Level, n int) int {
	switch {
	case level >= isa.AVX512:
		peakFMAAVX512(n)
		return n * 48 * 16 * 2
	case level >= isa.AVX2:
		peakFMAAVX2(n)
		return n * 48 * 8 * 2
	}
	return 0
}
