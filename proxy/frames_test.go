package proxy

import (
	"bytes"
	"testing"
)

func TestFramesAreFollowed(t *testing.T) {
	large := append([]byte{0x82, 126, 0x01, 0x00}, bytes.Repeat([]byte{0x88}, 256)...)
	huge := append([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, make([]byte, 65536)...)
	for _, tc := range []struct {
		name   string
		frames [][]byte
		closed bool
	}{
		{"text", [][]byte{{0x81, 2, 'h', 'i'}}, false},
		{"nothing in it", [][]byte{{0x81, 0}, {0x89, 0}}, false},
		{"masked", [][]byte{{0x81, 0x82, 1, 2, 3, 4, 5, 6}, {0x8a, 0x80, 1, 2, 3, 4}}, false},
		{"fragments, a ping between them", [][]byte{{0x01, 1, 'a'}, {0x89, 1, 'p'}, {0x80, 1, 'b'}}, false},
		{"lengths of 16 and 64 bits", [][]byte{large, huge}, false},
		{"a close frame", [][]byte{{0x81, 1, 'a'}, {0x88, 2, 3, 232}}, true},
		{"a close frame with nothing in it", [][]byte{{0x88, 0}}, true},
		{"ours to a client", [][]byte{closeFrame(endedToken, false)}, true},
		{"ours to a server", [][]byte{closeFrame(endedToken, true)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f frames
			all := bytes.Join(tc.frames, nil)
			for i, frame := range tc.frames {
				if n := f.next(all); n != len(frame) || !f.between() {
					t.Fatalf("frame %d ends after %d bytes, want %d", i, n, len(frame))
				}
				all = all[len(frame):]
			}
			if f.closed != tc.closed {
				t.Errorf("closed: %v, want %v", f.closed, tc.closed)
			}
		})
	}
}

// FuzzFrames: frames end at the same bytes however they are cut into pieces.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i', 0x88, 0x80, 1, 2, 3, 4}, uint8(1))
	f.Add([]byte{0x82, 126, 0, 3, 'a', 'b', 'c', 0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		ends := func(size int) (ends []int, last frames) {
			var f frames
			for at := 0; at < len(stream); {
				piece := stream[at:min(len(stream), at+size)]
				for len(piece) > 0 {
					n := f.next(piece)
					if n < 1 || n > len(piece) {
						t.Fatalf("advanced by %d of %d", n, len(piece))
					}
					at, piece = at+n, piece[n:]
					if f.between() {
						ends = append(ends, at)
					}
				}
			}
			return ends, f
		}
		whole, last := ends(len(stream) + 1)
		pieces, end := ends(int(size) + 1)
		if len(whole) != len(pieces) || last.closed != end.closed || last.left != end.left || last.have != end.have {
			t.Fatalf("%v and %v", whole, pieces)
		}
		for i := range whole {
			if whole[i] != pieces[i] {
				t.Fatalf("%v and %v", whole, pieces)
			}
		}
	})
}
