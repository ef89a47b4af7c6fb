// Package mask keeps what networks draw: which voxels of a grid belong to which
// segment, told by runs of four numbers: plane, row, first column and last column.
//
//	Encode, Decode  masks as they are kept beside the part of a result
//	EncodeChances, DecodeChances
//	                the probabilities of voxels, kept in the same way
//	Bodies          runs parted into what is connected
//	Sets            the sets of a union, by which pieces become one
package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"varde/study"
)

// magic begins an object of masks. The length of a header follows and the
// header itself, the part's grids as JSON; then for each grid how many segments
// it has, and for each of these how many runs, and the runs: how far on in planes,
// rows and columns, and how long.
const magic = "VMSK\x01\x00\x00\x00"

// Encode writes masks: the same bytes for the same voxels.
func Encode(m study.Masks) ([]byte, error) {
	head, err := json.Marshal(m.Grids)
	if err != nil {
		return nil, fmt.Errorf("write masks: %w", err)
	}
	b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(head)))
	b = append(b, head...)
	for _, g := range m.Grids {
		b = binary.AppendUvarint(b, uint64(len(g.Runs)))
		for _, runs := range g.Runs {
			b = binary.AppendUvarint(b, uint64(len(runs)/4))
			var last [3]int32
			for i := 0; i+3 < len(runs); i += 4 {
				for k := range last {
					b = binary.AppendVarint(b, int64(runs[i+k]-last[k]))
					last[k] = runs[i+k]
				}
				b = binary.AppendUvarint(b, uint64(runs[i+3]-runs[i+2]))
			}
		}
	}
	return b, nil
}

// Decode reads what [Encode] wrote, and checks that every voxel lies
// within its grid.
func Decode(b []byte) ([]study.MaskGrid, error) {
	bad := func(what string) error { return fmt.Errorf("read masks: %s: %w", what, study.ErrInvalid) }
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic {
		return nil, bad("no masks")
	}
	n := int64(binary.LittleEndian.Uint32(b[len(magic):]))
	b = b[len(magic)+4:]
	var grids []study.MaskGrid
	if n > int64(len(b)) {
		return nil, bad("cut short")
	}
	if err := json.Unmarshal(b[:n], &grids); err != nil {
		return nil, bad("its header is no JSON")
	}
	r := bytes.NewReader(b[n:])
	for i := range grids {
		g := &grids[i]
		segments, err := binary.ReadUvarint(r)
		if err != nil || segments > 4096 {
			return nil, bad("segments")
		}
		g.Runs = make([][]int32, segments)
		for k := range g.Runs {
			if g.Runs[k], err = readRuns(r, *g); err != nil {
				return nil, err
			}
		}
	}
	if r.Len() > 0 {
		return nil, bad("longer than it says")
	}
	return grids, nil
}

// readRuns reads the runs of one segment.
func readRuns(r *bytes.Reader, g study.MaskGrid) ([]int32, error) {
	bad := fmt.Errorf("read masks: runs are none: %w", study.ErrInvalid)
	count, err := binary.ReadUvarint(r)
	if err != nil || count > uint64(r.Len()) { // a run has four bytes at least
		return nil, bad
	}
	var runs []int32
	var at [3]int64
	for range count {
		for k := range at {
			d, err := binary.ReadVarint(r)
			if err != nil || d > math.MaxInt32 || d < -math.MaxInt32 {
				return nil, bad
			}
			at[k] += d
		}
		long, err := binary.ReadUvarint(r)
		if err != nil || at[0] < int64(g.First) || at[0] >= int64(g.First)+int64(g.Planes) || at[1] < 0 || at[1] >= int64(g.Rows) ||
			at[2] < 0 || at[2] >= int64(g.Columns) || long >= uint64(int64(g.Columns)-at[2]) {
			return nil, bad
		}
		runs = append(runs, int32(at[0]), int32(at[1]), int32(at[2]), int32(at[2]+int64(long)))
	}
	return runs, nil
}
