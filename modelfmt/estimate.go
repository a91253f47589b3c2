package modelfmt

import "math/bits"

// Estimates decide which codec is tried. They look at samples of fixed places
// and use integers only, so the same bytes give the same file on every machine.

const (
	sampleWindows = 8
	sampleWindow  = 1024 // bytes, or elements when a chunk is judged
)

// histogram counts bytes, in two tables so that runs of one byte do not wait for
// each other's stores.
type histogram struct{ a, b [256]uint32 }

func (h *histogram) add(p []byte) {
	for len(p) >= 2 {
		h.a[p[0]]++
		h.b[p[1]]++
		p = p[2:]
	}
	if len(p) == 1 {
		h.a[p[0]]++
	}
}

// bits returns an estimate, in bits, of what an order-0 code spends on the
// counted bytes. Huffman's code needs at least one bit a byte.
func (h *histogram) bits() uint64 {
	var total, sum uint64
	kinds := 0
	for i := range h.a {
		if n := uint64(h.a[i] + h.b[i]); n > 0 {
			total += n
			sum += n * log2(n)
			kinds++
		}
	}
	if kinds <= 1 {
		return 0
	}
	return max((total*log2(total)-sum)>>logFraction, total)
}

const logFraction = 12

// log2 returns the binary logarithm of n > 0 with 12 fractional bits, by the
// squaring method.
func log2(n uint64) uint64 {
	k := bits.Len64(n) - 1
	// m is n/2^k in [1, 2) with 31 fractional bits.
	m := n << (63 - k) >> 32
	r := uint64(k) << logFraction
	for bit := uint64(1) << (logFraction - 1); bit > 0; bit >>= 1 {
		m = m * m >> 31
		if m >= 1<<32 {
			m >>= 1
			r |= bit
		}
	}
	return r
}

// sampleOf calls f with the parts of p to be sampled, each a multiple of unit
// bytes: all of p when it is short.
func sampleOf(p []byte, unit int, f func([]byte)) {
	size := sampleWindow * unit
	if len(p) <= sampleWindows*size {
		f(p)
		return
	}
	step := (len(p)/unit - sampleWindow) / (sampleWindows - 1) * unit
	for i := range sampleWindows {
		f(p[i*step:][:size])
	}
}

// flats marks byte planes that no codec will shrink.
type flats [8]bool

// estimate is the judgement on a chunk: bytes it would take under each
// transform, scaled to the whole chunk, and which planes to store raw.
type estimate struct {
	split, bitmap         uint64
	splitFlat, bitmapFlat flats
	zeros                 bool // at least one element in 32 is zero
}

// judge samples a chunk of elements of the given width.
func (c *chunkEncoder) judge(data []byte, width int, rotate bool) estimate {
	var hist [8]histogram
	var elements, zeros, sampled uint64
	sampleOf(data, width, func(p []byte) {
		n := len(p) / width
		planes := c.carve(n, width)
		planesSplit(planes, p, width, rotate)
		for k, plane := range planes {
			hist[k].add(plane)
		}
		elements += uint64(n)
		zeros += uint64(n - countNonzero(p, width))
		sampled += uint64(len(p))
	})
	cost := func() (total uint64, flat flats) {
		for k := range width {
			var n uint64
			for i := range hist[k].a {
				n += uint64(hist[k].a[i] + hist[k].b[i])
			}
			coded := hist[k].bits() / 8
			if flat[k] = coded > n-n*minGain/100; flat[k] {
				coded = n
			}
			total += coded
		}
		return total, flat
	}
	scale := func(n uint64) uint64 { return n * uint64(len(data)) / max(sampled, 1) }
	e := estimate{zeros: zeros*32 >= elements && zeros > 0}
	e.split, e.splitFlat = cost()
	e.split = scale(e.split)
	if e.zeros {
		for k := range width {
			h := &hist[k]
			fromA := min(uint64(h.a[0]), zeros)
			h.a[0] -= uint32(fromA)
			h.b[0] -= uint32(zeros - fromA)
		}
		// The bitmap costs the entropy of a coin, and at least an eighth of a
		// bit for each element, since its bytes are coded one by one.
		coin := elements*log2(elements) - zeros*log2(zeros)
		if rest := elements - zeros; rest > 0 {
			coin -= rest * log2(rest)
		}
		bitmap := min(max(coin>>logFraction/8, elements/64), elements/8)
		e.bitmap, e.bitmapFlat = cost()
		e.bitmap = scale(e.bitmap + bitmap)
	}
	return e
}
