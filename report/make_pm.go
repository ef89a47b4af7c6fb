package report

import (
	"context"
	"fmt"

	"varde/internal/dicom"
	"varde/report/slides"
	"varde/study"
)

// KindMap is a parametric map of one slide.
const KindMap = "pm"

// mapSeries is the series number of parametric maps.
const mapSeries = 9911

// makeMaps makes a parametric map of each slide, as makeHeatmaps makes heatmaps. Of
// CT and other images there is none: what is kept of a network that draws on them
// is which voxels belong to what, and that is for a segmentation to say.
func makeMaps(ctx context.Context, w *Writer, k work) ([]made, error) {
	return makeOfSlides(ctx, w, k, KindMap, dicom.ParametricMap, func(work slides.Work, one slides.Slide) ([]byte, error) {
		work.Number = mapSeries
		if len(one.Heat.Values) == 0 {
			return nil, fmt.Errorf("no patch has a number: %w", study.ErrNotFound)
		}
		return work.ParametricMap(one)
	})
}
