package findings

import (
	"cmp"
	"fmt"
	"slices"

	"varde/inference/place"
	"varde/inference/regions"
	"varde/study"
)

// maxFound bounds the candidates of one slide: more than any slide has cells of
// one kind that a card would list.
const maxFound = 2 << 20

// onSlide gives the regions of the map, or the detections, of one slide.
func (f Facts) onSlide(instances map[study.UID]*study.Instance) ([]found, error) {
	var all []spot
	for n := range f.Parts {
		p := &f.Parts[n]
		for _, c := range p.Candidates {
			if c.Tile < 0 || c.Tile >= len(p.Block.Tiles) {
				continue
			}
			t := p.Block.Tiles[c.Tile]
			if in := instances[t.Instance]; in != nil && in.Image != nil && (c.Seam != nil) == (f.Card.Find.Map != "") {
				all = append(all, spot{c, n, &p.Block, place.NewSite(c.Tile, t, in)})
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	if len(all) > maxFound {
		return nil, fmt.Errorf("%d candidates on one slide, more than %d: %w", len(all), maxFound, study.ErrInvalid)
	}
	if f.Card.Find.Map != "" {
		whole, err := wholeRegions(all)
		if err != nil {
			return nil, err
		}
		all = whole
	} else {
		level, err := regions.LevelOf(all[0].site.Tile.Instance, f.Instances)
		if err != nil {
			return nil, err
		}
		all = single(*f.Card.Find, all, regions.Lay{Level: level}.MM())
	}
	var out []found
	for _, s := range sized(*f.Card.Find, all) {
		a := found{part: s.part, site: s.site, slide: s.site.In.Series, x: s.X, y: s.Y, wide: s.WidthMM, volume: s.Volume,
			peak: s.Peak, members: 1, seam: s.Seam}
		if s.Seam == nil {
			a.object = &s.Box
		}
		out = append(out, a)
	}
	return out, nil
}

// A glass is one slide of a case.
type glass struct {
	study.SlideResult
	decision
	facts Facts
}

// concludeCase concludes slide by slide. r says what is known of the whole.
func (f Facts) concludeCase(r study.Result) study.Result {
	all := f.glasses()
	scored := 0
	for i := range all {
		g := &all[i]
		if g.Seen <= 0 {
			continue
		}
		g.decision = g.facts.decide(g.Partial(), g.Reason)
		g.SlideResult.AI, g.SlideResult.Reason = g.decision.ai, g.decision.reason
		if g.AI == study.Failed {
			continue
		}
		scored++
		g.Measurements, g.Probability, g.Hotspot, g.Findings = g.measurements, g.probability, g.hotspot, len(g.all)
	}
	slices.SortStableFunc(all, worstFirst)
	for _, g := range all {
		r.Slides = append(r.Slides, g.SlideResult)
		if g.AI == study.Failed && g.Seen > 0 && scored > 0 {
			// Its numbers did not come to anything: it counts as unseen.
			r.Seen -= g.Seen
			r.Reason = g.SlideResult.Reason
		}
	}
	worst := all[0]
	r.AI = worst.AI
	if scored == 0 {
		r.Reason = cmp.Or(worst.SlideResult.Reason, r.Reason)
		return r
	}
	if r.AI == study.NotFlagged && r.Partial() {
		r.AI = study.Uncertain
	}
	r.Slide, r.Measurements, r.Probability = worst.Series, worst.Measurements, worst.Probability
	r.Findings = f.report(f.ofAll(all))
	for _, g := range all {
		r.Unlisted += g.Findings
	}
	r.Unlisted -= len(r.Findings)
	f.calibrate(&r, worst.number)
	f.calibrateSlides(&r, all)
	return r
}

// rank is how bad the state of a slide is; those that were not scored are last.
func rank(s study.AIState) int {
	switch s {
	case study.Flagged:
		return 0
	case study.Uncertain:
		return 1
	case study.NotFlagged:
		return 2
	case study.Failed:
		return 3
	}
	return 4
}

func worstFirst(a, b glass) int {
	return cmp.Or(cmp.Compare(rank(a.AI), rank(b.AI)), cmp.Compare(b.number, a.number), cmp.Compare(a.Series, b.Series))
}

// glasses parts what is known by slides, in the order of their series: those that
// were scored, and those that the plan leaves out or whose jobs were lost.
func (f Facts) glasses() []glass {
	at := map[study.UID]int{}
	var all []glass
	add := func(series study.UID) *glass {
		i, ok := at[series]
		if !ok {
			i = len(all)
			at[series] = i
			one := f
			one.Parts, one.Judgments = nil, nil
			all = append(all, glass{facts: one, SlideResult: study.SlideResult{Series: series, Container: f.container(series),
				Measurements: []study.Measurement{}, AI: study.Failed}})
		}
		return &all[i]
	}
	for _, p := range f.Plan.Slides {
		g := add(p.Series)
		g.Planned, g.SlideResult.Reason = p.Planned, p.Reason
		if p.State == study.OutOfScope {
			g.AI = study.OutOfScope
		}
	}
	planned := map[study.UID]int{}
	for _, p := range f.Parts {
		g := add(f.SlideOf(p))
		g.facts.Parts = append(g.facts.Parts, p)
		g.Seen += p.Block.Planned() - len(p.Missed)
		planned[g.Series] += p.Block.Planned()
	}
	for i := range all {
		g := &all[i]
		g.Planned = max(g.Planned, planned[g.Series])
		if g.Planned == 0 && g.AI == study.Failed {
			g.Planned = 1 // it counts as one tile in the plan, too
		}
		g.facts.Plan.Planned = g.Planned
		for _, j := range f.Judgments {
			if j.Series == g.Series {
				g.facts.Judgments = append(g.facts.Judgments, j)
			}
		}
		if g.Partial() && g.SlideResult.Reason.Zero() {
			g.SlideResult.Reason = g.facts.unseen()
		}
	}
	slices.SortFunc(all, func(a, b glass) int { return cmp.Compare(a.Series, b.Series) })
	return all
}

// SlideOf is the slide that a part is of.
func (f Facts) SlideOf(p study.Part) study.UID {
	if p.Block.Series != "" || len(p.Block.Tiles) == 0 {
		return p.Block.Series
	}
	i := slices.IndexFunc(f.Instances, func(in study.Instance) bool { return in.UID == p.Block.Tiles[0].Instance })
	if i < 0 {
		return ""
	}
	return f.Instances[i].Series
}

// container gives what stands on a slide's label.
func (f Facts) container(series study.UID) string {
	for _, in := range f.Instances {
		if in.Series == series && in.Image != nil && in.Image.Slide != nil && in.Image.Slide.ContainerID != "" {
			return in.Image.Slide.ContainerID
		}
	}
	return ""
}

// ofAll puts the findings of all slides together, most suspicious first. When
// there are more than the card reports each slide keeps at least its first.
func (f Facts) ofAll(all []glass) []found {
	var first, rest []found
	for _, g := range all {
		if len(g.all) > 0 {
			first = append(first, g.all[0])
			rest = append(rest, g.all[1:]...)
		}
	}
	slices.SortStableFunc(first, f.bySuspicion)
	slices.SortStableFunc(rest, f.bySuspicion)
	n := most(f.Card.Find)
	first = first[:min(len(first), n)]
	out := append(first, rest[:min(len(rest), n-len(first))]...)
	slices.SortStableFunc(out, f.bySuspicion)
	return out
}
