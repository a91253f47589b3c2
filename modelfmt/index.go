package modelfmt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Entry kinds, as stored.
const (
	kindTensor = 0
	kindBlob   = 1
)

// chunkRef is what the index says about one chunk.
type chunkRef struct {
	digest Digest // of the logical bytes
	offset int64  // of the stored record; not written, records tile the file
	stored uint32 // bytes of the stored record
	crc    uint32 // of the stored record
}

type entry struct {
	kind   uint8
	info   TensorInfo // for a blob: the name, U8, and its length as shape
	bytes  int64      // logical
	chunks []chunkRef
}

func (e *entry) section() string {
	if e.kind == kindBlob {
		return "blob " + e.info.Name
	}
	return "tensor " + e.info.Name
}

// chunkLen returns the logical bytes of chunk i.
func (e *entry) chunkLen(i int, chunkSize int64) int {
	return int(min(chunkSize, e.bytes-int64(i)*chunkSize))
}

func chunkCount(n, chunkSize int64) int64 { return (n + chunkSize - 1) / chunkSize }

type index struct {
	chunkLog2 uint8
	entries   []*entry
	hasBase   bool
	base      Digest
}

func (x *index) chunkSize() int64 { return 1 << x.chunkLog2 }

// appendLogical writes the part of the index that says what the checkpoint
// holds. The root digest covers these very bytes.
func (x *index) appendLogical(dst []byte) []byte {
	dst = append(dst, x.chunkLog2)
	dst = binary.AppendUvarint(dst, uint64(len(x.entries)))
	for _, e := range x.entries {
		dst = append(dst, e.kind)
		dst = appendString(dst, e.info.Name)
		dst = append(dst, byte(e.info.DType))
		dst = binary.AppendUvarint(dst, uint64(len(e.info.Shape)))
		for _, d := range e.info.Shape {
			dst = binary.AppendUvarint(dst, uint64(d))
		}
		dst = appendString(dst, e.info.Role)
		dst = appendString(dst, e.info.Encoding)
		for i := range e.chunks {
			dst = append(dst, e.chunks[i].digest[:]...)
		}
	}
	return dst
}

// appendPhysical writes the part that says where and how the bytes are kept.
func (x *index) appendPhysical(dst []byte) []byte {
	if x.hasBase {
		dst = append(dst, 1)
		dst = append(dst, x.base[:]...)
	} else {
		dst = append(dst, 0)
	}
	for _, e := range x.entries {
		for i := range e.chunks {
			dst = binary.AppendUvarint(dst, uint64(e.chunks[i].stored))
			dst = binary.LittleEndian.AppendUint32(dst, e.chunks[i].crc)
		}
	}
	return dst
}

// inflated reports logical bytes that are out of all proportion to a file.
func (x *index) inflated(fileBytes int64, lim Limits) error {
	var logical uint64
	for _, e := range x.entries {
		logical = min(logical+uint64(e.bytes), 1<<62) // each is below 2^62
	}
	if logical > inflationFloor && logical/lim.Inflation > uint64(fileBytes) {
		return &LimitError{"logical bytes", logical, uint64(fileBytes) * lim.Inflation, raiseLimits}
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// checkName accepts what both sides of the format accept as a name.
func checkName(s string, limit int) error {
	if s == "" {
		return errors.New("the name is empty")
	}
	return checkText(s, limit)
}

func checkText(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%d bytes are above the limit of %d", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return fmt.Errorf("control character %U", r)
		}
	}
	return nil
}

// sizeOf multiplies a shape out, refusing what cannot be counted or is too long.
func sizeOf(shape []int, d DType, limit uint64) (int64, error) {
	if !d.Valid() {
		return 0, fmt.Errorf("element type %d is unknown", uint8(d))
	}
	if len(shape) > maxRank {
		return 0, fmt.Errorf("rank %d is above the limit of %d", len(shape), maxRank)
	}
	limit = min(limit, 1<<62)
	n, empty := uint64(d.Size()), false
	for i, dim := range shape {
		if dim < 0 {
			return 0, fmt.Errorf("dimension %d is %d, and must not be negative", i, dim)
		}
		if dim == 0 {
			empty = true // the others must still multiply without overflow
			continue
		}
		if uint64(dim) > limit/n {
			return 0, &LimitError{"bytes of a tensor", ^uint64(0), limit, raiseLimits}
		}
		n *= uint64(dim)
	}
	if empty {
		return 0, nil
	}
	return int64(n), nil
}

// indexParser walks the index's bytes. The first failure sticks, and every
// later read returns zeros, so that the parser reads straight down.
type indexParser struct {
	b   []byte
	at  int
	err error
}

func (p *indexParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *indexParser) byte() byte {
	if b := p.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *indexParser) bytes(n int) []byte {
	if p.err != nil || n > len(p.b)-p.at {
		p.fail("it ends early, at byte %d", p.at)
		return nil
	}
	b := p.b[p.at : p.at+n]
	p.at += n
	return b
}

func (p *indexParser) uvarint() uint64 {
	if p.err != nil {
		return 0
	}
	v, n := binary.Uvarint(p.b[p.at:])
	if n <= 0 {
		p.fail("bad number at byte %d", p.at)
		return 0
	}
	if n > 1 && p.b[p.at+n-1] == 0 {
		p.fail("number at byte %d is not in its shortest form", p.at)
		return 0
	}
	p.at += n
	return v
}

func (p *indexParser) string(limit int) string {
	n := p.uvarint()
	if n > uint64(limit) {
		p.fail("a text of %d bytes at byte %d is above the limit of %d", n, p.at, limit)
		return ""
	}
	s := string(p.bytes(int(n)))
	if err := checkText(s, limit); err != nil && p.err == nil {
		p.fail("text before byte %d: %w", p.at, err)
	}
	return s
}

// parseIndex reads the index and returns it with the length of its logical part.
// Chunk records must tile the bytes from the header to dataEnd.
func parseIndex(b []byte, dataEnd int64, lim Limits) (*index, int, error) {
	p := &indexParser{b: b}
	x := &index{chunkLog2: p.byte()}
	if p.err == nil && (x.chunkLog2 < minChunkLog2 || x.chunkLog2 > maxChunkLog2) {
		p.fail("chunk size 2^%d is outside 2^%d to 2^%d", x.chunkLog2, minChunkLog2, maxChunkLog2)
	}
	count := p.uvarint()
	if count > lim.Entries {
		return nil, 0, &LimitError{"tensors and blobs", count, lim.Entries, raiseLimits}
	}
	seen := [2]map[string]bool{{}, {}}
	for i := uint64(0); i < count && p.err == nil; i++ {
		e, err := p.entry(x.chunkSize(), lim)
		if err != nil {
			return nil, 0, err
		}
		if p.err != nil {
			break
		}
		if seen[e.kind][e.info.Name] {
			p.fail("%s appears twice", e.section())
			break
		}
		seen[e.kind][e.info.Name] = true
		x.entries = append(x.entries, e)
	}
	logicalLen := p.at
	switch p.byte() {
	case 0:
	case 1:
		x.hasBase = true
		copy(x.base[:], p.bytes(len(x.base)))
	default:
		p.fail("bad mark of a base before byte %d", p.at)
	}
	offset := int64(headerSize)
	for _, e := range x.entries {
		for i := range e.chunks {
			n := p.uvarint()
			if p.err == nil && (n == 0 || n > uint64(dataEnd-offset) || n > maxStored(e.chunkLen(i, x.chunkSize()))) {
				p.fail("%s, chunk %d: a record of %d bytes cannot be", e.section(), i, n)
			}
			crc := p.bytes(4)
			if p.err != nil {
				return nil, 0, p.err
			}
			c := &e.chunks[i]
			c.offset, c.stored, c.crc = offset, uint32(n), binary.LittleEndian.Uint32(crc)
			offset += int64(n)
		}
	}
	if p.err == nil && p.at != len(b) {
		p.fail("%d bytes are left over", len(b)-p.at)
	}
	if p.err == nil && offset != dataEnd {
		p.fail("chunks end at byte %d, and must end at %d", offset, dataEnd)
	}
	if p.err != nil {
		return nil, 0, p.err
	}
	return x, logicalLen, nil
}

// entry reads one entry of the logical part.
func (p *indexParser) entry(chunkSize int64, lim Limits) (*entry, error) {
	e := &entry{kind: p.byte()}
	if e.kind > kindBlob {
		p.fail("entry kind %d is unknown", e.kind)
	}
	e.info.Name = p.string(maxNameBytes)
	if p.err == nil && e.info.Name == "" {
		p.fail("an entry has no name")
	}
	e.info.DType = DType(p.byte())
	rank := p.uvarint()
	if rank > maxRank {
		p.fail("rank %d is above the limit of %d", rank, maxRank)
		return e, nil
	}
	e.info.Shape = make([]int, rank)
	for i := range e.info.Shape {
		d := p.uvarint()
		if d > 1<<62 || uint64(int(d)) != d {
			p.fail("dimension %d is too large", d)
			return e, nil
		}
		e.info.Shape[i] = int(d)
	}
	e.info.Role = p.string(maxRoleBytes)
	e.info.Encoding = p.string(maxEncodingLen)
	if p.err != nil {
		return e, nil
	}
	if e.kind == kindBlob && (e.info.DType != U8 || rank != 1) {
		p.fail("%s must be a vector of u8", e.section())
		return e, nil
	}
	var err error
	if e.bytes, err = sizeOf(e.info.Shape, e.info.DType, lim.EntryBytes); err != nil {
		var limit *LimitError
		if errors.As(err, &limit) {
			limit.What = "bytes of " + e.section()
			return nil, limit
		}
		p.fail("%s: %w", e.section(), err)
		return e, nil
	}
	n := chunkCount(e.bytes, chunkSize)
	if n > int64(len(p.b)-p.at)/int64(len(Digest{})) {
		p.fail("it is too short for the %d chunks of %s", n, e.section())
		return e, nil
	}
	e.chunks = make([]chunkRef, n)
	for i := range e.chunks {
		copy(e.chunks[i].digest[:], p.bytes(len(Digest{})))
	}
	return e, nil
}
