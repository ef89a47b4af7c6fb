package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"varde/internal/slide"
	"varde/study"
)

// Survey finds the tissue of every slide of a study that a model sees in
// patches. A slide that is refused has no entry, for [Plan] sees that itself; one
// whose pixels can't be decoded has a reason. An error is one that another try
// may mend.
func Survey(ctx context.Context, slides *slide.Reader, f Facts) (map[study.UID]Tissue, error) {
	wanted := slices.ContainsFunc(f.Models, func(m Asked) bool {
		return m.Card.Input.Kind == study.Patches && len(ofModality(m.Card, f.Instances)) > 0
	})
	if !wanted {
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
		mask, err := slides.Tissue(ctx, levels)
		switch {
		case err == nil:
			found[series] = Tissue{Mask: mask}
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
