package proxy

import (
	"crypto/rand"
	"encoding/binary"
)

// frames follows the frames of a WebSocket (RFC 6455, section 5.2) in one direction
// as their bytes pass, to know between which of them another one may be put. It
// looks at nothing but their heads. The zero value is at the begin.
type frames struct {
	head    [14]byte
	have    int    // bytes of head
	left    uint64 // bytes of the payload
	closing bool   // the frame is a close frame
	closed  bool   // one has passed
}

const opClose = 8

// between reports whether the next byte begins a frame.
func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

// next advances over p, to the end of the frame at most, and returns how far it came.
func (f *frames) next(p []byte) int {
	for n := 0; ; {
		if f.left > 0 {
			take := min(f.left, uint64(len(p)-n)) //nolint:gosec // n is at most len(p)
			f.left -= take
			n += int(take) //nolint:gosec // at most len(p)
			if f.left == 0 {
				f.ended()
			}
			return n
		}
		if n == len(p) {
			return n
		}
		if rest := p[n:]; f.have == 0 && len(rest) >= len(f.head) {
			// All of a head is there, whatever its size, as nearly always.
			f.have = copy(f.head[:], rest)
			n += f.size()
		} else {
			f.head[f.have] = p[n]
			f.have++
			n++
			if f.have < f.size() {
				continue
			}
		}
		f.left, f.closing, f.have = f.payload(), f.head[0]&0x0f == opClose, 0
		if f.left == 0 {
			f.ended()
			return n
		}
	}
}

// all advances over all of p.
func (f *frames) all(p []byte) {
	for len(p) > 0 {
		p = p[f.next(p):]
	}
}

func (f *frames) ended() { f.closed = f.closed || f.closing }

// size is how long the head is, as far as that is known.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4 // the mask
	}
	return size
}

// payload is how long the payload is, by the head.
func (f *frames) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// closeFrame says why in a close frame (RFC 6455, section 5.5.1). What goes to a server must
// be masked.
func closeFrame(e *ending, masked bool) []byte {
	payload := append(binary.BigEndian.AppendUint16(nil, e.code), e.text...)
	frame := []byte{0x80 | opClose, byte(len(payload))} //nolint:gosec // texts are short
	if masked {
		var mask [4]byte
		_, _ = rand.Read(mask[:]) // never fails
		frame[1] |= 0x80
		frame = append(frame, mask[:]...)
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
	}
	return append(frame, payload...)
}
