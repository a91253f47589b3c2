package modelfmt

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"

	"github.com/hone-ml/hone/modelfmt/internal/planes"
	"github.com/hone-ml/hone/modelfmt/internal/treehash"
)

// A chunk record is one byte of transform followed by streams. SPEC.md,
// "Chunk records", is the definition.
const (
	transformPlain  = 0 // one stream: the bytes
	transformSplit  = 1 // one stream for each byte plane
	transformBitmap = 2 // a stream of the bitmap, then split of the non-zero elements
	transformMask   = 0x7f
	transformXor    = 0x80 // the bytes were xored with the base's first
)

// maxStored is the longest record that a chunk of n logical bytes may have. The
// writer stores raw what does not shrink, so only heads come on top.
func maxStored(n int) uint64 { return uint64(n) + 128 }

// rotates reports whether elements are rotated before they are split.
func (d DType) rotates() bool { return d == F64 || d == F32 || d == BF16 || d == F16 }

func (d DType) float() bool { return d.rotates() }

// chunkEncoder compresses chunks; one goroutine uses it at a time.
type chunkEncoder struct {
	zstd, quick *zstd.Encoder // for keeps, and for trials
	huff        huff0.Scratch
	hash        treehash.Hasher
	store       []byte   // memory of the planes
	planes      [][]byte // of carve
	packed      []byte   // non-zero elements
	bitmap      []byte
	sample      []byte
	trial       []byte
}

func newChunkEncoder() (*chunkEncoder, error) {
	z, err := newZstdEncoder(zstd.SpeedDefault)
	if err != nil {
		return nil, err
	}
	quick, err := newZstdEncoder(zstd.SpeedFastest)
	if err != nil {
		return nil, err
	}
	return &chunkEncoder{zstd: z, quick: quick}, nil
}

func (c *chunkEncoder) close() {
	c.zstd.Close()
	c.quick.Close()
}

// carve returns width planes of n bytes, valid until the next call.
func (c *chunkEncoder) carve(n, width int) [][]byte {
	if cap(c.store) < n*width {
		c.store = make([]byte, n*width)
	}
	c.planes = c.planes[:0]
	for k := range width {
		c.planes = append(c.planes, c.store[k*n:(k+1)*n:(k+1)*n])
	}
	return c.planes
}

func planesSplit(p [][]byte, src []byte, width int, rotate bool) {
	planes.Split(p, src, width, rotate && width > 1)
}

// encode appends the record of a chunk to dst. base has the bytes of the same
// chunk of the base checkpoint, or is nil; it is overwritten.
func (c *chunkEncoder) encode(dst, data []byte, d DType, base []byte) []byte {
	transform, cost, flat := c.choose(data, d)
	flag := byte(0)
	if base != nil {
		xorBytes(base, base, data)
		if t, n, f := c.choose(base, d); n < cost-cost/32 {
			transform, flat, data, flag = t, f, base, transformXor
		}
	}
	head := len(dst)
	dst = append(dst, transform|flag)
	width := d.Size()
	switch transform {
	case transformSplit:
		dst = c.appendPlanes(dst, data, width, d.rotates(), flat)
	case transformBitmap:
		c.bitmap, c.packed = packNonzero(c.bitmap[:0], c.packed[:0], data, width)
		dst = c.appendStream(dst, c.bitmap)
		if len(c.packed) > 0 {
			dst = c.appendPlanes(dst, c.packed, width, d.rotates(), flat)
		}
	default:
		dst = c.appendStream(dst, data)
	}
	if len(dst)-head > len(data)+16 {
		dst = append(dst[:head], transformPlain|flag)
		dst = appendRaw(dst, data)
	}
	return dst
}

// appendPlanes appends a stream for each plane of data. Those that are flat get no
// second look, and leading ones are split straight to their place in the record.
func (c *chunkEncoder) appendPlanes(dst, data []byte, width int, rotate bool, flat flats) []byte {
	n := len(data) / width
	p := c.carve(n, width)
	dst = slices.Grow(dst, len(data)+width*binary.MaxVarintLen32)
	lead := 0
	for ; lead < width && flat[lead]; lead++ {
		dst = appendRawHead(dst, n)
		dst = dst[:len(dst)+n]
		p[lead] = dst[len(dst)-n:]
	}
	planesSplit(p, data, width, rotate)
	for k := lead; k < width; k++ {
		if flat[k] {
			dst = appendRaw(dst, p[k])
		} else {
			dst = c.appendStream(dst, p[k])
		}
	}
	return dst
}

// choose picks the transform for a chunk, with the bytes it should take and the
// planes that are flat.
func (c *chunkEncoder) choose(data []byte, d DType) (transform byte, cost uint64, flat flats) {
	width := d.Size()
	if allEqual(data) {
		return transformPlain, 1, flat
	}
	if len(data) < 64 {
		return transformPlain, uint64(len(data)), flat
	}
	e := c.judge(data, width, d.rotates())
	transform, cost, flat = transformSplit, e.split, e.splitFlat
	if width == 1 {
		transform, flat = transformPlain, flats{}
	}
	if e.zeros && e.bitmap < cost {
		transform, cost, flat = transformBitmap, e.bitmap, e.bitmapFlat
	}
	// Whole elements that repeat are for zstd, which the planes would blind.
	// Ordinary float weights, which shrink by a sixth, are spared the trial.
	share := cost * 100 / uint64(len(data))
	if width > 1 && (!d.float() || share < 75 || share > 97) {
		plain := uint64(c.trialZstd(data)) * uint64(len(data)) / uint64(len(c.sample))
		if plain < cost-cost/32 {
			return transformPlain, plain, flat
		}
	}
	return transform, cost, flat
}

// chunkDecoder is the inverse; one goroutine uses it at a time.
type chunkDecoder struct {
	zstd   *zstd.Decoder
	huff   *huff0.Scratch
	hash   treehash.Hasher
	store  []byte
	bitmap []byte
	packed []byte
	planes [][]byte
}

func newChunkDecoder() (*chunkDecoder, error) {
	z, err := newZstdDecoder()
	if err != nil {
		return nil, err
	}
	return &chunkDecoder{zstd: z}, nil
}

// decode fills dst, whose length is the chunk's logical length, from a record.
// When xor is true dst holds the difference to the base's chunk.
func (c *chunkDecoder) decode(dst, record []byte, d DType) (xor bool, err error) {
	if len(record) == 0 {
		return false, errors.New("empty record")
	}
	rest := record[1:]
	width := d.Size()
	switch t := record[0] & transformMask; t {
	case transformPlain:
		var out []byte
		if out, rest, err = c.stream(dst, rest, len(dst)); err == nil && len(out) > 0 && &out[0] != &dst[0] {
			copy(dst, out)
		}
	case transformSplit:
		rest, err = c.joinPlanes(dst, rest, width, d.rotates())
	case transformBitmap:
		var bitmap, packed []byte
		if bitmap, packed, rest, err = c.sparse(rest, len(dst)/width, width, d.rotates()); err == nil {
			unpackNonzero(dst, bitmap, packed, width)
		}
	default:
		return false, fmt.Errorf("transform %d is unknown", t)
	}
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	return record[0]&transformXor != 0, err
}

func (c *chunkDecoder) joinPlanes(dst, b []byte, width int, rotate bool) (rest []byte, err error) {
	if width == 1 {
		return nil, errors.New("elements of one byte are split")
	}
	n := len(dst) / width
	if cap(c.store) < len(dst) {
		c.store = make([]byte, len(dst))
	}
	c.planes = c.planes[:0]
	for k := range width {
		var plane []byte
		if plane, b, err = c.stream(c.store[k*n:(k+1)*n], b, n); err != nil {
			return nil, fmt.Errorf("plane %d: %w", k, err)
		}
		c.planes = append(c.planes, plane)
	}
	planes.Join(dst, c.planes, width, rotate)
	return b, nil
}

// sparse reads the body of a bitmap record of n elements: the bitmap and the
// elements that it marks. Both are valid until the next call.
func (c *chunkDecoder) sparse(b []byte, n, width int, rotate bool) (bitmap, packed, rest []byte, err error) {
	size := (n + 7) / 8
	if cap(c.bitmap) < size {
		c.bitmap = make([]byte, size)
	}
	if bitmap, rest, err = c.stream(c.bitmap[:size], b, size); err != nil {
		return nil, nil, nil, fmt.Errorf("bitmap: %w", err)
	}
	if n%8 != 0 && bitmap[size-1]>>(n%8) != 0 {
		return nil, nil, nil, errors.New("bitmap: bits past the last element are set")
	}
	count := countBits(bitmap)
	if cap(c.packed) < count*width {
		c.packed = make([]byte, max(count, n)*width)
	}
	packed = c.packed[:count*width]
	switch {
	case count == 0:
	case width == 1:
		var out []byte
		if out, rest, err = c.stream(packed, rest, count); err == nil {
			copy(packed, out)
		}
	default:
		rest, err = c.joinPlanes(packed, rest, width, rotate)
	}
	return bitmap, packed, rest, err
}

// decodeBounded decompresses a frame that must give exactly n bytes. Memory grows
// with what the frame really holds.
func decodeBounded(z *zstd.Decoder, frame []byte, n int) ([]byte, error) {
	if err := z.Reset(bytes.NewReader(frame)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if _, err := io.Copy(&out, io.LimitReader(z, int64(n)+1)); err != nil {
		return nil, err
	}
	if out.Len() != n {
		return nil, fmt.Errorf("%d bytes or more where %d are declared", out.Len(), n)
	}
	return out.Bytes(), nil
}

// xorBytes sets dst to a xor b; all have one length and dst may be either.
func xorBytes(dst, a, b []byte) { subtle.XORBytes(dst, a, b) }
