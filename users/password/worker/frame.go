package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// MaxMessage is the most bytes that a request or an answer may have.
const MaxMessage = 1 << 20

// A frame is a number, the length of a message, a checksum of these two and the message, all in
// big-endian order, and the message.
const headSize = 8 + 4 + 4

// greeting is the message of the first frame of a process, whose number is 0. No request
// has it.
const greeting = "gatehouse worker 1"

// errGarbled is that a frame is not what the other side of this program writes.
var errGarbled = errors.New("a frame is garbled")

// appendFrame appends a frame to to.
func appendFrame(to []byte, number uint64, message []byte) []byte {
	start := len(to)
	to = binary.BigEndian.AppendUint64(to, number)
	to = binary.BigEndian.AppendUint32(to, uint32(len(message))) //nolint:gosec // MaxMessage
	sum := crc32.Update(crc32.ChecksumIEEE(to[start:]), crc32.IEEETable, message)
	to = binary.BigEndian.AppendUint32(to, sum)
	return append(to, message...)
}

// readFrame reads one frame. The error is io.EOF where there is none, and otherwise that of from,
// or errGarbled; no more is read then than is needed to know.
func readFrame(from io.Reader) (number uint64, message []byte, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it ends in its head", errGarbled)
		}
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[8:])
	if size > MaxMessage {
		return 0, nil, fmt.Errorf("%w: it is to have %d bytes", errGarbled, size)
	}
	message = make([]byte, size)
	if _, err := io.ReadFull(from, message); err != nil {
		return 0, nil, fmt.Errorf("%w: it ends before its message does", errGarbled)
	}
	if crc32.Update(crc32.ChecksumIEEE(head[:12]), crc32.IEEETable, message) != binary.BigEndian.Uint32(head[12:]) {
		return 0, nil, fmt.Errorf("%w: its checksum is wrong", errGarbled)
	}
	return binary.BigEndian.Uint64(head[:8]), message, nil
}
