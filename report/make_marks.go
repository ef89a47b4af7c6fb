package report

import (
	"context"
	"fmt"

	"varde/internal/dicom"
	"varde/report/marks"
	"varde/study"
)

// makeRings makes rings and words over the images with findings, an object for each
// kind of image. AI that did not answer has none.
func makeRings(_ context.Context, _ *Writer, k work) ([]made, error) {
	if !answered(k.result) {
		return nil, nil
	}
	objects, err := k.marks(KindRings).Presentations()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", study.ErrInvalid, err)
	}
	var all []made
	for n, b := range objects {
		all = append(all, k.made(KindRings, n, "", dicom.GrayscalePresentation, b))
	}
	return all, nil
}

// makeKeys makes the list of the images with findings.
func makeKeys(_ context.Context, _ *Writer, k work) ([]made, error) {
	if !answered(k.result) {
		return nil, nil
	}
	b, err := k.marks(KindKeys).Keys()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", study.ErrInvalid, err)
	case b == nil:
		return nil, nil
	}
	return []made{k.made(KindKeys, 0, "", dicom.KeyObjectSelection, b)}, nil
}

func (k work) marks(kind string) marks.Work {
	return marks.Work{Result: k.result, Instances: k.instances, Identity: k.identity(), Lang: k.lang,
		Name: func(n int) (object, series study.UID) { return k.name(kind, n, "") }}
}
