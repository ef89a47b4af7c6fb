package findings

import (
	"cmp"
	"fmt"
	"slices"

	"varde/models/modelcard"
	"varde/study"
)

// detected gives what was detected on images, each thing once.
func (f Facts) detected(all []spot) ([]found, error) {
	if len(all) > maxFound {
		return nil, fmt.Errorf("%d detections in one study, more than %d: %w", len(all), maxFound, study.ErrInvalid)
	}
	byImage := map[string][]spot{}
	var order []string
	for _, s := range all {
		key := s.ground()
		if byImage[key] == nil {
			order = append(order, key)
		}
		byImage[key] = append(byImage[key], s)
	}
	find := *f.Card.Find
	var out []found
	for _, key := range order {
		mm := byImage[key][0].site.Spacing
		for _, s := range sized(find, single(find, byImage[key], mm)) {
			box := s.Box
			out = append(out, found{part: s.part, site: s.site, x: s.X, y: s.Y, wide: s.WidthMM, volume: s.Volume, peak: s.Peak, members: 1, object: &box})
		}
	}
	return out, nil
}

// what gives the codes of a finding, and whether its peak is a probability.
func (f Facts) what(a found) (what, where study.Code, probable bool) {
	if a.lesion != nil {
		return a.lesion.segment.What, a.lesion.segment.Site, false
	}
	find := f.Card.Find
	name := cmp.Or(find.Map, find.Scalar, find.Scores, find.Objects)
	return find.What, find.Site, slices.ContainsFunc(f.Card.Output, func(o modelcard.Output) bool { return o.Name == name && o.Probability })
}
