package findings

import (
	"cmp"
	"slices"

	"varde/inference/place"
	"varde/inference/regions"
	"varde/internal/mask"
	"varde/study"
)

// A spot is a candidate with the frame that it lies on.
type spot struct {
	study.Candidate
	part  int // in order of the parts
	block *study.Block
	site  place.Site
}

// spots gives the candidates of all parts, those that go on from one block into
// the next made whole.
func (f Facts) spots(instances map[study.UID]*study.Instance) []spot {
	var all []spot
	for n := range f.Parts {
		p := &f.Parts[n]
		for _, c := range p.Candidates {
			if c.Tile < 0 || c.Tile >= len(p.Block.Tiles) {
				continue
			}
			t := p.Block.Tiles[c.Tile]
			if in := instances[t.Instance]; in != nil && in.Image != nil {
				all = append(all, spot{c, n, &p.Block, place.NewSite(c.Tile, t, in).Within(p.Block)})
			}
		}
	}
	return f.joined(all, instances)
}

// joined unites candidates whose seams touch.
func (f Facts) joined(all []spot, instances map[study.UID]*study.Instance) []spot {
	set := mask.NewSets(len(all))
	var up, down []int // those that may go on, and those that may come from elsewhere
	for i, s := range all {
		if s.Seam != nil && len(s.Seam.High) > 0 {
			up = append(up, i)
		}
		if s.Seam != nil && len(s.Seam.Low) > 0 {
			down = append(down, i)
		}
	}
	for _, i := range up {
		for _, k := range down {
			if continues(all[i], all[k]) {
				set.Unite(i, k)
			}
		}
	}
	var out []spot
	for _, members := range set.Groups() {
		s := all[members[0]]
		if len(members) > 1 {
			s = f.join(all, members, instances)
		}
		s.Seam = nil
		out = append(out, s)
	}
	return out
}

// continues reports whether b goes on from a in the block that follows.
func continues(a, b spot) bool {
	return a.block.Series == b.block.Series && a.block.OriginMM == b.block.OriginMM && a.block.StepMM == b.block.StepMM &&
		a.block.Last+1 == b.block.First && regions.Touching(a.Seam.High, b.Seam.Low)
}

// join makes one candidate of pieces. It comes out as it would have from one
// block.
func (f Facts) join(all []spot, members []int, instances map[study.UID]*study.Instance) spot {
	first := all[members[0]]
	scale, spacing := first.Seam.Scale, first.site.Spacing
	g := place.Grain{Scale: scale, MM: [2]float64{scale[0] * spacing[0], scale[1] * spacing[1]}, Voxel: first.Seam.Voxel,
		Origin: first.block.OriginMM, Step: first.block.StepMM}
	whole := place.Piece(first.Candidate)
	parts := []int{first.part}
	for _, i := range members[1:] {
		whole.Add(place.Piece(all[i].Candidate))
		parts = append(parts, all[i].part)
	}
	slices.Sort(parts)
	var sites []place.Site
	for _, n := range slices.Compact(parts) {
		p := &f.Parts[n]
		for i, t := range p.Block.Tiles {
			missed := slices.ContainsFunc(p.Missed, func(m study.Miss) bool { return m.Tile == i })
			if in := instances[t.Instance]; !missed && !t.Context && in != nil && in.Image != nil {
				s := place.NewSite(i, t, in).Within(p.Block)
				s.Part = n
				sites = append(sites, s)
			}
		}
	}
	slices.SortStableFunc(sites, func(a, b place.Site) int { return cmp.Compare(a.At, b.At) })
	if len(sites) == 0 { // cannot be: a piece was seen on a slice
		return first
	}
	c := place.Candidate(whole, g, sites)
	home := place.Nearest(sites, c.ZMM)
	return spot{c, home.Part, &f.Parts[home.Part].Block, home}
}
