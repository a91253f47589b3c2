package npz

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

// File is an open archive, or a single .npy array, which is named "array".
type File struct {
	closer io.Closer
	arrays []array
}

type array struct {
	name   string
	header Header
	open   func() (io.ReadCloser, error)
}

// Open opens a .npz archive or a .npy array, told apart by their first bytes.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open NumPy file: %w", err)
	}
	st, err := f.Stat()
	var n *File
	if err == nil {
		n, err = New(f, st.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open NumPy file %s: %w", path, err)
	}
	n.closer = f
	return n, nil
}

// New opens an archive or array of size bytes in src.
func New(src io.ReaderAt, size int64) (*File, error) {
	var head [6]byte
	if n, _ := src.ReadAt(head[:], 0); n == len(head) && string(head[:]) == string(magic) {
		f := &File{}
		return f, f.add("array", size, func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(src, 0, size)), nil
		})
	}
	z, err := zip.NewReader(src, size)
	if err != nil {
		return nil, err
	}
	f := &File{}
	seen := map[string]bool{}
	for _, e := range z.File {
		if seen[e.Name] {
			return nil, fmt.Errorf("%q appears twice", e.Name)
		}
		seen[e.Name] = true
		name, ok := strings.CutSuffix(e.Name, ".npy")
		if !ok {
			return nil, fmt.Errorf("%q is not a .npy array; the archive is not of NumPy", e.Name)
		}
		if e.UncompressedSize64 > 1<<62 {
			return nil, fmt.Errorf("%q has an impossible size", e.Name)
		}
		if err := f.add(name, int64(e.UncompressedSize64), e.Open); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// add reads the header of an array, which must account for every byte of it.
func (f *File) add(name string, size int64, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return fmt.Errorf("array %q: %w", name, err)
	}
	defer r.Close()
	counted := &counter{r: r}
	h, err := ReadHeader(counted)
	if err != nil {
		return fmt.Errorf("array %q: %w", name, err)
	}
	if counted.n+h.Bytes() != size {
		return fmt.Errorf("array %q: %d bytes where its header tells of %d", name, size, counted.n+h.Bytes())
	}
	f.arrays = append(f.arrays, array{name, h, open})
	return nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Tensors lists the arrays in the order of the archive.
func (f *File) Tensors() []modelfmt.TensorInfo {
	out := make([]modelfmt.TensorInfo, len(f.arrays))
	for i, a := range f.arrays {
		out[i] = modelfmt.TensorInfo{Name: a.name, DType: a.header.DType, Shape: slices.Clone(a.header.Shape)}
	}
	return out
}

// TensorReader gives the elements of an array, little endian and row-major. The
// archive's checksum is checked when the last byte is read.
func (f *File) TensorReader(name string) (io.Reader, error) {
	for _, a := range f.arrays {
		if a.name != name {
			continue
		}
		r, err := a.open()
		if err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
		return &arrayReader{a: a, r: r}, nil
	}
	return nil, &modelfmt.NotFoundError{Kind: "tensor", Name: name}
}

// Close closes the file.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// arrayReader skips the header on the first read. An array that must be
// reordered is read whole, others are streamed.
type arrayReader struct {
	a       array
	r       io.ReadCloser
	body    io.Reader
	left    int64
	started bool
}

func (r *arrayReader) start() error {
	h, err := ReadHeader(r.r)
	if err != nil {
		return err
	}
	r.left = h.Bytes()
	r.body = r.r
	if h.Big || h.Fortran && len(h.Shape) > 1 {
		b, err := ReadArray(r.r, h)
		if err != nil {
			return err
		}
		if err := atEnd(r.r); err != nil {
			return err
		}
		r.body = &sliceReader{b}
	}
	return nil
}

// atEnd reads to the end, which makes a zip reader check its checksum.
func atEnd(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, 1))
	if err == nil && n != 0 {
		err = errors.New("bytes follow the last element")
	}
	return err
}

type sliceReader struct{ b []byte }

func (s *sliceReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}

func (r *arrayReader) Read(p []byte) (int, error) {
	if !r.started {
		r.started = true
		if err := r.start(); err != nil {
			return 0, fmt.Errorf("array %q: %w", r.a.name, err)
		}
	}
	if r.left == 0 {
		if r.r != nil {
			err := atEnd(r.body)
			r.r.Close()
			r.r = nil
			if err != nil {
				return 0, fmt.Errorf("array %q: %w", r.a.name, err)
			}
		}
		return 0, io.EOF
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err == io.EOF {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	// The last bytes are handed out only when the checksum is right: whoever
	// wants that many bytes may never read again.
	if err == nil && r.left == 0 && r.r != nil {
		if err = atEnd(r.body); err != nil {
			n, err = 0, fmt.Errorf("array %q: %w", r.a.name, err)
		}
		r.r.Close()
		r.r = nil
	}
	return n, err
}

// Writer writes a .npz archive that NumPy reads.
type Writer struct{ z *zip.Writer }

// NewWriter writes to w. Close ends the archive and leaves w open.
func NewWriter(w io.Writer) *Writer { return &Writer{zip.NewWriter(w)} }

// Add writes one array from its dense bytes, little endian and row-major.
func (w *Writer) Add(info modelfmt.TensorInfo, data io.Reader) error {
	// Whoever unpacks the archive gets files of these names. A colon is refused where it
	// would follow a drive's letter; hone's own slots and states have one further on.
	if n := info.Name; !fs.ValidPath(n) || strings.Contains(n, `\`) || len(n) > 1 && n[1] == ':' {
		return &modelfmt.InputError{What: fmt.Sprintf("tensor %q", info.Name), Detail: "the name would leave the folder in which the archive is unpacked; rename it"}
	}
	head, err := AppendHeader(nil, info.DType, info.Shape)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", info.Name, err)
	}
	// As numpy.savez: stored, not deflated, so that arrays can be mapped.
	out, err := w.z.CreateHeader(&zip.FileHeader{Name: info.Name + ".npy", Method: zip.Store})
	if err != nil {
		return err
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(data, info.Bytes()+1))
	if err == nil && n != info.Bytes() {
		err = fmt.Errorf("%d bytes or more were given, and it has %d", n, info.Bytes())
	}
	if err != nil {
		return fmt.Errorf("tensor %q: %w", info.Name, err)
	}
	return nil
}

// Close writes the archive's directory.
func (w *Writer) Close() error { return w.z.Close() }
