package inference

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"varde/study"
)

// Runs of a slide's map are triples of row, first column and last column, in
// order. They tell a region exactly, and runs of two pieces are those of both.

// packRuns writes runs in a few bytes each: how far down, how far along, how long.
func packRuns(runs []int32) []byte {
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

// unpackRuns is the way back.
func unpackRuns(b []byte) ([]int32, error) {
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

// sorted brings runs of several pieces into order and makes one of those that
// touch end to end, so that a region has the same runs however it was cut.
func sorted(runs []int32) []int32 {
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
func measured(p piece) piece {
	p.voxels, p.sum = 0, [3]int64{}
	var corners [][2]int32
	for i := 0; i+2 < len(p.runs); i += 3 {
		y, from, to := p.runs[i], p.runs[i+1], p.runs[i+2]
		n := int64(to-from) + 1
		p.voxels += n
		p.sum[0] += n * (int64(from) + int64(to)) / 2
		p.sum[1] += n * int64(y)
		corners = append(corners, [2]int32{from, y}, [2]int32{to + 1, y}, [2]int32{from, y + 1}, [2]int32{to + 1, y + 1})
	}
	p.hull = hull(corners)
	return p
}

// wholeRegions unites the pieces of one slide's map that touch across blocks. A
// region comes out as it would have from one block.
func wholeRegions(all []spot) ([]spot, error) {
	type stretch struct {
		row, from, to int32
		of            int
	}
	var edges []stretch
	for i, s := range all {
		runs, err := unpackRuns(s.Seam.Edge)
		if err != nil {
			return nil, err
		}
		for k := 0; k+2 < len(runs); k += 3 {
			edges = append(edges, stretch{runs[k], runs[k+1], runs[k+2], i})
		}
	}
	slices.SortFunc(edges, func(a, b stretch) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.from, b.from)) })
	set := newSets(len(all))
	above := 0 // where the row before the present one begins
	for begin := 0; begin < len(edges); {
		end := begin
		for end < len(edges) && edges[end].row == edges[begin].row {
			if end > begin && edges[end].from <= edges[end-1].to+1 {
				set.unite(edges[end-1].of, edges[end].of)
			}
			end++
		}
		if edges[above].row+1 != edges[begin].row {
			above = begin
		}
		for i, j := above, begin; i < begin && j < end; {
			a, b := edges[i], edges[j]
			if a.from <= b.to+1 && b.from <= a.to+1 {
				set.unite(a.of, b.of)
			}
			if a.to < b.to {
				i++
			} else {
				j++
			}
		}
		above, begin = begin, end
	}
	var out []spot
	for _, members := range set.groups() {
		s, err := wholeRegion(all, members)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// wholeRegion makes one region of pieces.
func wholeRegion(all []spot, members []int) (spot, error) {
	s := all[members[0]]
	if len(members) == 1 {
		return s, nil
	}
	p, seam := piece{peak: s.Peak}, *s.Seam
	seam.Value, seam.Edge = 0, nil
	for _, i := range members {
		runs, err := unpackRuns(all[i].Seam.Runs)
		if err != nil {
			return s, err
		}
		p.runs = append(p.runs, runs...)
		p.value += all[i].Seam.Value
		p.peak = max(p.peak, all[i].Peak)
	}
	p.runs = sorted(p.runs)
	seam.Value, seam.Runs = p.value, packRuns(p.runs)
	tile := s.Tile
	s.Candidate = regionOf(p, seam)
	s.Tile = tile
	return s, nil
}
