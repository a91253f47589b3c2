package modelfmt

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A chunk record is one byte of transform followed by streams. SPEC.md,
// "Chunk records", is the definition.
const (
	transformPlain = 0 // one stream: the chunk's bytes
	transformMask  = 0x7f
	transformXor   = 0x80 // the logical bytes were xored with the base's first
)

// Stream codecs. A stream is its codec, a uvarint length, and that many bytes.
const (
	codecRaw      = 0
	codecConstant = 1
	codecZstd     = 3
)

// maxStored is the longest record that a chunk of n logical bytes may have. The
// writer stores raw what does not shrink, so only heads come on top.
func maxStored(n int) uint64 { return uint64(n) + 128 }

// zstdWindow bounds what a zstd frame inside a checkpoint may ask for. It equals
// the largest chunk.
const zstdWindow = 1 << maxChunkLog2

// chunkEncoder compresses chunks; one goroutine uses it at a time.
type chunkEncoder struct {
	zstd *zstd.Encoder
}

func newChunkEncoder() (*chunkEncoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	return &chunkEncoder{zstd: z}, nil
}

func (c *chunkEncoder) close() { c.zstd.Close() }

// encode appends the record of a chunk to dst. base has the bytes of the same
// chunk of the base checkpoint, or is nil; it is overwritten.
func (c *chunkEncoder) encode(dst, data []byte, d DType, base []byte) []byte {
	dst = append(dst, transformPlain)
	return c.stream(dst, data)
}

func (c *chunkEncoder) stream(dst, data []byte) []byte {
	if allEqual(data) {
		return append(dst, codecConstant, 1, data[0])
	}
	// The length's width is known only afterwards: leave the widest and close up.
	head := len(dst)
	dst = append(dst, codecZstd)
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	body := len(dst)
	dst = c.zstd.EncodeAll(data, dst)
	if n := len(dst) - body; n < len(data)-len(data)/64 {
		short := binary.AppendUvarint(dst[:head+1], uint64(n))
		return append(short, dst[body:]...)
	}
	dst = append(dst[:head], codecRaw)
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	return append(dst, data...)
}

func allEqual(b []byte) bool {
	for i := range b {
		if b[i] != b[0] {
			return false
		}
	}
	return len(b) > 0
}

// chunkDecoder is the inverse; one goroutine uses it at a time.
type chunkDecoder struct {
	zstd *zstd.Decoder
}

func newChunkDecoder() (*chunkDecoder, error) {
	z, err := newZstdDecoder()
	if err != nil {
		return nil, err
	}
	return &chunkDecoder{zstd: z}, nil
}

// newZstdDecoder returns a decoder that never produces more than the capacity
// of what it is given, and refuses frames with a larger window than ours.
func newZstdDecoder() (*zstd.Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderLowmem(true),
		zstd.IgnoreChecksum(false))
	if err != nil {
		return nil, fmt.Errorf("start zstd decoder: %w", err)
	}
	return z, nil
}

func (c *chunkDecoder) close() { c.zstd.Close() }

// decode fills dst, whose length is the chunk's logical length, from a record.
// When xor is true dst holds the difference to the base's chunk.
func (c *chunkDecoder) decode(dst, record []byte, d DType) (xor bool, err error) {
	if len(record) == 0 {
		return false, errors.New("empty record")
	}
	rest := record[1:]
	switch t := record[0] & transformMask; t {
	case transformPlain:
		rest, err = c.stream(dst, rest)
	default:
		return false, fmt.Errorf("transform %d is unknown", t)
	}
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes are left over", len(rest))
	}
	return record[0]&transformXor != 0, err
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

// stream fills dst from the stream at the head of b and returns what follows.
func (c *chunkDecoder) stream(dst, b []byte) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, errors.New("a stream is missing")
	}
	codec := b[0]
	n, w := binary.Uvarint(b[1:])
	if w <= 0 || n > uint64(len(b)-1-w) {
		return nil, errors.New("a stream's length is wrong")
	}
	body, rest := b[1+w:1+w+int(n)], b[1+w+int(n):]
	switch codec {
	case codecRaw:
		if len(body) != len(dst) {
			return nil, fmt.Errorf("raw stream of %d bytes for %d", len(body), len(dst))
		}
		copy(dst, body)
	case codecConstant:
		if len(body) != 1 {
			return nil, errors.New("constant stream is not one byte")
		}
		for i := range dst {
			dst[i] = body[0]
		}
	case codecZstd:
		out, err := c.zstd.DecodeAll(body, dst[:0:len(dst)])
		if err != nil {
			return nil, fmt.Errorf("zstd stream: %w", err)
		}
		if len(out) != len(dst) {
			return nil, fmt.Errorf("zstd stream gives %d bytes for %d", len(out), len(dst))
		}
	default:
		return nil, fmt.Errorf("stream codec %d is unknown", codec)
	}
	return rest, nil
}

// xorBytes sets dst to a xor b; all have one length and dst may be either.
func xorBytes(dst, a, b []byte) { subtle.XORBytes(dst, a, b) }
