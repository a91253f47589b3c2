package modelfmt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Diff is what differs between two checkpoints.
type Diff struct {
	// Same reports that the roots are equal, so that nothing differs.
	Same bool `json:"same"`
	// Tensors has every tensor of either file: those of the first in its
	// order, then those that only the second has.
	Tensors []TensorDiff `json:"tensors"`
	// Blobs and Manifest name what differs, is added, or is absent.
	Blobs    []NameDiff `json:"blobs"`
	Manifest []NameDiff `json:"manifest"`
}

// NameDiff names a blob or manifest section and how it differs: "changed", "only
// in first", "only in second".
type NameDiff struct {
	Name string `json:"name"`
	How  string `json:"how"`
}

// TensorDiff compares one tensor.
type TensorDiff struct {
	Name string `json:"name"`
	// How is "same", "changed", "type or shape", "only in first" or "only in
	// second". The numbers below are set for "same" and "changed".
	How string `json:"how"`
	// Elements counts all of them, Changed those whose bits differ.
	Elements int64 `json:"elements"`
	Changed  int64 `json:"changed"`
	// MaxAbs is the largest |a-b|, of elements that are both finite.
	MaxAbs float64 `json:"max_abs"`
	// Cosine is of the two tensors as vectors, of elements that are both
	// finite: 1 for equal ones, 0 when one of them is zero.
	Cosine float64 `json:"cosine"`
	// NonFinite counts places where either is NaN or infinite.
	NonFinite int64 `json:"non_finite"`
}

// Compare compares two checkpoints tensor by tensor. Tensors whose digests agree
// are not read.
func Compare(ctx context.Context, a, b *Reader, progress Progress) (Diff, error) {
	d := Diff{Same: a.Root() == b.Root(), Tensors: []TensorDiff{}, Blobs: []NameDiff{}, Manifest: []NameDiff{}}
	var total int64
	for _, e := range a.index.entries {
		total += e.bytes
	}
	tell := newMeter(progress, total)
	for _, e := range a.index.entries {
		o := b.entries[e.kind][e.info.Name]
		if e.kind == kindBlob {
			if o == nil {
				d.Blobs = append(d.Blobs, NameDiff{e.info.Name, "only in first"})
			} else if same, err := sameBytes(ctx, a, b, e, o); err != nil {
				return d, err
			} else if !same {
				d.Blobs = append(d.Blobs, NameDiff{e.info.Name, "changed"})
			}
			tell.add(e.bytes)
			continue
		}
		t, err := compareTensor(ctx, a, b, e, o, tell)
		if err != nil {
			return d, fmt.Errorf("compare %s: %w", e.section(), err)
		}
		d.Tensors = append(d.Tensors, t)
	}
	for _, e := range b.index.entries {
		if a.entries[e.kind][e.info.Name] != nil {
			continue
		}
		if e.kind == kindBlob {
			d.Blobs = append(d.Blobs, NameDiff{e.info.Name, "only in second"})
		} else {
			d.Tensors = append(d.Tensors, TensorDiff{Name: e.info.Name, How: "only in second", Elements: int64(e.info.Elements())})
		}
	}
	d.Manifest = compareManifest(a, b)
	return d, nil
}

func compareManifest(a, b *Reader) []NameDiff {
	out := []NameDiff{}
	for name, v := range a.sections {
		if o, ok := b.sections[name]; !ok {
			out = append(out, NameDiff{name, "only in first"})
		} else if !bytes.Equal(v, o) {
			out = append(out, NameDiff{name, "changed"})
		}
	}
	for name := range b.sections {
		if _, ok := a.sections[name]; !ok {
			out = append(out, NameDiff{name, "only in second"})
		}
	}
	slices.SortFunc(out, func(x, y NameDiff) int { return bytes.Compare([]byte(x.Name), []byte(y.Name)) })
	return out
}

// sameDigests reports whether two entries are known to hold the same bytes.
func sameDigests(a, b *Reader, x, y *entry) bool {
	return a.index.chunkLog2 == b.index.chunkLog2 && x.bytes == y.bytes &&
		slices.EqualFunc(x.chunks, y.chunks, func(p, q chunkRef) bool { return p.digest == q.digest })
}

// pairs calls f with the bytes of both entries, piece by piece.
func pairs(ctx context.Context, a, b *Reader, x, y *entry, f func(p, q []byte)) error {
	piece := max(a.index.chunkSize(), b.index.chunkSize()) * int64(a.opts.Workers)
	p, q := make([]byte, min(piece, x.bytes)), make([]byte, min(piece, x.bytes))
	for at := int64(0); at < x.bytes; at += piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(piece, x.bytes-at)
		if err := a.readRange(x, at, p[:n]); err != nil {
			return err
		}
		if err := b.readRange(y, at, q[:n]); err != nil {
			return err
		}
		f(p[:n], q[:n])
	}
	return nil
}

func sameBytes(ctx context.Context, a, b *Reader, x, y *entry) (bool, error) {
	if x.bytes != y.bytes || sameDigests(a, b, x, y) {
		return x.bytes == y.bytes, nil
	}
	same := true
	err := pairs(ctx, a, b, x, y, func(p, q []byte) { same = same && bytes.Equal(p, q) })
	return same, err
}

func compareTensor(ctx context.Context, a, b *Reader, x, y *entry, tell *meter) (TensorDiff, error) {
	t := TensorDiff{Name: x.info.Name, Elements: int64(x.info.Elements())}
	switch {
	case y == nil:
		t.How = "only in first"
	case x.info.DType != y.info.DType || !slices.Equal(x.info.Shape, y.info.Shape):
		t.How = "type or shape"
	case sameDigests(a, b, x, y):
		t.How, t.Cosine = "same", 1
	default:
		var ab, aa, bb float64
		width := x.info.DType.Size()
		err := pairs(ctx, a, b, x, y, func(p, q []byte) {
			for i := 0; i < len(p); i += width {
				u, v := x.info.DType.Float(p[i:]), x.info.DType.Float(q[i:])
				if !bytes.Equal(p[i:i+width], q[i:i+width]) {
					t.Changed++
				}
				if finite(u) && finite(v) {
					t.MaxAbs = max(t.MaxAbs, math.Abs(u-v))
					ab, aa, bb = ab+u*v, aa+u*u, bb+v*v
				} else {
					t.NonFinite++
				}
			}
			tell.add(int64(len(p)))
		})
		t.How = "changed"
		if t.Changed == 0 {
			t.How, t.Cosine = "same", 1
		} else if aa > 0 && bb > 0 {
			t.Cosine = ab / (math.Sqrt(aa) * math.Sqrt(bb))
		}
		return t, err
	}
	tell.add(x.bytes)
	return t, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Float returns the element at the head of b as a float64. Integers above 2^53
// are rounded.
func (d DType) Float(b []byte) float64 {
	le := binary.LittleEndian
	switch d {
	case F64:
		return math.Float64frombits(le.Uint64(b))
	case F32:
		return float64(math.Float32frombits(le.Uint32(b)))
	case BF16:
		return float64(math.Float32frombits(uint32(le.Uint16(b)) << 16))
	case F16:
		return halfFloat(le.Uint16(b))
	case I64:
		return float64(int64(le.Uint64(b)))
	case I32:
		return float64(int32(le.Uint32(b)))
	case I8:
		return float64(int8(b[0]))
	case U64:
		return float64(le.Uint64(b))
	case U32:
		return float64(le.Uint32(b))
	default:
		return float64(b[0])
	}
}

// halfFloat widens an IEEE 754 binary16.
func halfFloat(u uint16) float64 {
	sign := 1.0
	if u>>15 != 0 {
		sign = -1
	}
	exp, frac := int(u>>10&31), float64(u&1023)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1+frac/1024, exp-15)
}
