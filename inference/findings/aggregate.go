package findings

import (
	"math"
	"slices"

	"varde/inference/outputs"
	"varde/inference/regions"
	"varde/models/modelcard"
	"varde/study"
)

const (
	// topShare and topLeast say what "top" is the mean of: the highest 1 %, and
	// at least ten, so that one odd tile decides nothing.
	topShare = 0.01
	topLeast = 10
)

// A value is one number of a study.
type value struct {
	out   modelcard.Output
	value float64
	known bool // false when nothing was there to make it from
}

// inUnit gives the number in the unit of the card. A probability is a share, and
// a hundred times that in percent.
func (v value) inUnit() float64 {
	if v.out.Probability && v.out.Unit.Value == "%" {
		return 100 * *share(v.value)
	}
	return v.value
}

// A row is the score of one tile.
type row struct {
	tile   study.Tile
	values []float32
}

// rows gives the scores of all parts: of a slide as it is read, so that sums do
// not depend on how it was cut into blocks, and else in the order of the parts.
func (f Facts) rows() []row {
	var all []row
	for _, p := range f.Parts {
		for _, s := range p.Scores {
			if s.Tile >= 0 && s.Tile < len(p.Block.Tiles) {
				all = append(all, row{p.Block.Tiles[s.Tile], s.Values})
			}
		}
	}
	if f.Card.Input.Kind == study.Patches {
		slices.SortStableFunc(all, func(a, b row) int { return regions.ReadingOrder(a.tile, b.tile) })
	}
	return all
}

// aggregate makes the numbers of a study, or of one slide of it, from those of
// the tiles: one for each output that the card aggregates, in the card's order,
// and then those of the second network.
func (f Facts) aggregate() []value {
	rows := f.rows()
	columns := map[string][]float64{}
	for i, o := range outputs.ScalarOutputs(f.Card) {
		for _, r := range rows {
			if i < len(r.values) {
				columns[o.Name] = append(columns[o.Name], float64(r.values[i]))
			}
		}
	}
	var all []value
	for _, o := range f.Card.Output {
		if o.Aggregate == "" {
			continue
		}
		v := value{out: o}
		switch area := o.Aggregate == "area" || o.Aggregate == "share"; {
		case o.Role == modelcard.RoleMap:
			v.value, v.known = f.mapValue(o)
		case area:
			v.value, v.known = f.area(o, rows, columns[o.Name])
		default:
			v.value, v.known = combine(o, columns[o.Name], columns[o.Weight])
		}
		all = append(all, v)
	}
	return append(append(all, f.totals()...), f.judged()...)
}

// mapValue makes one number of the maps of a slide.
func (f Facts) mapValue(o modelcard.Output) (float64, bool) {
	var t study.MapSum
	for _, p := range f.Parts {
		for _, m := range p.Maps {
			if m.Output != o.Name || m.Pixels == 0 {
				continue
			}
			if t.Pixels == 0 || m.Peak > t.Peak {
				t.Peak = m.Peak
			}
			t.Pixels, t.Above, t.Value, t.Scale = t.Pixels+m.Pixels, t.Above+m.Above, t.Value+m.Value, m.Scale
		}
	}
	if t.Pixels == 0 {
		return 0, false
	}
	switch o.Aggregate {
	case "max":
		return float64(t.Peak), true
	case "area":
		return float64(t.Above) * t.Scale[0] * t.Scale[1], true
	case "share":
		return float64(t.Above) / float64(t.Pixels), true
	}
	return float64(t.Value) * regions.Millionth / float64(t.Pixels), true
}

// area gives the mm² of the patches whose number is at or above the card's, or
// their share of what was seen.
func (f Facts) area(o modelcard.Output, rows []row, values []float64) (float64, bool) {
	if len(rows) == 0 || len(values) != len(rows) {
		return 0, false
	}
	level, err := regions.LevelOf(rows[0].tile.Instance, f.Instances)
	if err != nil {
		return 0, false
	}
	var all, above []study.Tile
	for i, r := range rows {
		all = append(all, r.tile)
		if values[i] >= o.Above {
			above = append(above, r.tile)
		}
	}
	mm2 := regions.Covered(level, above)
	if o.Aggregate == "area" {
		return mm2, true
	}
	seen := regions.Covered(level, all)
	return mm2 / seen, seen > 0
}

// judged gives the numbers of the second network.
func (f Facts) judged() []value {
	if f.Card.MIL == nil {
		return nil
	}
	var all []value
	for i, o := range f.Card.MIL.Output {
		v := value{out: o}
		if len(f.Judgments) == 1 && i < len(f.Judgments[0].Values) {
			v.value, v.known = f.Judgments[0].Values[i], true
		}
		all = append(all, v)
	}
	return all
}

// combine makes one number of many. Values come in the order of the tiles, so
// that sums are the same each time.
func combine(o modelcard.Output, values, weights []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	switch o.Aggregate {
	case "sum":
		return sum(values), true
	case "max":
		return slices.Max(values), true
	case "top":
		sorted := slices.Clone(values)
		slices.Sort(sorted)
		n := o.Top
		if n == 0 {
			n = max(topLeast, int(math.Ceil(topShare*float64(len(sorted)))))
		}
		n = min(n, len(sorted))
		return sum(sorted[len(sorted)-n:]) / float64(n), true
	}
	if p, ok := o.Percentile(); ok {
		return percentile(values, p), true
	}
	if o.Weight == "" {
		return sum(values) / float64(len(values)), true
	}
	total, weight := 0.0, 0.0
	for i, v := range values {
		if i < len(weights) && weights[i] > 0 {
			total += v * weights[i]
			weight += weights[i]
		}
	}
	if weight == 0 {
		return 0, false
	}
	return total / weight, true
}

func sum(values []float64) float64 {
	s := 0.0
	for _, v := range values {
		s += v
	}
	return s
}

// percentile gives the value below which p percent of the others lie, on the line
// between the two nearest (Hyndman and Fan, 1996, definition 7).
func percentile(values []float64, p float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	at := p / 100 * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}
