package inference

import (
	"math"
	"slices"

	"varde/models"
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
	out   models.Output
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

// aggregate makes the study's numbers from those of the tiles: one for each
// scalar output that the card aggregates, in the card's order.
func aggregate(card models.Card, parts []study.Part) []value {
	columns := map[string][]float64{}
	for i, o := range scalarOutputs(card) {
		for _, p := range parts {
			for _, s := range p.Scores {
				if i < len(s.Values) {
					columns[o.Name] = append(columns[o.Name], float64(s.Values[i]))
				}
			}
		}
	}
	var all []value
	for _, o := range scalarOutputs(card) {
		if o.Aggregate == "" {
			continue
		}
		v := value{out: o}
		v.value, v.known = combine(o, columns[o.Name], columns[o.Weight])
		all = append(all, v)
	}
	return all
}

func scalarOutputs(card models.Card) []models.Output {
	var scalars []models.Output
	for _, o := range card.Output {
		if o.Role == models.RoleScalar {
			scalars = append(scalars, o)
		}
	}
	return scalars
}

// combine makes one number of many. Values come in the order of the tiles, so
// that sums are the same each time.
func combine(o models.Output, values, weights []float64) (float64, bool) {
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
		n := min(max(topLeast, int(math.Ceil(topShare*float64(len(sorted))))), len(sorted))
		return sum(sorted[len(sorted)-n:]) / float64(n), true
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
