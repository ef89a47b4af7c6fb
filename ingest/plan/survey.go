package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// Survey finds the tissue of every slide of a study that a model sees in
// patches. A slide that is refused has no entry, for [Plan] sees that itself; one
// whose pixels can't be decoded has a reason. An error is one that another try
// may mend.
func Survey(ctx context.Context, slides *slide.Reader, f Facts) (map[study.UID]Tissue, error) {
	return Surveyor{Slides: slides}.Survey(ctx, f)
}

// A Surveyor surveys slides and keeps what it saw of them.
type Surveyor struct {
	Slides *slide.Reader
	// Pictures keeps mask and thumbnail of each slide, under [slide.MaskKey] and
	// [slide.ThumbKey]. nil keeps none.
	Pictures slide.Shelf
}

// Survey is what the function of that name does, and keeps the pictures. A store
// that is away is an error.
func (s Surveyor) Survey(ctx context.Context, f Facts) (map[study.UID]Tissue, error) {
	var cards []modelcard.Card
	for _, m := range f.Models {
		if m.Card.Input.Kind == study.Patches && len(ofModality(m.Card, f.Instances)) > 0 {
			cards = append(cards, m.Card)
		}
	}
	if len(cards) == 0 {
		return nil, nil
	}
	bySlide := map[study.UID][]study.Instance{}
	for _, in := range f.Instances {
		if in.Image != nil && in.Image.Slide != nil {
			bySlide[in.Series] = append(bySlide[in.Series], in)
		}
	}
	found := map[study.UID]Tissue{}
	for series, instances := range bySlide {
		levels, err := slide.Levels(instances)
		if err != nil {
			continue
		}
		tissue, err := s.look(ctx, series, levels, cards)
		switch {
		case err == nil:
			found[series] = tissue
		case errors.Is(err, study.ErrUnsupported):
			found[series] = Tissue{Reason: study.Reason{Code: study.ReasonTransferSyntax, Detail: string(instances[0].TransferSyntax)}}
		case errors.Is(err, study.ErrInvalid):
			found[series] = Tissue{Reason: study.Reason{Code: study.ReasonDamaged, Detail: string(series)}}
		default:
			return nil, fmt.Errorf("find tissue of slide %s: %w", series, err)
		}
	}
	return found, nil
}

// look surveys one slide.
func (s Surveyor) look(ctx context.Context, series study.UID, levels []slide.Level, cards []modelcard.Card) (Tissue, error) {
	glance, err := s.Slides.Glance(ctx, levels)
	if err != nil {
		return Tissue{}, err
	}
	t := Tissue{Mask: glance.Mask}
	if s.Pictures != nil {
		if err := glance.Keep(ctx, s.Pictures, series); err != nil {
			return t, err
		}
	}
	if glance.Mask.Share() <= 0 || !slices.ContainsFunc(cards, func(c modelcard.Card) bool { return c.Input.Stain != "" }) {
		return t, nil
	}
	t.Stains, err = s.stains(ctx, levels, t, cards)
	return t, err
}

// stains measures a slide's stain for every card that asks for it, at the level
// that the card is shown. Cards that ask for the same share the measure.
func (s Surveyor) stains(ctx context.Context, levels []slide.Level, t Tissue, cards []modelcard.Card) (map[study.Hash]*study.Stain, error) {
	type asked struct {
		method string
		level  study.UID
	}
	measured := map[asked]*study.Stain{}
	all := map[study.Hash]*study.Stain{}
	for _, c := range cards {
		if c.Input.Stain == "" {
			continue
		}
		level, _, err := slide.Pick(levels, c.Input.MicronsPerPixel)
		if err != nil {
			continue // too coarse for this model: the plan says so
		}
		key := asked{c.Input.Stain, level.Key()}
		stain, done := measured[key]
		if !done {
			fit, err := s.Slides.Stain(ctx, level, t.Mask, c.Input.Stain)
			switch {
			case err == nil:
				stain = &fit
			case !errors.Is(err, study.ErrInvalid):
				return nil, err
			}
			measured[key] = stain
		}
		if stain != nil {
			all[c.Hash] = stain
		}
	}
	return all, nil
}
