package modelfmt

import (
	"fmt"
	"io"
	"math/bits"
)

// Sparse is a tensor as its non-zero elements. A float is zero when all its bits
// are: a negative zero is kept.
type Sparse struct {
	Info TensorInfo
	// Bitmap has a bit for each element in row-major order, set where Values has
	// the element; bit i%8 of byte i/8 is element i, and bits past the end are 0.
	Bitmap []byte
	// Values has the marked elements in order, little endian.
	Values []byte
}

// ReadSparse returns a tensor as its non-zero elements. Chunks that are stored
// with a bitmap are not made dense on the way; others are, one at a time. The
// memory taken is that of the result and one chunk.
func (r *Reader) ReadSparse(name string) (Sparse, error) {
	e, err := r.find(kindTensor, name)
	if err != nil {
		return Sparse{}, err
	}
	d, err := r.decoder()
	if err != nil {
		return Sparse{}, err
	}
	defer r.decoders.Put(d)
	width := e.info.DType.Size()
	s := Sparse{Info: e.copyInfo(), Bitmap: make([]byte, 0, (e.bytes/int64(width)+7)/8)}
	for i := range e.chunks {
		// The elements of a chunk are a multiple of 8 but in the last, so the
		// bitmaps of chunks follow each other by bytes.
		n := e.chunkLen(i, r.index.chunkSize())
		if err := r.appendSparse(&s, e, i, n, width, d); err != nil {
			return Sparse{}, err
		}
	}
	return s, nil
}

func (r *Reader) appendSparse(s *Sparse, e *entry, i, n, width int, d *chunkDecoder) error {
	record, err := r.readRecord(e, i)
	if err != nil {
		return err
	}
	defer r.recycle(record)
	if (*record)[0] == transformBitmap {
		bitmap, packed, rest, err := d.sparse((*record)[1:], n/width, width, e.info.DType.rotates())
		if err == nil && len(rest) != 0 {
			err = fmt.Errorf("%d bytes are left over", len(rest))
		}
		if err != nil {
			return r.corrupt(e, i, "chunk does not decode", err)
		}
		s.Bitmap = append(s.Bitmap, bitmap...)
		s.Values = append(s.Values, packed...)
		return nil
	}
	dense := r.buffer(n)
	defer r.recycle(dense)
	xor, err := d.decode(*dense, *record, e.info.DType)
	if err != nil {
		return r.corrupt(e, i, "chunk does not decode", err)
	}
	if xor {
		if err := r.xorBase(e, i, *dense); err != nil {
			return err
		}
	}
	s.Bitmap, s.Values = packNonzero(s.Bitmap, s.Values, *dense, width)
	return nil
}

// AddSparse adds a tensor from its non-zero elements. The file is the same as that
// of [Writer.AddTensor] with the dense bytes, of which only chunks are made.
func (w *Writer) AddSparse(s Sparse) error {
	if err := w.check(); err != nil {
		return err
	}
	e := &entry{info: s.Info}
	if err := w.admit(e); err != nil {
		return err
	}
	width := s.Info.DType.Size()
	n := int(e.bytes) / width
	switch {
	case len(s.Bitmap) != (n+7)/8:
		return &InputError{e.section(), fmt.Sprintf("its bitmap has %d bytes, and %d elements need %d", len(s.Bitmap), n, (n+7)/8)}
	case n%8 != 0 && s.Bitmap[n/8]>>(n%8) != 0:
		return &InputError{e.section(), "its bitmap has bits past the last element; clear them"}
	case countBits(s.Bitmap)*width != len(s.Values):
		return &InputError{e.section(), fmt.Sprintf("its bitmap marks %d elements, and its values are %d bytes", countBits(s.Bitmap), len(s.Values))}
	}
	return w.AddTensorFrom(s.Info, &sparseReader{bitmap: s.Bitmap, values: s.Values, width: width, elements: n})
}

// sparseReader gives the dense bytes of a sparse tensor.
type sparseReader struct {
	bitmap, values  []byte
	width, elements int
	at              int // element
	piece, rest     []byte
}

const sparsePiece = 4096 // elements, a multiple of 8

func (s *sparseReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		n := min(sparsePiece, s.elements-s.at)
		if n == 0 {
			return 0, io.EOF
		}
		if s.piece == nil {
			s.piece = make([]byte, sparsePiece*s.width)
		}
		bitmap := s.bitmap[s.at/8 : (s.at+n+7)/8]
		used := 0
		for _, b := range bitmap {
			used += bits.OnesCount8(b)
		}
		s.rest = s.piece[:n*s.width]
		unpackNonzero(s.rest, bitmap, s.values[:used*s.width], s.width)
		s.values = s.values[used*s.width:]
		s.at += n
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
