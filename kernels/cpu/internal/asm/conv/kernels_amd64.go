//go:build amd64 && !noasm

package conv

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func windowsFor(level isa.Level) *windows {
	switch {
	case level >= isa.AVX512:
		return &windows{
			tileRows:  8,
			depthwise: [9]func(*window){1: depthwise1AVX512, 2: depthwise2AVX512, 3: depthwise3AVX512, 4: depthwise4AVX512, 5: depthwise5AVX512, 6: depthwise6AVX512, 7: depthwise7AVX512, 8: depthwise8AVX512},
			depthwiseFilter: [4][4]func(*taps){
				1: {1: depthwiseFilter1x1AVX512, 2: depthwiseFilter1x2AVX512, 3: depthwiseFilter1x3AVX512},
				2: {1: depthwiseFilter2x1AVX512, 2: depthwiseFilter2x2AVX512, 3: depthwiseFilter2x3AVX512},
				3: {1: depthwiseFilter3x1AVX512, 2: depthwiseFilter3x2AVX512, 3: depthwiseFilter3x3AVX512},
			},
			maxPool: maxPoolAVX512, maxPoolGrad: maxPoolGradAVX512, maxPoolGradApart: maxPoolGradApartAVX512,
			winogradInput: winogradInputAVX512, winogradOutput: winogradOutputAVX512,
			winogradFilter: func(dst, src []float32, n, step int) {
				_, _ = dst[16*n-1], src[8*step+n-1]
				winogradFilterAVX512(&dst[0], &src[0], 4*n, 4*step, n)
			},
			winogradGrad: winogradGradAVX512,
			winogradFilterGrad: func(dst, src []float32, n, dstStep, srcStep int) {
				_, _ = dst[8*dstStep+n-1], src[15*srcStep+n-1]
				winogradFilterGradAVX512(&dst[0], &src[0], 4*dstStep, 4*srcStep, n)
			},
		}
	case level >= isa.AVX2:
		return &windows{
			tileRows:  8,
			depthwise: [9]func(*window){1: depthwise1AVX2, 2: depthwise2AVX2, 3: depthwise3AVX2, 4: depthwise4AVX2, 5: depthwise5AVX2, 6: depthwise6AVX2, 7: depthwise7AVX2, 8: depthwise8AVX2},
			depthwiseFilter: [4][4]func(*taps){
				1: {1: depthwiseFilter1x1AVX2, 2: depthwiseFilter1x2AVX2, 3: depthwiseFilter1x3AVX2},
				2: {1: depthwiseFilter2x1AVX2, 2: depthwiseFilter2x2AVX2, 3: depthwiseFilter2x3AVX2},
				3: {1: depthwiseFilter3x1AVX2, 2: depthwiseFilter3x2AVX2, 3: depthwiseFilter3x3AVX2},
			},
			maxPool: maxPoolAVX2, maxPoolGrad: maxPoolGradAVX2, maxPoolGradApart: maxPoolGradApartAVX2,
			winogradInput: winogradInputAVX2, winogradOutput: winogradOutputAVX2,
			winogradFilter: func(dst, src []float32, n, step int) {
				_, _ = dst[16*n-1], src[8*step+n-1]
				winogradFilterAVX2(&dst[0], &src[0], 4*n, 4*step, n)
			},
			winogradGrad: winogradGradAVX2,
			winogradFilterGrad: func(dst, src []float32, n, dstStep, srcStep int) {
				_, _ = dst[8*dstStep+n-1], src[15*srcStep+n-1]
				winogradFilterGradAVX2(&dst[0], &src[0], 4*dstStep, 4*srcStep, n)
			},
		}
	}
	return portableWindows()
}
