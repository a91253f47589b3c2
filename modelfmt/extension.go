package modelfmt

import (
	"encoding/binary"
	"fmt"
)

const extensionHead = 12

// openExtensions walks the records between the index and the footer. This
// version knows none; it checks them, and names what it passes over.
func (r *Reader) openExtensions() error {
	at := int64(r.foot.indexOffset + r.foot.indexStored)
	end := r.size - footerSize
	if n := uint64(end - at); n > r.opts.Limits.ManifestBytes {
		return &LimitError{"bytes of extensions", n, r.opts.Limits.ManifestBytes, raiseLimits}
	}
	b := make([]byte, end-at)
	if err := r.readAt(b, at, "extensions"); err != nil {
		return err
	}
	for len(b) > 0 {
		bad := func(detail string) error {
			return &CorruptError{Section: "extensions", Offset: at, Detail: detail}
		}
		if len(b) < extensionHead {
			return bad("a record ends early")
		}
		kind, n, crc := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
		if uint64(n) > uint64(len(b)-extensionHead) {
			return bad("a record ends early")
		}
		body := b[extensionHead:][:n]
		if checksum(append(append([]byte(nil), b[:8]...), body...)) != crc {
			return bad("checksum does not match")
		}
		r.ignored = append(r.ignored, fmt.Sprintf("extension %d of %d bytes", kind, n))
		b, at = b[extensionHead+int(n):], at+extensionHead+int64(n)
	}
	return nil
}
