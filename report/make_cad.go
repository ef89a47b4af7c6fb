package report

import (
	"context"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/cad"
)

// The reports for workstations that read the older forms alone.
const (
	KindMammography = "mammo" // of a study with mammograms
	KindChest       = "chest" // of a study with images of the chest
)

// makeMammography makes the Mammography CAD SR of a study with mammograms.
func makeMammography(ctx context.Context, w *Writer, k work) ([]made, error) {
	if !cad.Mammography(k.instances) {
		return nil, nil
	}
	of, err := w.cad(ctx, k, KindMammography)
	if err != nil {
		return nil, err
	}
	of.Label = words.Lang(speech(k.lang)).T("cad.mammo")
	b, err := of.Mammography()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindMammography, k.number, "", dicom.MammographyCADSR, b)}, nil
}

// makeChest makes the Chest CAD SR of a study with images of the chest.
func makeChest(ctx context.Context, w *Writer, k work) ([]made, error) {
	if !cad.Chest(k.instances) {
		return nil, nil
	}
	of, err := w.cad(ctx, k, KindChest)
	if err != nil {
		return nil, err
	}
	of.Label = words.Lang(speech(k.lang)).T("cad.chest")
	b, err := of.Chest()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindChest, k.number, "", dicom.ChestCADSR, b)}, nil
}

// cad gathers what both are made from.
func (w *Writer) cad(ctx context.Context, k work, kind string) (cad.Work, error) {
	of := cad.Work{Identity: k.identity(), Result: k.result, Instances: k.instances, Lang: k.lang, Lines: k.told(kind).Lines(), Predecessor: k.predecessor(kind, "")}
	of.UID, of.Series = k.name(kind, k.number, "")
	about, ok, err := w.about(k.result.Model)
	if err != nil || !ok {
		return of, err
	}
	of.Looks = about.Looks
	if k.result.Partial() {
		of.Missed, err = w.Slides.missed(ctx, k.result)
	}
	return of, err
}
