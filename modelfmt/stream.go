package modelfmt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// Stream codecs. A stream is its codec, a uvarint length, and that many bytes.
const (
	codecRaw      = 0
	codecConstant = 1
	codecHuffman  = 2 // blocks of 128 KiB, each a stream of codec 0, 1 or 4
	codecZstd     = 3
	codecLiterals = 4 // inside codecHuffman only: one Huffman-coded block
)

const (
	huffmanBlock = 128 << 10
	// minGain is the share, in percent, that a coded stream must save to be
	// worth the time of decoding it.
	minGain = 3
)

// zstdWindow bounds what a zstd frame inside a checkpoint may ask for. It equals
// the largest chunk.
const zstdWindow = 1 << maxChunkLog2

// appendStream appends data as a stream, with the codec that seems best.
func (c *chunkEncoder) appendStream(dst, data []byte) []byte {
	if len(data) > 0 && allEqual(data) {
		return append(dst, codecConstant, 1, data[0])
	}
	codec := c.chooseCodec(data)
	head := len(dst)
	dst = append(dst, codec)
	dst = binary.AppendUvarint(dst, uint64(len(data))) // the widest it can be
	body := len(dst)
	switch codec {
	case codecHuffman:
		dst = c.appendBlocks(dst, data)
	case codecZstd:
		dst = c.zstd.EncodeAll(data, dst)
	}
	n := len(dst) - body
	if codec == codecRaw || n > len(data)-gainOf(len(data)) {
		return appendRaw(dst[:head], data)
	}
	short := binary.AppendUvarint(dst[:head+1], uint64(n))
	return append(short, dst[body:]...)
}

func appendRaw(dst, data []byte) []byte {
	return append(appendRawHead(dst, len(data)), data...)
}

func appendRawHead(dst []byte, n int) []byte {
	return binary.AppendUvarint(append(dst, codecRaw), uint64(n))
}

func gainOf(n int) int { return n * minGain / 100 }

// chooseCodec samples data.
func (c *chunkEncoder) chooseCodec(data []byte) byte {
	if len(data) < 32 {
		return codecRaw
	}
	var h histogram
	sampled := 0
	sampleOf(data, 1, func(p []byte) { h.add(p); sampled += len(p) })
	huffman := int(h.bits()/8) + 32 // a table takes about that much
	small := min(huffman, c.trialZstd(data))
	switch {
	case small > sampled-gainOf(sampled):
		return codecRaw
	case small < huffman-huffman/32:
		return codecZstd
	}
	return codecHuffman
}

// trialZstd returns what zstd makes of the sample.
func (c *chunkEncoder) trialZstd(data []byte) int {
	c.sample = c.sample[:0]
	sampleOf(data, 1, func(p []byte) { c.sample = append(c.sample, p...) })
	c.trial = c.quick.EncodeAll(c.sample, c.trial[:0])
	return len(c.trial)
}

// appendBlocks appends the body of a Huffman stream.
func (c *chunkEncoder) appendBlocks(dst, data []byte) []byte {
	for len(data) > 0 {
		block := data[:min(huffmanBlock, len(data))]
		data = data[len(block):]
		c.huff.Reuse = huff0.ReusePolicyNone
		out, _, err := huff0.Compress4X(block, &c.huff)
		switch {
		case errors.Is(err, huff0.ErrUseRLE):
			dst = append(dst, codecConstant, 1, block[0])
		case err != nil || len(out) >= len(block):
			dst = appendRaw(dst, block)
		default:
			dst = append(dst, codecLiterals)
			dst = binary.AppendUvarint(dst, uint64(len(out)))
			dst = append(dst, out...)
		}
	}
	return dst
}

func allEqual(b []byte) bool {
	for _, v := range b {
		if v != b[0] {
			return false
		}
	}
	return true
}

// cutStream takes one stream from the head of b.
func cutStream(b []byte) (codec byte, body, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, nil, errors.New("a stream is missing")
	}
	n, w := binary.Uvarint(b[1:])
	if w <= 0 || n > uint64(len(b)-1-w) || w > 1 && b[w] == 0 {
		return 0, nil, nil, errors.New("a stream's length is wrong")
	}
	return b[0], b[1+w:][:n], b[1+w+int(n):], nil
}

// stream decodes the stream at the head of b, which must give n bytes. The result
// lies in scratch, whose length is at least n, or in b itself.
func (c *chunkDecoder) stream(scratch, b []byte, n int) (out, rest []byte, err error) {
	codec, body, rest, err := cutStream(b)
	if err != nil {
		return nil, nil, err
	}
	if codec == codecRaw {
		if len(body) != n {
			return nil, nil, fmt.Errorf("raw stream of %d bytes for %d", len(body), n)
		}
		return body, rest, nil
	}
	out = scratch[:n:n]
	switch codec {
	case codecConstant:
		err = fillConstant(out, body)
	case codecHuffman:
		err = c.blocks(out, body)
	case codecZstd:
		err = c.inflate(out, body)
	default:
		err = fmt.Errorf("stream codec %d is unknown", codec)
	}
	return out, rest, err
}

func fillConstant(out, body []byte) error {
	if len(body) != 1 {
		return errors.New("constant stream is not one byte")
	}
	for i := range out {
		out[i] = body[0]
	}
	return nil
}

func (c *chunkDecoder) inflate(out, frame []byte) error {
	got, err := c.zstd.DecodeAll(frame, out[:0])
	if err != nil {
		return fmt.Errorf("zstd stream: %w", err)
	}
	if len(got) != len(out) {
		return fmt.Errorf("zstd stream gives %d bytes for %d", len(got), len(out))
	}
	if len(out) > 0 && &got[0] != &out[0] {
		copy(out, got)
	}
	return nil
}

// blocks decodes the body of a Huffman stream.
func (c *chunkDecoder) blocks(out, b []byte) error {
	for len(out) > 0 {
		n := min(huffmanBlock, len(out))
		block := out[:n:n]
		out = out[n:]
		codec, body, rest, err := cutStream(b)
		if err != nil {
			return err
		}
		b = rest
		switch codec {
		case codecRaw:
			if len(body) != n {
				return fmt.Errorf("raw block of %d bytes for %d", len(body), n)
			}
			copy(block, body)
		case codecConstant:
			err = fillConstant(block, body)
		case codecLiterals:
			err = c.literals(block, body)
		default:
			err = fmt.Errorf("block codec %d is unknown", codec)
		}
		if err != nil {
			return err
		}
	}
	if len(b) != 0 {
		return fmt.Errorf("%d bytes follow the last block", len(b))
	}
	return nil
}

func (c *chunkDecoder) literals(block, b []byte) error {
	s, b, err := huff0.ReadTable(b, c.huff)
	if err != nil {
		return fmt.Errorf("table of a Huffman block: %w", err)
	}
	c.huff = s
	got, err := s.Decoder().Decompress4X(block[:0:len(block)], b)
	if err != nil {
		return fmt.Errorf("streams of a Huffman block: %w", err)
	}
	if len(got) != len(block) {
		return fmt.Errorf("a Huffman block gives %d bytes for %d", len(got), len(block))
	}
	return nil
}

// newZstdDecoder returns a decoder that never produces more than the capacity
// of what it is given, and refuses frames with a larger window than ours.
func newZstdDecoder() (*zstd.Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(1<<30), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd decoder: %w", err)
	}
	return z, nil
}

func newZstdEncoder(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	return z, nil
}
