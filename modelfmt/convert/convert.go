package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
	"github.com/hone-ml/hone/modelfmt/safetensors"
)

// Options says how to convert.
type Options struct {
	// Format of the target; empty means by the ending of its path.
	Format Format
	// Names renames tensors; nil keeps all names.
	Names *NameMap
	// AllowIdle lets rules match nothing.
	AllowIdle bool
	// Role is given to tensors that have none, when a checkpoint is written.
	Role string
	// ShardBytes bounds a shard of a sharded safetensors file; 0 means
	// [safetensors.DefaultShard].
	ShardBytes int64
	// Writer is for writing a checkpoint.
	Writer modelfmt.WriterOptions
	// Progress is told the bytes of the tensors; may be nil.
	Progress modelfmt.Progress
}

// Convert writes the tensors of src to path, whose former content stays until the
// new one is durable. From checkpoint to checkpoint, manifest and blobs go along;
// to other formats they cannot, and the report lists them as lost.
func Convert(ctx context.Context, src Source, path string, opts Options) (Report, error) {
	if opts.Format == "" {
		var err error
		if opts.Format, err = FormatOf(path); err != nil {
			return Report{}, err
		}
	}
	pairs, report, err := rename(src.Tensors(), opts.Names)
	if err != nil {
		return report, err
	}
	report.Mapped = append(report.Mapped, pairs...)
	if err := report.check(Strictness{AllowIdle: opts.AllowIdle}, len(src.Tensors())); err != nil {
		return report, err
	}
	t := &transfer{ctx: ctx, src: src, progress: opts.Progress}
	for _, p := range pairs {
		t.total += p.To.Bytes()
	}
	t.add(0)
	switch opts.Format {
	case Hone:
		err = t.toHone(path, pairs, opts, &report)
	case Safetensors:
		report.Lost = lost(src)
		if strings.HasSuffix(path, safetensors.IndexSuffix) {
			err = safetensors.WriteSharded(path, src.Metadata(), t.tensors(pairs), opts.ShardBytes)
		} else {
			err = modelfmt.ReplaceFile(path, func(w io.Writer) error { return safetensors.Write(w, src.Metadata(), t.tensors(pairs)) })
		}
	case NPZ:
		report.Lost = lost(src)
		err = modelfmt.ReplaceFile(path, func(w io.Writer) error { return t.toNPZ(w, pairs) })
	default:
		err = &modelfmt.InputError{What: "format", Detail: fmt.Sprintf("%q is unknown; use hone, safetensors or npz", opts.Format)}
	}
	if err != nil {
		return report, fmt.Errorf("convert to %s: %w", path, err)
	}
	return report, nil
}

// lost lists what of a checkpoint other formats have no place for.
func lost(src Source) []string {
	h, ok := src.(honeSource)
	if !ok {
		return nil
	}
	var out []string
	for _, b := range h.Blobs() {
		out = append(out, "blob "+b)
	}
	for s := range h.Manifest() {
		if s != metadataSection {
			out = append(out, "manifest "+s)
		}
	}
	slices.Sort(out)
	return out
}

// transfer moves the bytes of one conversion.
type transfer struct {
	ctx         context.Context
	src         Source
	progress    modelfmt.Progress
	done, total int64
}

func (t *transfer) add(n int64) {
	t.done += n
	if t.progress != nil {
		t.progress(t.done, t.total)
	}
}

// open gives the bytes of a pair's tensor as the target wants them.
func (t *transfer) open(p Pair) (io.Reader, error) {
	r, err := t.src.TensorReader(p.From)
	if err != nil {
		return nil, err
	}
	r = &watched{t, r}
	if p.Permute == nil || slices.IsSorted(p.Permute) {
		return r, nil
	}
	b, err := p.readAll(r)
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(b), nil
}

// Read returns the dense bytes of the pair's tensor as they become: of shape
// p.To.Shape, with the axes reordered. It is what a loader calls for each pair
// that [Match] mapped.
func (p Pair) Read(src Source) ([]byte, error) {
	r, err := src.TensorReader(p.From)
	if err != nil {
		return nil, err
	}
	return p.readAll(r)
}

// ReadAs is Read with the elements as type d: what [Match] mapped with castFloats
// may be of another float type. Only to f32 and f64 can be converted; a float that
// the type does not have is rounded to the nearest.
func (p Pair) ReadAs(src Source, d modelfmt.DType) ([]byte, error) {
	b, err := p.Read(src)
	from := p.To.DType
	if err != nil || from == d {
		return b, err
	}
	if !isFloat(from) || d != modelfmt.F32 && d != modelfmt.F64 {
		return nil, fmt.Errorf("tensor %q: %s does not become %s", p.From, from, d)
	}
	out := make([]byte, 0, p.To.Elements()*d.Size())
	for ; len(b) > 0; b = b[from.Size():] {
		if v := from.Float(b); d == modelfmt.F32 {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		} else {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		}
	}
	return out, nil
}

func (p Pair) readAll(r io.Reader) ([]byte, error) {
	b := make([]byte, p.To.Bytes())
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", p.From, err)
	}
	if p.Permute == nil || slices.IsSorted(p.Permute) {
		return b, nil
	}
	return permute(b, p.To.Shape, p.Permute, p.To.DType.Size()), nil
}

// watched reports progress and ends with its context.
type watched struct {
	t *transfer
	r io.Reader
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	w.t.add(int64(n))
	return n, err
}

// permute reorders the axes of src; shape is the result's.
func permute(src []byte, shape, axes []int, width int) []byte {
	dst := make([]byte, len(src))
	if len(src) == 0 {
		return dst
	}
	// stride[a] is the distance in src between neighbours along axis a of dst.
	stride := make([]int, len(shape))
	step := width
	for from := len(axes) - 1; from >= 0; from-- {
		to := slices.Index(axes, from)
		stride[to] = step
		step *= shape[to]
	}
	at := make([]int, len(shape))
	from := 0
	for to := 0; to < len(dst); to += width {
		copy(dst[to:to+width], src[from:])
		for a := len(shape) - 1; a >= 0; a-- {
			at[a]++
			from += stride[a]
			if at[a] < shape[a] {
				break
			}
			from -= stride[a] * shape[a]
			at[a] = 0
		}
	}
	return dst
}

func (t *transfer) toHone(path string, pairs []Pair, opts Options, report *Report) error {
	w, err := modelfmt.Create(path, opts.Writer)
	if err != nil {
		return err
	}
	defer w.Abort()
	if h, ok := t.src.(honeSource); ok {
		for name, v := range h.Manifest() {
			if err := w.SetManifest(name, v); err != nil {
				return err
			}
		}
		for _, name := range h.Blobs() {
			b, err := h.Blob(name)
			if err == nil {
				err = w.AddBlob(name, b)
			}
			if err != nil {
				return err
			}
		}
	} else if m := t.src.Metadata(); len(m) > 0 {
		text, err := metadataJSON(m)
		if err == nil {
			err = w.SetManifest(metadataSection, text)
		}
		if err != nil {
			return err
		}
	}
	for i := range pairs {
		p := &pairs[i]
		if p.To.Role == "" {
			p.To.Role = opts.Role
			report.Mapped[i].To.Role = opts.Role
		}
		r, err := t.open(*p)
		if err == nil {
			err = w.AddTensorFrom(p.To, r)
		}
		if err != nil {
			return err
		}
	}
	return w.Commit()
}

func (t *transfer) tensors(pairs []Pair) []safetensors.Tensor {
	var list []safetensors.Tensor
	for _, p := range pairs {
		list = append(list, safetensors.Tensor{Info: p.To, Open: func() (io.Reader, error) { return t.open(p) }})
	}
	return list
}

func (t *transfer) toNPZ(w io.Writer, pairs []Pair) error {
	z := npz.NewWriter(w)
	for _, p := range pairs {
		r, err := t.open(p)
		if err == nil {
			err = z.Add(p.To, r)
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}
