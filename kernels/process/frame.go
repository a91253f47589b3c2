package process

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Version of the protocol. Both ends must have the same.
const Version = 1

const (
	magic      = "hone"
	headerSize = 4 + 4 + 8
	// piece is how much is read or written at a time: memory for a body is
	// taken as its bytes arrive, and a piece that got through is a sign of life.
	piece = 1 << 20
)

// limits of a frame.
const (
	maxHead = 16 << 20
	maxBody = 1 << 40
)

// head says what a frame is.
type head struct {
	// ID numbers a call by its caller; Reply marks the answer to it.
	ID    uint64 `json:"id,omitempty"`
	Reply bool   `json:"reply,omitempty"`
	// Method of a call: one of the server's or client's, or cancel or ping.
	Method string          `json:"method,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Error  *wireError      `json:"error,omitempty"`
}

// writeFrame writes one frame; alive is called after every whole piece.
func writeFrame(w io.Writer, h *head, body []byte, alive func()) error {
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	if len(text) > maxHead {
		return fmt.Errorf("a message head of %d bytes; the limit is %d", len(text), maxHead)
	}
	first := make([]byte, headerSize, headerSize+len(text))
	copy(first, magic)
	binary.LittleEndian.PutUint32(first[4:], uint32(len(text)))
	binary.LittleEndian.PutUint64(first[8:], uint64(len(body)))
	first = append(first, text...)
	for _, part := range [][]byte{first, body} {
		for len(part) > 0 {
			n := min(len(part), piece)
			if _, err := w.Write(part[:n]); err != nil {
				return err
			}
			if n == piece {
				alive() // more than any pipe holds, so somebody reads
			}
			part = part[n:]
		}
	}
	return nil
}

// readFrame reads one frame. io.EOF means that the other end closed between
// frames.
func readFrame(r io.Reader, alive func()) (*head, []byte, error) {
	var first [headerSize]byte
	if n, err := io.ReadFull(r, first[:]); err != nil {
		if n > 0 && string(first[:min(n, 4)]) != magic[:min(n, 4)] {
			return nil, nil, strayError(first[:n])
		}
		if n > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, nil, err
	}
	if string(first[:4]) != magic {
		return nil, nil, strayError(first[:])
	}
	textSize, bodySize := binary.LittleEndian.Uint32(first[4:]), binary.LittleEndian.Uint64(first[8:])
	if textSize > maxHead || bodySize > maxBody {
		return nil, nil, fmt.Errorf("a message of %d + %d bytes is announced; the limits are %d and %d", textSize, bodySize, maxHead, int64(maxBody))
	}
	text, err := readPieces(r, int64(textSize), alive)
	if err != nil {
		return nil, nil, err
	}
	h := &head{}
	if err := json.Unmarshal(text, h); err != nil {
		return nil, nil, fmt.Errorf("reading a message: %w", err)
	}
	body, err := readPieces(r, int64(bodySize), alive)
	return h, body, err
}

func strayError(b []byte) error {
	return fmt.Errorf("the connection carries something that is no message, beginning with %q; a backend must print to standard error alone", b)
}

// readPieces reads n bytes, taking memory as they come: at most twice what has
// arrived, and one piece.
func readPieces(r io.Reader, n int64, alive func()) ([]byte, error) {
	if n <= piece {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		alive()
		return b, cut(err)
	}
	var b bytes.Buffer
	for left := n; left > 0; {
		m := min(left, piece)
		if b.Available() < int(m) {
			b.Grow(int(min(left, max(m, int64(b.Len())))))
		}
		got, err := io.CopyN(&b, r, m)
		left -= got
		if err != nil {
			return nil, cut(err)
		}
		alive()
	}
	return b.Bytes(), nil
}

// cut tells an end within a frame from one between frames.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
