package inference

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"varde/inference/findings"
	"varde/inference/outputs"
	"varde/inference/regions"
	"varde/inference/sessions"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// A bagged patch is one whose features are in the bag of its slide.
type bagged struct {
	tile        study.Tile
	part, score int // where it is in the parts
	features    []float32
}

// A jury asks the second network of a card.
type jury struct {
	card    modelcard.Card
	session sessions.Session
	gate    sessions.Gate // nil = none
	lane    study.Lane
}

// judge asks the second network of each slide whose patches have features. It sees
// them as the slide is read, so that its answer does not depend on how the slide
// was cut into blocks. A slide with more patches than the card allows, or for
// which the network gives no number, gets no judgment.
func (j jury) judge(ctx context.Context, f Facts) ([]findings.Judgment, error) {
	bags := map[study.UID][]bagged{}
	var order []study.UID
	for n, p := range f.Parts {
		if p.Features == nil {
			continue
		}
		if p.Features.Count != len(p.Scores) || len(p.Features.Values) != p.Features.Count*p.Features.Dim {
			return nil, fmt.Errorf("part %d has features of %d tiles and scores of %d: %w", p.Index, p.Features.Count, len(p.Scores), study.ErrInvalid)
		}
		series := f.SlideOf(p)
		if bags[series] == nil {
			order = append(order, series)
		}
		for i, s := range p.Scores {
			if s.Tile >= 0 && s.Tile < len(p.Block.Tiles) {
				bags[series] = append(bags[series], bagged{p.Block.Tiles[s.Tile], n, i, p.Features.Values[i*p.Features.Dim:][:p.Features.Dim]})
			}
		}
	}
	slices.Sort(order)
	var all []findings.Judgment
	for _, series := range order {
		bag := bags[series]
		if len(bag) > j.card.MIL.MostPatches() {
			continue
		}
		one, ok, err := j.one(ctx, series, bag)
		if err != nil {
			return nil, fmt.Errorf("judge slide %s by %d patches: %w", series, len(bag), err)
		}
		if ok {
			all = append(all, one)
		}
	}
	return all, nil
}

// one judges one slide.
func (j jury) one(ctx context.Context, series study.UID, bag []bagged) (findings.Judgment, bool, error) {
	slices.SortStableFunc(bag, func(a, b bagged) int { return regions.ReadingOrder(a.tile, b.tile) })
	dim := len(bag[0].features)
	data := make([]float32, 0, len(bag)*dim)
	for _, b := range bag {
		if len(b.features) != dim {
			return findings.Judgment{}, false, fmt.Errorf("%d features among others of %d: %w", len(b.features), dim, study.ErrInvalid)
		}
		data = append(data, b.features...)
	}
	in := pixel.Tensor{Shape: []int64{int64(len(bag)), int64(dim)}, Data: data}
	if j.card.MIL.Batched {
		in.Shape = append([]int64{1}, in.Shape...)
	}
	out, err := j.run(ctx, in)
	if err != nil {
		return findings.Judgment{}, false, err
	}
	d := findings.Judgment{Series: series}
	for _, o := range j.card.MIL.Output {
		values, err := asked(out, o.Name)
		if err != nil {
			return d, false, err
		}
		v, err := outputs.Pick(o, values)
		if err != nil {
			return d, false, err
		}
		if outputs.IsNone(v) {
			return d, false, nil
		}
		d.Values = append(d.Values, float64(v))
	}
	if name := j.card.MIL.Attention; name != "" {
		weights, err := asked(out, name)
		if err != nil {
			return d, false, err
		}
		if len(weights) != len(bag) {
			return d, false, fmt.Errorf("output %s weighs %d patches of %d: %w", name, len(weights), len(bag), study.ErrInvalid)
		}
		if slices.ContainsFunc(weights, outputs.IsNone) {
			return d, false, nil
		}
		d.Attention = weighed(bag, weights)
	}
	return d, true, nil
}

func (j jury) run(ctx context.Context, in pixel.Tensor) (map[string]pixel.Tensor, error) {
	var out map[string]pixel.Tensor
	once := func() (err error) {
		out, err = j.session.Run(ctx, map[string]pixel.Tensor{j.card.MIL.Input: in})
		return err
	}
	var err error
	if j.gate == nil {
		err = once()
	} else {
		err = j.gate.Run(ctx, study.Turn{What: j.card.Ref().String() + " mil", Lane: j.lane}, func(int) error { return once() })
	}
	return out, err
}

// asked gives an output by name as numbers.
func asked(out map[string]pixel.Tensor, name string) ([]float32, error) {
	t, ok := out[name]
	if !ok {
		return nil, fmt.Errorf("the second network gave no %s: %w", name, study.ErrInvalid)
	}
	v, err := outputs.Numbers(t)
	if err == nil && len(v) == 0 {
		err = fmt.Errorf("an output of shape %v: %w", t.Shape, study.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("output %s of the second network: %w", name, err)
	}
	return v, nil
}

// weighed gives the weight of each patch by part and score, as a share of the
// highest.
func weighed(bag []bagged, weights []float32) map[int][]float32 {
	top := slices.Max(weights)
	all := map[int][]float32{}
	for i, b := range bag {
		of := all[b.part]
		for len(of) <= b.score {
			of = append(of, 0)
		}
		if of[b.score] = 0; top > 0 {
			of[b.score] = max(weights[i], 0) / top
		}
		all[b.part] = of
	}
	return all
}

// attend writes the attention of each patch behind the numbers of its score, the
// same numbers however often it is done. It gives the parts that it changed, by
// their place.
func attend(card modelcard.Card, parts []study.Part, all []findings.Judgment) []int {
	if card.MIL == nil || card.MIL.Attention == "" {
		return nil
	}
	columns := len(card.Columns()) - 1
	var changed []int
	for n := range parts {
		for _, d := range all {
			of := d.Attention[n]
			for i := range parts[n].Scores {
				if s := &parts[n].Scores[i]; i < len(of) && len(s.Values) >= columns {
					s.Values = append(slices.Clone(s.Values[:columns]), of[i])
				}
			}
			if len(of) > 0 {
				changed = append(changed, n)
			}
		}
	}
	return changed
}

// judge has the worker ask the second network of a card that names one, and keeps
// the parts with the attention that it gives.
func (w *Worker) judge(ctx context.Context, f *Facts, lane study.Lane) error {
	if f.Card.MIL == nil || f.Stopped || len(f.Parts) == 0 {
		return nil
	}
	for i := range f.Parts {
		if err := w.getFeatures(ctx, &f.Parts[i]); err != nil {
			return err
		}
	}
	session, release, err := w.Sessions.Acquire(ctx, f.Card.Second())
	if err != nil {
		return modelFault(err)
	}
	defer release()
	j := jury{card: f.Card, session: session, lane: lane}
	if w.Scorer != nil {
		j.gate = w.Scorer.Gate
	}
	if f.Judgments, err = j.judge(ctx, *f); err != nil {
		return modelFault(err)
	}
	for _, n := range attend(f.Card, f.Parts, f.Judgments) {
		b, err := EncodePart(f.Parts[n])
		if err != nil {
			return err
		}
		if err := w.Objects.Put(ctx, PartKey(f.Parts[n]), bytes.NewReader(b), int64(len(b))); err != nil {
			return err
		}
	}
	return nil
}
