package outputs

import (
	"fmt"
	"slices"

	"varde/models/modelcard"
	"varde/study"
)

// labeled adds to the scalars of n tiles what the card's labels say of them: one
// number of a plain label, and the probability of each grade of another.
func labeled(card modelcard.Card, out map[string]Output, n int, all [][]float32) ([][]float32, error) {
	for _, l := range card.Label {
		o := out[l.Output]
		if len(o.Values) == 0 || len(o.Values)%n != 0 {
			return nil, fmt.Errorf("output %s of shape %v for %d tiles: %w", l.Output, o.Shape, n, study.ErrInvalid)
		}
		if all == nil {
			all = make([][]float32, n)
		}
		row := len(o.Values) / n
		for i := range n {
			v, err := label(l, o.Card, o.Values[i*row:][:row])
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], v...)
		}
	}
	return all, nil
}

// label gives the numbers of one label of one tile.
func label(l modelcard.Label, o modelcard.Output, row []float32) ([]float32, error) {
	if len(l.Grade) == 0 {
		o.Index = l.Index
		v, err := Pick(o, row)
		return []float32{v}, err
	}
	want := len(l.Grade)
	if o.Activation == modelcard.ActivationCumulative {
		want--
	}
	if len(row) != want {
		return nil, fmt.Errorf("output %s has %d numbers for %d grades of %s: %w", o.Name, len(row), len(l.Grade), l.Name, study.ErrInvalid)
	}
	v := make([]float32, len(l.Grade))
	if o.Activation != modelcard.ActivationCumulative {
		for i := range v {
			o.Index = i
			var err error
			if v[i], err = Pick(o, row); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	// What lies above a grade lies above those below it: a network that says
	// otherwise is taken at its lower word.
	above := float32(1)
	for i, x := range row {
		next := min(above, activate("sigmoid", x, slices.Values(row)))
		if IsNone(x) {
			next = x
		}
		v[i] = above - next
		above = next
	}
	v[len(v)-1] = above
	return v, nil
}

// Embedding gives the embeddings of one tile, those of all outputs one after the
// other.
func Embedding(card modelcard.Card, out map[string]Output, n, of int) ([]float32, error) {
	var all []float32
	for _, o := range card.Output {
		if o.Role != modelcard.RoleEmbedding {
			continue
		}
		v := out[o.Name].Values
		if len(v) == 0 || len(v)%of != 0 {
			return nil, fmt.Errorf("output %s of shape %v for %d tiles: %w", o.Name, out[o.Name].Shape, of, study.ErrInvalid)
		}
		all = append(all, v[n*len(v)/of:][:len(v)/of]...)
	}
	return all, nil
}
