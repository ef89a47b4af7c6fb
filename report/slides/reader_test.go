package slides_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// A plain is an Explicit VR Little Endian data set as a reader of few lines sees
// it, which knows nothing of ours: values by tag, the items of sequences below.
type plain struct {
	values map[uint32][]byte
	items  map[uint32][]plain
}

// readPlain reads a Part 10 file.
func readPlain(t testing.TB, file []byte) plain {
	t.Helper()
	if len(file) < 132 || string(file[128:132]) != "DICM" {
		t.Fatal("no DICOM file")
	}
	b := file[132:]
	p, err := readSet(&b)
	if err != nil || len(b) > 0 {
		t.Fatalf("%v, %d bytes left", err, len(b))
	}
	return p
}

const item, itemEnd, sequenceEnd = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

func readSet(b *[]byte) (plain, error) {
	p := plain{map[uint32][]byte{}, map[uint32][]plain{}}
	for len(*b) >= 8 {
		tag := uint32(binary.LittleEndian.Uint16(*b))<<16 | uint32(binary.LittleEndian.Uint16((*b)[2:]))
		if tag == itemEnd || tag == sequenceEnd {
			*b = (*b)[8:]
			return p, nil
		}
		vr, head := string((*b)[4:6]), 8
		n := uint32(binary.LittleEndian.Uint16((*b)[6:]))
		if strings.Contains("OB OD OF OL OV OW SQ UC UN UR UT UV SV", vr) {
			head, n = 12, binary.LittleEndian.Uint32((*b)[8:])
		}
		*b = (*b)[head:]
		if vr == "SQ" {
			for len(*b) >= 8 {
				next := uint32(binary.LittleEndian.Uint16(*b))<<16 | uint32(binary.LittleEndian.Uint16((*b)[2:]))
				*b = (*b)[8:]
				if next != item {
					break
				}
				below, err := readSet(b)
				if err != nil {
					return p, err
				}
				p.items[tag] = append(p.items[tag], below)
			}
			if p.items[tag] == nil {
				p.items[tag] = []plain{}
			}
			continue
		}
		if int64(n) > int64(len(*b)) {
			return p, fmt.Errorf("%08X has %d bytes of %d", tag, n, len(*b))
		}
		p.values[tag], *b = (*b)[:n], (*b)[n:]
	}
	return p, nil
}

func (p plain) text(tag uint32) string { return strings.TrimRight(string(p.values[tag]), " \x00") }

func (p plain) numbers(t testing.TB, tag uint32) []float64 {
	t.Helper()
	var out []float64
	for s := range strings.SplitSeq(p.text(tag), `\`) {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			t.Fatalf("%08X: %v", tag, err)
		}
		out = append(out, f)
	}
	return out
}

// short gives a US or the low half of a UL.
func (p plain) short(tag uint32) int { return int(binary.LittleEndian.Uint16(p.values[tag])) }

// floats gives an OF.
func (p plain) floats(tag uint32) (out []float64) {
	for b := p.values[tag]; len(b) >= 4; b = b[4:] {
		out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	}
	return out
}

// longs gives an OL.
func (p plain) longs(tag uint32) (out []int) {
	for b := p.values[tag]; len(b) >= 4; b = b[4:] {
		out = append(out, int(binary.LittleEndian.Uint32(b)))
	}
	return out
}
