package norm

// functions are the loops; the number of columns is the length of the first
// per-column argument, and each has at least one row and one column.
type functions struct {
	moments         func(sum, squares, pivot []float32, x Matrix, rows int)
	gradMoments     func(sum, products, mean []float32, dy, x Matrix, rows int)
	gradMomentsReLU func(sum, products, mean []float32, dy, x, y Matrix, rows int)
}

// portable is what they mean. The conversions keep products and sums from
// being fused on some processors and not on others.
func portable() *functions {
	return &functions{
		moments: func(sum, squares, pivot []float32, x Matrix, rows int) {
			each(rows, len(sum), func(i, j int) {
				d := x.at(i, j) - pivot[j]
				sum[j] += d
				squares[j] += float32(d * d)
			})
		},
		gradMoments: func(sum, products, mean []float32, dy, x Matrix, rows int) {
			each(rows, len(sum), func(i, j int) {
				d := dy.at(i, j)
				sum[j] += d
				products[j] += float32(d * (x.at(i, j) - mean[j]))
			})
		},
		gradMomentsReLU: func(sum, products, mean []float32, dy, x, y Matrix, rows int) {
			each(rows, len(sum), func(i, j int) {
				if y.at(i, j) > 0 {
					d := dy.at(i, j)
					sum[j] += d
					products[j] += float32(d * (x.at(i, j) - mean[j]))
				}
			})
		},
	}
}

func (m Matrix) at(i, j int) float32 { return m.Data[i*m.LD+j] }

func each(rows, cols int, f func(i, j int)) {
	for i := range rows {
		for j := range cols {
			f(i, j)
		}
	}
}
