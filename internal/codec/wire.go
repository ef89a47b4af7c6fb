package codec

import (
	"encoding/binary"
	"fmt"
)

// What parent and child say to each other: the child greets, then each request
// gets one reply. A request is followed by the codestream, a reply by samples or
// by a message. All numbers are little-endian. The parent believes nothing of a
// reply but what it asked for.
const (
	requestMagic = 0x31515643 // "CVQ1"
	replyMagic   = 0x31525643 // "CVR1"

	requestSize = 14 * 4
	replySize   = 4 * 4

	// maxMessage is the longest message that is sent, in bytes.
	maxMessage = 1000
)

// The libraries by number.
const (
	libOpenJPEG = iota
	libCharLS
	libCount
)

// A request asks for one frame: what the codestream says of itself, which the
// child must find again, and what it may spend.
type request struct {
	Magic             uint32
	Library           uint32
	Length            uint32 // of the codestream that follows
	Columns, Rows     uint32
	Components        uint32
	Precision, Signed uint32
	Bits              uint32 // of a sample in the reply: 8, 16 or 32
	Threads           uint32
	Seconds           uint32 // of processor time
	MemoryMiB         uint32 // for all that the library allocates
	StepX, StepY      uint32 // every how many pixels the 2nd and 3rd component have a sample; 0 is 1
}

// step is how many pixels share a sample of a component, counted from 0.
func (q request) step(component int) (x, y int) {
	if component == 0 {
		return 1, 1
	}
	return max(int(q.StepX), 1), max(int(q.StepY), 1)
}

// size is how many bytes the samples take.
func (q request) size() int64 {
	return int64(q.Columns) * int64(q.Rows) * int64(q.Components) * int64(q.Bits/8)
}

// check refuses a request that no parent of ours makes.
func (q request) check() error {
	switch {
	case q.Magic != requestMagic || q.Library >= libCount,
		q.Length == 0 || q.Length > MaxEncodedBytes,
		q.Columns == 0 || q.Columns > 1<<16 || q.Rows == 0 || q.Rows > 1<<16,
		q.Components == 0 || q.Components > 4,
		q.Bits != 8 && q.Bits != 16 && q.Bits != 32,
		q.Precision == 0 || q.Precision > q.Bits,
		q.StepX > 2 || q.StepY > 2,
		q.size() > MaxFrameBytes:
		return fmt.Errorf("request %+v", q)
	}
	return nil
}

// The kinds of reply.
const (
	replyHello   = iota // a line for each library: its name and version, or nothing
	replySamples        // as asked for
	replyPlanes         // as asked for, but plane by plane
	replyRefused        // why
)

// A reply is followed by Length bytes.
type reply struct {
	Magic  uint32
	Kind   uint32
	Length uint32
	Last   uint32 // 1 when the child ends after this reply
}

// encode writes a request or a reply, which hold nothing but numbers.
func encode(v any) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		return nil // not reached: both have a fixed size
	}
	return b
}

// decode reads a request or a reply.
func decode(b []byte, v any) error {
	_, err := binary.Decode(b, binary.LittleEndian, v)
	return err
}
