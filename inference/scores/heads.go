package scores

import (
	"fmt"
	"math"
	"slices"

	"varde/inference/outputs"
	"varde/inference/place"
	"varde/inference/regions"
	"varde/models/modelcard"
	"varde/study"
)

// heads is what more than scores the patches of a block give: maps that are put
// together, and features. It is the runner's.
type heads struct {
	at      regions.Lay
	begun   bool
	mosaics map[string]*regions.Mosaic // by output
	values  []float32                  // features, in the order of the part's scores
	dim     int
}

// A patch's answer is all that the network gave for it.
type answer struct {
	values   []float32       // of its score
	maps     []regions.Field // in the order of the card
	objects  []outputs.Object
	features []float32
}

// keepPatches takes down what the network gave for a batch of patches.
func (w *work) keepPatches(b batch, out map[string]outputs.Output, scores [][]float32) error {
	for n, i := range b.tiles {
		var row []float32
		if len(scores) > 0 {
			row = scores[n]
		}
		a, err := w.answer(row, n, len(b.tiles), out)
		if err != nil {
			return err
		}
		t := w.Block.Tiles[i]
		switch {
		case a == nil && !t.Context:
			w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
			continue
		case a == nil:
			continue
		}
		if err := w.lay(t, a.maps); err != nil {
			return err
		}
		if t.Context {
			continue
		}
		w.part.Scores = append(w.part.Scores, study.Score{Tile: i, Values: a.values})
		if err := w.keepObjects(i, a.objects); err != nil {
			return err
		}
		if err := w.keepFeatures(a.features); err != nil {
			return err
		}
	}
	return nil
}

// answer reads all outputs of one patch of a batch. It is nil when a number among
// them is none: that is no answer, and the tile counts as unseen.
func (w *work) answer(scalars []float32, n, of int, out map[string]outputs.Output) (*answer, error) {
	a := &answer{values: slices.Clone(scalars)}
	for _, o := range w.Card.Output {
		if o.Role != modelcard.RoleMap {
			continue
		}
		m, err := out[o.Name].Tile(n, of)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(m.Values, outputs.IsNone) {
			return nil, nil
		}
		a.maps = append(a.maps, m)
		a.values = append(a.values, hottest(o, m))
	}
	if f := w.Card.Find; f != nil && f.Objects != "" {
		all, best, err := outputs.Objects(w.Card, out, n, of)
		if err != nil {
			return nil, err
		}
		a.objects = all
		a.values = append(a.values, best)
	}
	if m := w.Card.MIL; m != nil {
		o := out[m.Features]
		if len(o.Values) == 0 || len(o.Values)%of != 0 {
			return nil, fmt.Errorf("features %s of shape %v for %d patches: %w", m.Features, o.Shape, of, study.ErrInvalid)
		}
		a.features = o.Values[n*len(o.Values)/of:][:len(o.Values)/of]
	}
	objects := slices.ContainsFunc(a.objects, func(o outputs.Object) bool { return o.None() })
	if objects || slices.ContainsFunc(a.values, outputs.IsNone) || slices.ContainsFunc(a.features, outputs.IsNone) {
		return nil, nil
	}
	return a, nil
}

// hottest makes the one number of a patch's map that a heatmap shows.
func hottest(o modelcard.Output, m regions.Field) float32 {
	if o.Tile != "mean" {
		return slices.Max(m.Values)
	}
	sum := 0.0
	for _, v := range m.Values {
		sum += float64(v)
	}
	return float32(sum / float64(len(m.Values)))
}

// lay puts the maps of a patch into those of the block, where the card asks for
// more of them than their heat.
func (w *work) lay(t study.Tile, maps []regions.Field) error {
	if len(maps) == 0 {
		return nil
	}
	if !w.heads.begun {
		level, err := w.level()
		if err == nil {
			w.heads.at, err = regions.NewLay(w.Card.Input, level)
		}
		if err != nil {
			return err
		}
		w.heads.begun, w.heads.mosaics = true, map[string]*regions.Mosaic{}
	}
	for n, o := range mapOutputs(w.Card) {
		if o.Aggregate == "" && (w.Card.Find == nil || w.Card.Find.Map != o.Name) {
			continue
		}
		m := w.heads.mosaics[o.Name]
		if m == nil {
			var err error
			if m, err = regions.NewMosaic(w.Card.Input, o, w.heads.at, w.Block, maps[n]); err != nil {
				return err
			}
			w.heads.mosaics[o.Name] = m
		}
		if err := m.Add(t, maps[n]); err != nil {
			return err
		}
	}
	return nil
}

func mapOutputs(card modelcard.Card) []modelcard.Output {
	return slices.DeleteFunc(slices.Clone(card.Output), func(o modelcard.Output) bool { return o.Role != modelcard.RoleMap })
}

// keepFeatures takes down the features of a patch whose score was kept.
func (w *work) keepFeatures(v []float32) error {
	if w.Card.MIL == nil {
		return nil
	}
	if h := &w.heads; h.dim == 0 {
		h.dim = len(v)
	}
	if len(v) != w.heads.dim {
		return fmt.Errorf("%d features among others of %d: %w", len(v), w.heads.dim, study.ErrInvalid)
	}
	w.heads.values = append(w.heads.values, v...)
	return nil
}

// finishPatches searches the maps of the block once all its patches are in. It is
// the runner's, after the last batch.
func (w *work) finishPatches() error {
	for _, o := range mapOutputs(w.Card) {
		m := w.heads.mosaics[o.Name]
		if m == nil {
			continue
		}
		f := m.Field()
		if o.Aggregate != "" {
			w.part.Maps = append(w.part.Maps, m.Total(f))
		}
		if find := w.Card.Find; find != nil && find.Map == o.Name {
			found, err := m.Candidates(f, find.Threshold, func(c study.Candidate) bool { return place.Fits(*find, c) }, w.Block.Tiles)
			if err != nil {
				return err
			}
			w.part.Candidates = append(w.part.Candidates, found...)
		}
		delete(w.heads.mosaics, o.Name)
	}
	if h := w.heads; len(h.values) > 0 {
		w.part.Features = &study.Features{Count: len(h.values) / h.dim, Dim: h.dim, Values: h.values}
	}
	return nil
}

// keepObjects takes down what was detected on a patch, in pixels of the level.
func (w *work) keepObjects(i int, all []outputs.Object) error {
	if len(all) == 0 {
		return nil
	}
	t, in := w.Block.Tiles[i], w.Card.Input
	img := w.instances[t.Instance].Image
	scale := [2]float64{float64(t.W) / float64(in.Width), float64(t.H) / float64(in.Height)}
	mm, err := w.pixelMM()
	if err != nil {
		return err
	}
	for _, o := range all {
		c := study.Candidate{Tile: i, X: float64(t.X) + o.X*scale[0], Y: float64(t.Y) + o.Y*scale[1], Peak: o.Score, Mean: o.Score,
			Box: [2]float64{o.W * scale[0], o.H * scale[1]}, Cut: o.Cut}
		if s := img.Slide; s != nil && (c.X >= float64(s.TotalColumns) || c.Y >= float64(s.TotalRows)) {
			continue // a patch may reach over the edge of the slide
		}
		across, down := c.Box[0]*mm[0], c.Box[1]*mm[1]
		c.WidthMM, c.Volume = math.Max(across, down), across*down
		w.part.Candidates = append(w.part.Candidates, c)
	}
	if len(w.part.Candidates) > regions.MaxPieces {
		return fmt.Errorf("more than %d objects in one block: %w", regions.MaxPieces, study.ErrInvalid)
	}
	return nil
}

// pixelMM is what a pixel of the block's level measures.
func (w *work) pixelMM() ([2]float64, error) {
	if w.heads.at.Level.Columns == 0 {
		level, err := w.level()
		if err != nil {
			return [2]float64{}, err
		}
		w.heads.at.Level = level
	}
	return w.heads.at.MM(), nil
}
