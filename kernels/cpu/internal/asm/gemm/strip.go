package gemm

import "unsafe"

// Strip is a run of rows of C, CRow elements apart, times one packed panel of
// columns: what a convolution is made of. Row i of A begins at A[i*ARow]; at
// each of the taps, Offsets away from there in bytes, K elements are
// multiplied with K rows of the panel, tap after tap.
type Strip struct {
	A       []float32
	ARow    int
	AK      int // elements of A from a step of k to the next
	Offsets []int
	K       int

	B []float32 // packed: PanelWidth columns of len(Offsets)*K rows

	C    []float32
	CRow int
	Rows int
	Cols int // at most PanelWidth

	Accumulate bool
	Bias       []float32 // of Cols elements, or nil
	ReLU       bool
}

// RunStrip multiplies a strip. The caller answers for what the offsets reach
// in A; the bits are those of Run.
func (k *Kernels) RunStrip(s *Strip, ws *Workspace) {
	_ = s.C[(s.Rows-1)*s.CRow+s.Cols-1]
	_ = s.B[(len(s.Offsets)*s.K-1)*k.PanelWidth()+s.Cols-1]
	if k.tiles == nil {
		s.runPortable()
		return
	}
	ts, t := k.tiles, &ws.t
	t.b, t.bK = unsafe.Pointer(&s.B[0]), 4*ts.cols
	t.ldc = 4 * s.CRow
	t.aRow, t.aK = 4*s.ARow, 4*s.AK
	t.k, t.taps, t.tab = s.K, len(s.Offsets), &s.Offsets[0]
	t.flags = 0
	if s.Accumulate {
		t.flags |= flagAccumulate
	}
	if s.ReLU {
		t.flags |= flagReLU
	}
	t.bias = nil
	if s.Bias != nil {
		_ = s.Bias[s.Cols-1]
		t.bias = unsafe.Pointer(&s.Bias[0])
	}
	i := 0
	for _, h := range heights(s.Rows, ts.rows) {
		if h.count == 0 {
			continue
		}
		t.a = unsafe.Pointer(&s.A[i*s.ARow])
		t.c = unsafe.Pointer(&s.C[i*s.CRow])
		t.aStep, t.cStep = h.rows*t.aRow, h.rows*t.ldc
		t.count, t.aOff, t.cOff = h.count, 0, 0
		kernel, mask := ts.pick(h.rows, s.Cols, false)
		t.mask = mask
		kernel(t)
		i += h.count * h.rows
	}
	ws.t = tile{}
}

func (s *Strip) runPortable() {
	for i := range s.Rows {
		c := s.C[i*s.CRow]
		if !s.Accumulate {
			c = 0
		}
		b := s.B
		for _, offset := range s.Offsets {
			a := s.A[i*s.ARow+offset/4:]
			for k := range s.K {
				c += float32(a[k*s.AK] * b[k])
			}
			b = b[s.K:]
		}
		if s.Bias != nil {
			c += s.Bias[0]
		}
		if s.ReLU && c < 0 {
			c = 0
		}
		s.C[i*s.CRow] = c
	}
}

// PackRows packs rows k0 to k0+kb of a K x N matrix, columns n0 to n1, from
// the kb x N matrix b (stored N x kb when transposed), into dst, the packed
// form of the whole: PackB piece by piece.
func (k *Kernels) PackRows(dst, b []float32, ldb int, transposed bool, K, k0, kb, n0, n1 int) {
	w := k.PanelWidth()
	rows, cols := kb, n1
	if transposed {
		rows, cols = cols, rows
	}
	checkMatrix("B", len(b), rows, cols, ldb)
	for j := n0; j < n1; j += w {
		panel := dst[j*K+k0*w : j*K+(k0+kb)*w]
		if k.tiles == nil {
			packColumnPortable(panel, b, ldb, transposed, kb, j)
		} else {
			k.tiles.packPanel(panel, b, ldb, transposed, 0, kb, j, min(j+w, n1))
		}
	}
}

// CopyRows copies rows of n elements, ld apart, to dst, dstLD apart.
func (k *Kernels) CopyRows(dst []float32, dstLD int, src []float32, ld, rows, n int) {
	if rows == 0 || n == 0 {
		return
	}
	_, _ = dst[(rows-1)*dstLD+n-1], src[(rows-1)*ld+n-1]
	if n <= 4 { // a call would take longer
		for i := range rows {
			to, from := dst[i*dstLD:][:n], src[i*ld:][:n]
			for j := range to {
				to[j] = from[j]
			}
		}
		return
	}
	for i := range rows {
		copy(dst[i*dstLD:][:n], src[i*ld:])
	}
}
