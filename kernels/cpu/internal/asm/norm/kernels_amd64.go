//go:build amd64 && !noasm

package norm

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

func functionsFor(level isa.Level) *functions {
	switch {
	case level >= isa.AVX512:
		return &functions{
			moments: func(sum, squares, pivot []float32, x Matrix, rows int) {
				momentsAVX512(&sum[0], &squares[0], &pivot[0], &x.Data[0], rows, len(sum), 4*x.LD)
			},
			gradMoments: func(sum, products, mean []float32, dy, x Matrix, rows int) {
				gradMomentsAVX512(&sum[0], &products[0], &mean[0], &dy.Data[0], &x.Data[0], rows, len(sum), 4*dy.LD, 4*x.LD)
			},
			gradMomentsReLU: func(sum, products, mean []float32, dy, x, y Matrix, rows int) {
				gradMomentsReLUAVX512(&sum[0], &products[0], &mean[0], &dy.Data[0], &x.Data[0], &y.Data[0], rows, len(sum), 4*dy.LD, 4*x.LD, 4*y.LD)
			},
		}
	case level >= isa.AVX2:
		return &functions{
			moments: func(sum, squares, pivot []float32, x Matrix, rows int) {
				momentsAVX2(&sum[0], &squares[0], &pivot[0], &x.Data[0], rows, len(sum), 4*x.LD)
			},
			gradMoments: func(sum, products, mean []float32, dy, x Matrix, rows int) {
				gradMomentsAVX2(&sum[0], &products[0], &mean[0], &dy.Data[0], &x.Data[0], rows, len(sum), 4*dy.LD, 4*x.LD)
			},
			gradMomentsReLU: func(sum, products, mean []float32, dy, x, y Matrix, rows int) {
				gradMomentsReLUAVX2(&sum[0], &products[0], &mean[0], &dy.Data[0], &x.Data[0], &y.Data[0], rows, len(sum), 4*dy.LD, 4*x.LD, 4*y.LD)
			},
		}
	}
	return portable()
}
