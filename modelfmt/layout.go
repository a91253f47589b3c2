package modelfmt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"lukechampine.com/blake3"
)

// FormatVersion is the version that this package writes. Version 0 makes no
// promise to later releases.
const FormatVersion = 0

const (
	headerSize = 16
	footerSize = 128
)

var (
	// The header's magic follows PNG's reasoning: a high bit that 7-bit
	// transports lose, and a line ending that text transfers rewrite.
	headerMagic = [8]byte{0x89, 'H', 'O', 'N', 'E', '\r', '\n', 0x1a}
	footerMagic = [8]byte{'H', 'O', 'N', 'E', 'f', 'o', 'o', 't'}
	endMagic    = [4]byte{'E', 'N', 'D', '\n'}
)

// Feature bits that a reader must understand, or refuse the file.
const (
	// FeatureDelta: some chunks are stored as xor against a base checkpoint.
	FeatureDelta uint64 = 1 << 0
	// FeatureNM, FeatureQuantized and FeatureSharded are reserved.
	FeatureNM        uint64 = 1 << 1
	FeatureQuantized uint64 = 1 << 2
	FeatureSharded   uint64 = 1 << 3

	knownRequired = FeatureDelta
)

// Feature bits that a reader may ignore.
const (
	// FeatureSigned is reserved: the extensions hold a signature of the root.
	FeatureSigned uint64 = 1 << 0

	knownOptional uint64 = 0
)

var featureNames = map[uint64]string{
	FeatureDelta: "delta chunks", FeatureNM: "N:M sparse tensors",
	FeatureQuantized: "quantized tensors", FeatureSharded: "sharded files",
}

var optionalNames = map[uint64]string{FeatureSigned: "signature"}

// describeBits lists the set bits of v by name, lowest first.
func describeBits(v uint64, names map[uint64]string) []string {
	var out []string
	for i := 0; i < 64; i++ {
		if bit := uint64(1) << i; v&bit != 0 {
			name, ok := names[bit]
			if !ok {
				name = "unknown feature"
			}
			out = append(out, fmt.Sprintf("%s (bit %d)", name, i))
		}
	}
	return out
}

// Digest is a BLAKE3 digest of 256 bits.
type Digest [32]byte

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes the hexadecimal form.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the hexadecimal form.
func (d *Digest) UnmarshalText(text []byte) error {
	v, err := ParseDigest(string(text))
	if err == nil {
		*d = v
	}
	return err
}

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return d, fmt.Errorf("digest %q: want 64 hexadecimal digits", s)
	}
	copy(d[:], b)
	return d, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// rootDigest identifies what a checkpoint says, not how it was compressed: a
// delta and its flattened copy have one root.
func rootDigest(manifest, logicalIndex []byte) Digest {
	h := blake3.New(32, nil)
	h.Write([]byte("hone checkpoint root v0\n"))
	m := blake3.Sum256(manifest)
	h.Write(m[:])
	h.Write(logicalIndex)
	var d Digest
	h.Sum(d[:0])
	return d
}

func appendHeader(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, headerMagic[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, FormatVersion)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[n:]))
}

func parseHeader(b []byte) error {
	if !bytes.Equal(b[:8], headerMagic[:]) {
		return fmt.Errorf("%w: it begins with % x; give a file written by hone, or import a .safetensors or .npz file with `hone checkpoint convert`", ErrNotCheckpoint, b[:8])
	}
	if checksum(b[:12]) != binary.LittleEndian.Uint32(b[12:]) {
		return &CorruptError{Section: "header", Detail: "checksum does not match"}
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > FormatVersion {
		return &UnsupportedError{What: fmt.Sprintf("format version %d", v)}
	}
	if r := binary.LittleEndian.Uint16(b[10:]); r != 0 {
		return &CorruptError{Section: "header", Offset: 10, Detail: "reserved bytes are not zero"}
	}
	return nil
}

// footer is the commit mark: the last bytes written, and the first believed.
type footer struct {
	required, optional uint64
	manifestOffset     uint64
	manifestLength     uint64
	manifestCRC        uint32
	indexCRC           uint32
	indexOffset        uint64
	indexStored        uint64
	indexRaw           uint64
	fileLength         uint64
	root               Digest
}

func (f *footer) append(dst []byte) []byte {
	n := len(dst)
	le := binary.LittleEndian
	dst = append(dst, footerMagic[:]...)
	dst = le.AppendUint32(dst, FormatVersion)
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint64(dst, f.required)
	dst = le.AppendUint64(dst, f.optional)
	dst = le.AppendUint64(dst, f.manifestOffset)
	dst = le.AppendUint64(dst, f.manifestLength)
	dst = le.AppendUint32(dst, f.manifestCRC)
	dst = le.AppendUint32(dst, f.indexCRC)
	dst = le.AppendUint64(dst, f.indexOffset)
	dst = le.AppendUint64(dst, f.indexStored)
	dst = le.AppendUint64(dst, f.indexRaw)
	dst = le.AppendUint64(dst, f.fileLength)
	dst = append(dst, f.root[:]...)
	dst = le.AppendUint32(dst, checksum(dst[n:]))
	return append(dst, endMagic[:]...)
}

// parseFooter checks everything about the footer that can be checked without
// reading more: its checksum, its features, and that the parts tile the file.
func parseFooter(b []byte, size int64, lim Limits) (footer, error) {
	var f footer
	at := size - footerSize
	bad := func(detail string) (footer, error) {
		return f, &CorruptError{Section: "footer", Offset: at, Detail: detail}
	}
	le := binary.LittleEndian
	if !bytes.Equal(b[:8], footerMagic[:]) || !bytes.Equal(b[124:], endMagic[:]) {
		return bad("the file does not end with a footer, so it was cut or never finished")
	}
	if checksum(b[:120]) != le.Uint32(b[120:]) {
		return bad("checksum does not match")
	}
	if v := le.Uint32(b[8:]); v > FormatVersion {
		return f, &UnsupportedError{What: fmt.Sprintf("format version %d", v)}
	}
	if le.Uint32(b[12:]) != 0 {
		return bad("reserved bytes are not zero")
	}
	f.required, f.optional = le.Uint64(b[16:]), le.Uint64(b[24:])
	if unknown := f.required &^ knownRequired; unknown != 0 {
		return f, &UnsupportedError{What: "feature " + describeBits(unknown, featureNames)[0]}
	}
	f.manifestOffset, f.manifestLength = le.Uint64(b[32:]), le.Uint64(b[40:])
	f.manifestCRC, f.indexCRC = le.Uint32(b[48:]), le.Uint32(b[52:])
	f.indexOffset, f.indexStored = le.Uint64(b[56:]), le.Uint64(b[64:])
	f.indexRaw, f.fileLength = le.Uint64(b[72:]), le.Uint64(b[80:])
	copy(f.root[:], b[88:120])
	if f.fileLength != uint64(size) {
		return bad(fmt.Sprintf("the file has %d bytes, its footer says %d", size, f.fileLength))
	}
	if f.manifestLength > lim.ManifestBytes {
		return f, &LimitError{"manifest bytes", f.manifestLength, lim.ManifestBytes, raiseLimits}
	}
	if f.indexRaw > lim.IndexBytes || f.indexStored > lim.IndexBytes {
		return f, &LimitError{"index bytes", max(f.indexRaw, f.indexStored), lim.IndexBytes, raiseLimits}
	}
	// Lengths are bounded above and offsets by the file, so no sum overflows.
	end := uint64(at)
	if f.manifestOffset < headerSize || f.manifestOffset > end || f.indexOffset > end ||
		f.manifestOffset+f.manifestLength != f.indexOffset || f.indexOffset+f.indexStored > end {
		return bad("manifest and index do not lie where they must")
	}
	if f.indexStored > f.indexRaw {
		return bad("the stored index is longer than the index")
	}
	return f, nil
}
