package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"varde/study"
)

// MostChances is how many values are kept of one block: the object that holds them
// stays below MaxChances bytes, whatever they are.
const (
	MostChances = 1 << 28
	MaxChances  = MostChances + MostChances/64 + 1<<20
)

// chanceMagic begins an object of probabilities. The length of a header follows and
// the header itself, the grids as JSON; then for each grid field by field its
// values, as stretches: twice their length, and one value for all of them, or twice
// their length and one more, and that many values.
//
// A general compressor would make it smaller, and other bytes with every version of
// the compressor: a part is held bit by bit against what it was when its result is
// made again.
const chanceMagic = "VCHC\x01\x00\x00\x00"

// shortest is how many values must be alike to be written as one.
const shortest = 4

// EncodeChances writes probabilities: the same bytes for the same values.
func EncodeChances(c study.Chances) ([]byte, error) {
	head, err := json.Marshal(c.Grids)
	if err != nil {
		return nil, fmt.Errorf("write probabilities: %w", err)
	}
	b := binary.LittleEndian.AppendUint32([]byte(chanceMagic), uint32(len(head)))
	b = append(b, head...)
	for _, g := range c.Grids {
		if len(g.Values) != len(g.Of) {
			return nil, fmt.Errorf("write probabilities: %d fields of %d: %w", len(g.Values), len(g.Of), study.ErrInvalid)
		}
		for _, v := range g.Values {
			if n, ok := chanceSize(g); !ok || len(v) != n {
				return nil, fmt.Errorf("write probabilities: %d values for %d×%d×%d voxels: %w", len(v), g.Planes, g.Rows, g.Columns, study.ErrInvalid)
			}
			b = appendStretches(b, v)
		}
	}
	return b, nil
}

// chanceSize is how many voxels a grid has. It is false for one that can't be.
func chanceSize(g study.ChanceGrid) (int, bool) {
	const most = 1 << 16
	if g.Planes < 1 || g.Rows < 1 || g.Columns < 1 || g.Planes > most || g.Rows > most || g.Columns > most {
		return 0, false
	}
	n := int64(g.Planes) * int64(g.Rows) * int64(g.Columns)
	return int(n), n <= MostChances
}

// appendStretches writes the values of one field.
func appendStretches(b []byte, v []uint8) []byte {
	plain := 0 // where the values begin that are written one by one
	for at := 0; at < len(v); {
		past := at + 1
		for past < len(v) && v[past] == v[at] {
			past++
		}
		if past-at >= shortest {
			b = appendPlain(b, v[plain:at])
			b = append(binary.AppendUvarint(b, uint64(past-at)<<1), v[at])
			plain = past
		}
		at = past
	}
	return appendPlain(b, v[plain:])
}

func appendPlain(b []byte, v []uint8) []byte {
	if len(v) == 0 {
		return b
	}
	return append(binary.AppendUvarint(b, uint64(len(v))<<1|1), v...)
}

// DecodeChances reads what [EncodeChances] wrote. What is anything else, or more
// than [MostChances] values, is [study.ErrInvalid].
func DecodeChances(b []byte) ([]study.ChanceGrid, error) {
	bad := func(what string) error { return fmt.Errorf("read probabilities: %s: %w", what, study.ErrInvalid) }
	if len(b) < len(chanceMagic)+4 || string(b[:len(chanceMagic)]) != chanceMagic {
		return nil, bad("no probabilities")
	}
	n := int64(binary.LittleEndian.Uint32(b[len(chanceMagic):]))
	b = b[len(chanceMagic)+4:]
	if n > int64(len(b)) {
		return nil, bad("cut short")
	}
	var grids []study.ChanceGrid
	if err := json.Unmarshal(b[:n], &grids); err != nil {
		return nil, bad("its header is no JSON")
	}
	r := bytes.NewReader(b[n:])
	left := MostChances
	for i := range grids {
		g := &grids[i]
		size, ok := chanceSize(*g)
		for _, p := range g.Unseen {
			ok = ok && int(p) >= g.First && int(p)-g.First < g.Planes
		}
		if !ok || len(g.Of) == 0 || len(g.Of) > left/size {
			return nil, bad("a grid that can't be")
		}
		left -= size * len(g.Of)
		for range g.Of {
			v, err := readStretches(r, size)
			if err != nil {
				return nil, err
			}
			g.Values = append(g.Values, v)
		}
	}
	if r.Len() > 0 {
		return nil, bad("longer than it says")
	}
	return grids, nil
}

// readStretches reads the values of one field.
func readStretches(r *bytes.Reader, size int) ([]uint8, error) {
	bad := fmt.Errorf("read probabilities: stretches are none: %w", study.ErrInvalid)
	v := make([]uint8, 0, size)
	for len(v) < size {
		word, err := binary.ReadUvarint(r)
		n := word >> 1
		if err != nil || n == 0 || n > uint64(size-len(v)) {
			return nil, bad
		}
		from := len(v)
		v = v[:from+int(n)]
		if word&1 == 1 {
			if _, err := io.ReadFull(r, v[from:]); err != nil {
				return nil, bad
			}
			continue
		}
		one, err := r.ReadByte()
		if err != nil {
			return nil, bad
		}
		for i := range v[from:] {
			v[from+i] = one
		}
	}
	return v, nil
}
