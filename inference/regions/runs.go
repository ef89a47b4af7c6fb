package regions

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"varde/study"
)

// Runs of a slide's map are triples of row, first column and last column, in
// order. They tell a region exactly, and runs of two pieces are those of both.

// PackRuns writes runs in a few bytes each: how far down, how far along, how long.
func PackRuns(runs []int32) []byte {
	var b []byte
	row, from := int32(0), int32(0)
	for i := 0; i+2 < len(runs); i += 3 {
		b = binary.AppendVarint(b, int64(runs[i]-row))
		b = binary.AppendVarint(b, int64(runs[i+1]-from))
		b = binary.AppendUvarint(b, uint64(runs[i+2]-runs[i+1]))
		row, from = runs[i], runs[i+1]
	}
	return b
}

// UnpackRuns is the way back.
func UnpackRuns(b []byte) ([]int32, error) {
	const far = 1 << 30
	var runs []int32
	row, from := int64(0), int64(0)
	for len(b) > 0 {
		down, n := binary.Varint(b)
		along, m := binary.Varint(b[max(n, 0):])
		if n <= 0 || m <= 0 {
			return nil, fmt.Errorf("runs of a region are cut short: %w", study.ErrInvalid)
		}
		long, o := binary.Uvarint(b[n+m:])
		row, from = row+down, from+along
		if o <= 0 || long > far || row < 0 || row > far || from < 0 || from > far {
			return nil, fmt.Errorf("runs of a region are none: %w", study.ErrInvalid)
		}
		runs = append(runs, int32(row), int32(from), int32(from)+int32(long))
		b = b[n+m+o:]
	}
	return runs, nil
}

// Sorted brings runs of several pieces into order and makes one of those that
// touch end to end, so that a region has the same runs however it was cut.
func Sorted(runs []int32) []int32 {
	all := make([][3]int32, 0, len(runs)/3)
	for i := 0; i+2 < len(runs); i += 3 {
		all = append(all, [3]int32(runs[i:i+3]))
	}
	slices.SortFunc(all, func(a, b [3]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	out := make([]int32, 0, len(runs))
	for _, r := range all {
		n := len(out)
		if n > 0 && out[n-3] == r[0] && r[1] <= out[n-1]+1 {
			out[n-1] = max(out[n-1], r[2])
			continue
		}
		out = append(out, r[0], r[1], r[2])
	}
	return out
}

// measured counts the pixels of a piece that is told by its runs, adds up where
// they lie, and gives their hull.
func measured(p Piece) Piece {
	p.Voxels, p.Sum = 0, [3]int64{}
	var corners [][2]int32
	for i := 0; i+2 < len(p.Runs); i += 3 {
		y, from, to := p.Runs[i], p.Runs[i+1], p.Runs[i+2]
		n := int64(to-from) + 1
		p.Voxels += n
		p.Sum[0] += n * (int64(from) + int64(to)) / 2
		p.Sum[1] += n * int64(y)
		corners = append(corners, [2]int32{from, y}, [2]int32{to + 1, y}, [2]int32{from, y + 1}, [2]int32{to + 1, y + 1})
	}
	p.Hull = hull(corners)
	return p
}
