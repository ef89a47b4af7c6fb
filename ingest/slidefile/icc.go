package slidefile

import (
	"encoding/binary"
	"math"
)

// curvePoints is how finely the transfer curve is written; what lies between two
// points is interpolated, to within half of the last bit of 8.
const curvePoints = 1024

// sRGB makes the profile that a slide without one is shown by: the primaries and
// the transfer curve of IEC 61966-2-1, adapted to the D50 of the profile
// connection space, as a display profile of ICC.1:2001-04.
func sRGB() []byte {
	curve := binary.BigEndian.AppendUint32([]byte("curv\x00\x00\x00\x00"), curvePoints)
	for i := range curvePoints {
		v := float64(i) / (curvePoints - 1)
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		curve = binary.BigEndian.AppendUint16(curve, uint16(math.Round(65535*v)))
	}
	const name = "sRGB IEC61966-2.1"
	description := binary.BigEndian.AppendUint32([]byte("desc\x00\x00\x00\x00"), uint32(len(name)+1))
	description = append(append(description, name...), make([]byte, 1+4+4+2+1+67)...)
	white := xyz(0.9642, 1, 0.8249)
	return profile(white[8:], []profileTag{
		{"desc", description}, {"cprt", []byte("text\x00\x00\x00\x00none\x00")}, {"wtpt", white},
		{"rXYZ", xyz(0.43607, 0.22249, 0.01392)}, {"gXYZ", xyz(0.38515, 0.71687, 0.09708)}, {"bXYZ", xyz(0.14307, 0.06061, 0.71410)},
		{"rTRC", curve}, {"gTRC", curve}, {"bTRC", curve},
	})
}

type profileTag struct {
	name string
	data []byte
}

// profile puts tags behind the header of a display profile. Tags of the same
// bytes share them.
func profile(white []byte, tags []profileTag) []byte {
	head := make([]byte, 128)
	copy(head[8:], []byte{2, 0x40, 0, 0})
	copy(head[12:], "mntrRGB XYZ ")
	copy(head[24:], []byte{0x07, 0xea, 0, 1, 0, 1}) // 2026-01-01
	copy(head[36:], "acsp")
	copy(head[68:], white)
	table := binary.BigEndian.AppendUint32(nil, uint32(len(tags)))
	var data []byte
	at := map[string]uint32{}
	for _, t := range tags {
		off, shared := at[string(t.data)]
		if !shared {
			off = uint32(128 + 4 + 12*len(tags) + len(data))
			at[string(t.data)] = off
			data = append(data, t.data...)
			data = append(data, make([]byte, (4-len(data)%4)%4)...)
		}
		table = append(table, t.name...)
		table = binary.BigEndian.AppendUint32(table, off)
		table = binary.BigEndian.AppendUint32(table, uint32(len(t.data)))
	}
	p := append(append(head, table...), data...)
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

// xyz is a color of the profile connection space.
func xyz(x, y, z float64) []byte {
	b := []byte("XYZ \x00\x00\x00\x00")
	for _, v := range []float64{x, y, z} {
		b = binary.BigEndian.AppendUint32(b, uint32(int32(math.Round(v*65536))))
	}
	return b
}
