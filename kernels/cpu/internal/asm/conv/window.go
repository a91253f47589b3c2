package conv

import "math"

// window is the argument of the kernels that reduce windows of pixels without
// mixing channels: count tiles of one or more output pixels beside one
// another. Each tap is a pair of byte offsets, of x and of the filter. The
// generator knows the offsets of the fields.
type window struct {
	x, y, w, d   []float32
	tab          []int
	taps         int
	xStep, yStep int // bytes from an output pixel to the next
	channels     int
	count        int // consumed
	xOff, yOff   int // consumed: bytes to the current tile
	flags        int
}

const flagReLU = 2

// taps is the argument of the gradient of a depthwise filter: nr x ns taps of
// w, each the sum over rows pairs of rows, x and y, of pixels pixels.
type taps struct {
	x, y, w, _   []float32
	tab          []int // byte offsets of x and y of each row
	rows         int
	xStep, yStep int // bytes from a pixel to the next
	channels     int
	pixels       int
	rowW, tapW   int // bytes of w from a filter row, a tap, to the next
	rowX, tapX   int // the same of x
}

// windows are the kernels that take them.
type windows struct {
	tileRows        int
	depthwise       [9]func(*window) // by pixels of a tile
	depthwiseFilter [4][4]func(*taps)
	maxPool         func(*window)
	maxPoolGrad     func(*window) // w: gradient of y; d: gradient of x
	// maxPoolGradApart writes over d, for windows that do not overlap.
	maxPoolGradApart func(*window)
	winogradInput    func(*winoTile)
	winogradOutput   func(*winoTile)
	winogradFilter   func(dst, src []float32, n, step int) // 9 positions, step apart, to 16, n apart

	winogradGrad       func(*winoTile)                                   // y to m
	winogradFilterGrad func(dst, src []float32, n, dstStep, srcStep int) // 16 elements to 9 positions
}

// portableWindows is what they mean.
func portableWindows() *windows {
	ws := &windows{
		tileRows: 1,
		maxPool: eachChannel(func(w *window, x, y, c int) {
			top := w.x[x+w.tab[0]/4+c]
			for i := 1; i < w.taps; i++ {
				if v := w.x[x+w.tab[2*i]/4+c]; v > top || v != v {
					top = v
				}
			}
			w.y[y+c] = top
		}),
		maxPoolGrad: eachChannel(func(w *window, x, y, c int) {
			for i := range w.taps {
				if at := x + w.tab[2*i]/4 + c; w.x[at] == w.y[y+c] {
					w.d[at] += w.w[y+c]
					return
				}
			}
		}),
		maxPoolGradApart: eachChannel(func(w *window, x, y, c int) {
			given := false
			for i := range w.taps {
				at := x + w.tab[2*i]/4 + c
				w.d[at] = 0
				if !given && w.x[at] == w.y[y+c] {
					w.d[at], given = w.w[y+c], true
				}
			}
		}),
		winogradInput:  winogradInputPortable,
		winogradOutput: winogradOutputPortable,
		winogradFilter: winogradFilterPortable,

		winogradGrad: winogradGradPortable, winogradFilterGrad: winogradFilterGradPortable,
	}
	ws.depthwise[1] = eachChannel(func(w *window, x, y, c int) {
		sum := float32(0)
		for i := range w.taps {
			sum += float32(w.x[x+w.tab[2*i]/4+c] * w.w[w.tab[2*i+1]/4+c])
		}
		if w.d != nil {
			sum += w.d[c]
		}
		if w.flags&flagReLU != 0 && sum < 0 {
			sum = 0
		}
		w.y[y+c] = sum
	})
	for nr := 1; nr <= 3; nr++ {
		for ns := 1; ns <= 3; ns++ {
			ws.depthwiseFilter[nr][ns] = func(t *taps) { filterPortable(t, nr, ns) }
		}
	}
	return ws
}

// eachChannel calls f for each output of the tiles, of one pixel each, with
// the elements of its pixel of x and y.
func eachChannel(f func(w *window, x, y, c int)) func(*window) {
	return func(w *window) {
		for i := range w.count {
			for c := range w.channels {
				f(w, i*w.xStep/4, i*w.yStep/4, c)
			}
		}
	}
}

func filterPortable(t *taps, nr, ns int) {
	for r := range nr {
		for s := range ns {
			for c := range t.channels {
				sum := t.w[(r*t.rowW+s*t.tapW)/4+c]
				for row := range t.rows {
					x, y := (t.tab[2*row]+r*t.rowX+s*t.tapX)/4+c, t.tab[2*row+1]/4+c
					for p := range t.pixels {
						sum += float32(t.x[x+p*t.xStep/4] * t.y[y+p*t.yStep/4])
					}
				}
				t.w[(r*t.rowW+s*t.tapW)/4+c] = sum
			}
		}
	}
}

var negativeInfinity = float32(math.Inf(-1))
