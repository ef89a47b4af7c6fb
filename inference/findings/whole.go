package findings

import (
	"cmp"
	"slices"

	"varde/inference/regions"
	"varde/internal/mask"
)

// wholeRegions unites the pieces of one slide's map that touch across blocks. A
// region comes out as it would have from one block.
func wholeRegions(all []spot) ([]spot, error) {
	type stretch struct {
		row, from, to int32
		of            int
	}
	var edges []stretch
	for i, s := range all {
		runs, err := regions.UnpackRuns(s.Seam.Edge)
		if err != nil {
			return nil, err
		}
		for k := 0; k+2 < len(runs); k += 3 {
			edges = append(edges, stretch{runs[k], runs[k+1], runs[k+2], i})
		}
	}
	slices.SortFunc(edges, func(a, b stretch) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.from, b.from)) })
	set := mask.NewSets(len(all))
	above := 0 // where the row before the present one begins
	for begin := 0; begin < len(edges); {
		end := begin
		for end < len(edges) && edges[end].row == edges[begin].row {
			if end > begin && edges[end].from <= edges[end-1].to+1 {
				set.Unite(edges[end-1].of, edges[end].of)
			}
			end++
		}
		if edges[above].row+1 != edges[begin].row {
			above = begin
		}
		for i, j := above, begin; i < begin && j < end; {
			a, b := edges[i], edges[j]
			if a.from <= b.to+1 && b.from <= a.to+1 {
				set.Unite(a.of, b.of)
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
	for _, members := range set.Groups() {
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
	p, seam := regions.Piece{Peak: s.Peak}, *s.Seam
	seam.Value, seam.Edge = 0, nil
	for _, i := range members {
		runs, err := regions.UnpackRuns(all[i].Seam.Runs)
		if err != nil {
			return s, err
		}
		p.Runs = append(p.Runs, runs...)
		p.Value += all[i].Seam.Value
		p.Peak = max(p.Peak, all[i].Peak)
	}
	p.Runs = regions.Sorted(p.Runs)
	seam.Value, seam.Runs = p.Value, regions.PackRuns(p.Runs)
	tile := s.Tile
	s.Candidate = regions.RegionOf(p, seam)
	s.Tile = tile
	return s, nil
}
