package report

import (
	"slices"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/masks"
	"varde/study"
)

// Segments says where findings are in masks: by the segmentation that they are in and
// by the tracking UID of the finding.
type Segments map[study.UID]map[study.UID]masks.Place

// A segment is what a network drew of one finding.
type segment struct {
	of     study.Report // the segmentation
	number int
	series study.UID // that it was drawn over
	frame  int       // of the segmentation, where it is on that one alone; else 0
	over   tree.Reference
}

// segments finds the findings that say where they are by their segment, and not by an
// outline, for who gets the segmentation: those of every one in which some finding goes
// through several frames by its number, TID 1411, and where none does, those that lie on
// one frame of it and on one image by that frame, TID 1410. Both templates want exactly
// one way.
func (b *builder) segments() map[study.UID]segment {
	all := map[study.UID]segment{}
	for _, o := range b.document.Objects {
		places := b.places[o.UID]
		deep := slices.ContainsFunc(b.result.Findings, func(f study.Finding) bool { return places[f.Tracking].Frames > 1 })
		for _, f := range b.result.Findings {
			p, series := places[f.Tracking], b.seriesOf(f)
			if _, known := all[f.Tracking]; known || p.Number == 0 || series == "" {
				continue
			}
			s := segment{of: o, number: p.Number, series: series}
			if !deep && len(f.Regions) == 1 && !b.onTheGlass(f.Regions[0]) {
				g := f.Regions[0]
				s.frame, s.over = p.Frame, tree.Reference{Class: g.Class, Instance: g.Instance}
				if g.Frames > 1 {
					s.over.Frame = g.Frame
				}
			}
			if deep || s.frame > 0 {
				all[f.Tracking] = s
			}
		}
	}
	return all
}

// seriesOf gives the series that a finding lies in, or none.
func (b *builder) seriesOf(f study.Finding) study.UID {
	for _, i := range b.document.Evidence {
		if len(f.Regions) > 0 && i.UID == f.Regions[0].Instance {
			return i.Series
		}
	}
	return ""
}

// onTheGlass reports whether a region is one of a slide as a whole: it is on many frames.
func (b *builder) onTheGlass(g study.Region) bool {
	_, slide := b.planes[g.Instance]
	return slide || g.Total
}

// rows gives the rows of TID 1410 that name a frame of a segmentation and the image that
// it was drawn over, or those of TID 1411 that name a segment and its series; without a
// number all segments are meant.
func (s segment) rows() []tree.Item {
	if s.frame > 0 {
		frame := tree.Image(tree.Contains, tree.Reference{Class: s.of.Class, Instance: s.of.UID, Frame: s.frame})
		source := tree.Image(tree.Contains, s.over)
		frame.Name, source.Name = conceptSegmentFrame, conceptSegmentedImage
		return []tree.Item{frame, source}
	}
	image := tree.Image(tree.Contains, tree.Reference{Class: s.of.Class, Instance: s.of.UID})
	image.Name = conceptSegment
	if s.number > 0 {
		image.Segments = []int{s.number}
	}
	return []tree.Item{image, tree.UIDRef(tree.Contains, conceptSegmented, s.series)}
}

// drawnWhole makes the study's own numbers ones of everything that was drawn, where
// findings refer to their segments: a validator in wide use (PixelMed's, 2022) holds
// every group of such a report against TID 1411, and where they refer to frames against
// TID 1410. It reports false where that is not true of them, for what was drawn is in
// several segmentations, or on single frames.
func (b *builder) drawnWhole(whole *tree.Item) bool {
	var one segment
	for _, f := range b.result.Findings {
		s, ok := b.drawn[f.Tracking]
		if ok && (s.frame > 0 || one.of.UID != "" && one.of.UID != s.of.UID) {
			return false
		}
		if ok {
			one = segment{of: s.of, series: s.series}
		}
	}
	whole.Template = "1411"
	whole.Items = append(whole.Items, one.rows()...)
	return true
}

// source names the map of a slide that numbers of it were taken from, TID 1501; none
// where there is no map beside the report.
func (b *builder) source(slide study.UID) []tree.Item {
	for _, o := range b.document.Objects {
		if o.Kind == KindHeatmap && o.Slide == slide && slide != "" {
			image := tree.Image(tree.Contains, tree.Reference{Class: o.Class, Instance: o.UID})
			image.Name, image.Segments = conceptSource, []int{1} // of the model's numbers
			return []tree.Item{image}
		}
	}
	return nil
}

// besides gives those of our objects that everybody gets who gets a report of this
// kind, in the language of the work: it may refer to these, and to no others. Label
// maps are never among them: readers of reports that are older than their class (2024)
// refuse the whole document, and archives that do not take them would have findings
// without a place.
func (w *Writer) besides(kind string, k work, all []study.Report) []study.Report {
	to := w.to(study.Report{Kind: kind, Lang: k.lang})
	return slices.DeleteFunc(slices.Clone(all), func(o study.Report) bool {
		theirs := w.to(o)
		return o.Class == dicom.LabelMapSegmentation || slices.ContainsFunc(to, func(name string) bool { return !slices.Contains(theirs, name) })
	})
}
