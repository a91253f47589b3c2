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
			affine: func(dst Matrix, a, b []float32, x Matrix, rows int) {
				affineAVX512(&dst.Data[0], &a[0], &b[0], &x.Data[0], rows, len(a), 4*dst.LD, 4*x.LD)
			},
			affineReLU: func(dst Matrix, a, b []float32, x Matrix, rows int) {
				affineReLUAVX512(&dst.Data[0], &a[0], &b[0], &x.Data[0], rows, len(a), 4*dst.LD, 4*x.LD)
			},
			affineAdd: func(dst Matrix, a, b []float32, x, z Matrix, rows int) {
				affineAddAVX512(&dst.Data[0], &a[0], &b[0], &x.Data[0], &z.Data[0], rows, len(a), 4*dst.LD, 4*x.LD, 4*z.LD)
			},
			affineAddReLU: func(dst Matrix, a, b []float32, x, z Matrix, rows int) {
				affineAddReLUAVX512(&dst.Data[0], &a[0], &b[0], &x.Data[0], &z.Data[0], rows, len(a), 4*dst.LD, 4*x.LD, 4*z.LD)
			},
			grad: func(dst Matrix, a, b, c []float32, dy, x Matrix, rows int) {
				gradAVX512(&dst.Data[0], &a[0], &b[0], &c[0], &dy.Data[0], &x.Data[0], rows, len(a), 4*dst.LD, 4*dy.LD, 4*x.LD)
			},
			gradReLU: func(dst Matrix, a, b, c []float32, dy, x, y Matrix, rows int) {
				gradReLUAVX512(&dst.Data[0], &a[0], &b[0], &c[0], &dy.Data[0], &x.Data[0], &y.Data[0], rows, len(a), 4*dst.LD, 4*dy.LD, 4*x.LD, 4*y.LD)
			},
			addBias: func(dst Matrix, b []float32, x Matrix, rows int) {
				addBiasAVX512(&dst.Data[0], &b[0], &x.Data[0], rows, len(b), 4*dst.LD, 4*x.LD)
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
			affine: func(dst Matrix, a, b []float32, x Matrix, rows int) {
				affineAVX2(&dst.Data[0], &a[0], &b[0], &x.Data[0], rows, len(a), 4*dst.LD, 4*x.LD)
			},
			affineReLU: func(dst Matrix, a, b []float32, x Matrix, rows int) {
				affineReLUAVX2(&dst.Data[0], &a[0], &b[0], &x.Data[0], rows, len(a), 4*dst.LD, 4*x.LD)
			},
			affineAdd: func(dst Matrix, a, b []float32, x, z Matrix, rows int) {
				affineAddAVX2(&dst.Data[0], &a[0], &b[0], &x.Data[0], &z.Data[0], rows, len(a), 4*dst.LD, 4*x.LD, 4*z.LD)
			},
			affineAddReLU: func(dst Matrix, a, b []float32, x, z Matrix, rows int) {
				affineAddReLUAVX2(&dst.Data[0], &a[0], &b[0], &x.Data[0], &z.Data[0], rows, len(a), 4*dst.LD, 4*x.LD, 4*z.LD)
			},
			grad: func(dst Matrix, a, b, c []float32, dy, x Matrix, rows int) {
				gradAVX2(&dst.Data[0], &a[0], &b[0], &c[0], &dy.Data[0], &x.Data[0], rows, len(a), 4*dst.LD, 4*dy.LD, 4*x.LD)
			},
			gradReLU: func(dst Matrix, a, b, c []float32, dy, x, y Matrix, rows int) {
				gradReLUAVX2(&dst.Data[0], &a[0], &b[0], &c[0], &dy.Data[0], &x.Data[0], &y.Data[0], rows, len(a), 4*dst.LD, 4*dy.LD, 4*x.LD, 4*y.LD)
			},
			addBias: func(dst Matrix, b []float32, x Matrix, rows int) {
				addBiasAVX2(&dst.Data[0], &b[0], &x.Data[0], rows, len(b), 4*dst.LD, 4*x.LD)
			},
		}
	}
	return portable()
}
