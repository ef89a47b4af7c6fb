package report_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"varde/internal/dicom"
	"varde/report"
	"varde/report/masks"
	"varde/study"
)

// at is when all samples were concluded.
var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

var (
	mm       = study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}
	mm3      = study.Code{Value: "mm3", Scheme: "UCUM", Meaning: "cubic millimeter"}
	perMM2   = study.Code{Value: "/mm2", Scheme: "UCUM", Meaning: "per square millimeter"}
	noUnits  = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
	longAxis = study.Code{Value: "103339001", Scheme: "SCT", Meaning: "Long axis"}
	volume   = study.Code{Value: "118565006", Scheme: "SCT", Meaning: "Volume"}
	density  = study.Code{Value: "NUCLEI", Scheme: "99VARDE", Meaning: "Nuclear density"}
	nodule   = study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}
	number   = study.Code{Value: "111038", Scheme: "DCM", Meaning: "Number of calcifications"}
	dense    = study.Code{Value: "NUCDENSE", Scheme: "99VARDE", Meaning: "Region of high nuclear density"}
	calcs    = study.Code{Value: "129769006", Scheme: "SCT", Meaning: "Cluster of calcifications"}
	lung     = study.Code{Value: "39607008", Scheme: "SCT", Meaning: "Lung"}
	breast   = study.Code{Value: "76752008", Scheme: "SCT", Meaning: "Breast"}
	left     = study.Code{Value: "7771000", Scheme: "SCT", Meaning: "Left"}
)

// A sample is a study with a result.
type sample struct {
	study     study.Study
	instances []study.Instance
	result    study.Result
	beside    []study.Report
	drawn     report.Segments
}

// chestCT is a CT of ten slices with findings, each outlined in so many slices.
func chestCT(findings, slices int) sample {
	s := newSample("chest", study.CT, "nodule-ct", "CT nodule candidates")
	for n := range 10 {
		s.add(dicom.CTImage, n+1, &study.Image{Rows: 512, Columns: 512, Frames: 1, FrameOfRef: "2.25.77"})
	}
	s.add(dicom.Comprehensive3DSR, 1, nil) // somebody's report: no image
	for n := range findings {
		f := study.Finding{
			Number: n + 1, Tracking: study.DerivedUID("chest", fmt.Sprint(n)), What: nodule, Site: lung, Laterality: left,
			CenterMM:     &[3]float64{-61.25, 12.5 * float64(n), 113},
			Measurements: []study.Measurement{{Name: longAxis, Value: 8.4, Unit: mm}, {Name: volume, Value: 310.123456789, Unit: mm3}},
			Probability:  ptr(0.875),
		}
		for k := range slices {
			f.Regions = append(f.Regions, study.Region{
				Instance: s.instances[n+k].UID, Class: dicom.CTImage, Frame: 1, Frames: 1,
				Shape: study.Circle, Points: []float64{200.5, 210.5, 206.5, 210.5},
			})
		}
		s.result.Findings = append(s.result.Findings, f)
	}
	s.result.Planned, s.result.Seen = 10, 10
	return s.answered()
}

// labeled adds what is said in words, and what a segmentation measures.
func (s sample) labeled() sample {
	code := func(value, meaning string) study.Code {
		return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
	}
	grade := study.Code{Value: "6111", Scheme: "99VARDE", Meaning: "Grade 2"}
	s.result.Labels = []study.Label{
		{Name: "pneumothorax", What: code("36118008", "Pneumothorax"), AI: study.Flagged, Value: 0.91, Probability: ptr(0.91)},
		{Name: "effusion", What: code("60046008", "Pleural effusion"), AI: study.Uncertain, Value: 0.4, Probability: ptr(0.4)},
		{Name: "edema", What: code("19242006", "Pulmonary edema"), AI: study.NotFlagged, Value: 0.02, Probability: ptr(0.02)},
		{Name: "grade", What: code("371469007", "Histologic grade"), AI: study.NotFlagged, Value: 1.9, Grade: &grade, Shares: []float64{0.2, 0.7, 0.1}},
	}
	feret := study.Code{Value: "L0JK", Scheme: "IBSI", Meaning: "Maximum 3D Diameter of a Mesh"}
	ml := study.Code{Value: "mL", Scheme: "UCUM", Meaning: "milliliter"}
	for i := range s.result.Findings {
		f := &s.result.Findings[i]
		f.Regions[0].Shape, f.Regions[0].Points = study.Outline, []float64{10, 10, 20, 10, 20, 20, 10, 10}
		f.Measurements = []study.Measurement{{Name: longAxis, Value: 18, Unit: mm}, {Name: study.Code{Value: "103340004", Scheme: "SCT", Meaning: "Short axis"}, Value: 12, Unit: mm},
			{Name: feret, Value: 19.2, Unit: mm}, {Name: volume, Value: 3.053, Unit: ml}}
	}
	return s
}

// mammogram is four projections with clusters of calcifications in them.
func mammogram(findings int) sample {
	s := newSample("breast", study.MG, "calc-mg", "Microcalcification candidates")
	for n := range 4 {
		s.add(dicom.MGImagePresentation, n+1, &study.Image{Rows: 3328, Columns: 2560, Frames: 1})
	}
	for n := range findings {
		s.result.Findings = append(s.result.Findings, study.Finding{
			Number: n + 1, Tracking: study.DerivedUID("breast", fmt.Sprint(n)), What: calcs, Site: breast, Laterality: left,
			Measurements: []study.Measurement{{Name: number, Value: 7, Unit: noUnits}, {Name: longAxis, Value: 11, Unit: mm}},
			Regions: []study.Region{{
				Instance: s.instances[n%4].UID, Class: dicom.MGImagePresentation, Frame: 1, Frames: 1,
				Shape: study.Outline, Points: []float64{900, 800, 1000, 820, 950.25, 900},
			}},
		})
	}
	s.result.Planned, s.result.Seen = 4, 4
	return s.answered()
}

// slide is a slide of two levels with its densest places.
func slide(findings int) sample {
	s := newSample("slide", study.SM, "nuclei-he", "H&E nuclear density")
	for n := range 2 {
		s.add(dicom.WholeSlideImage, n+1, &study.Image{Rows: 256, Columns: 256, Frames: 400 >> (2 * n), FrameOfRef: "2.25.78", Slide: &study.SlideLevel{}})
	}
	for n := range findings {
		s.result.Findings = append(s.result.Findings, study.Finding{
			Number: n + 1, Tracking: study.DerivedUID("slide", fmt.Sprint(n)), What: dense,
			Measurements: []study.Measurement{{Name: density, Value: 5120 - float64(n), Unit: perMM2}},
			Regions: []study.Region{{
				Instance: s.instances[0].UID, Class: dicom.WholeSlideImage, Frame: 1, Frames: 400,
				Shape: study.Outline, Points: []float64{0, 0, 256, 0, 256, 256, 0, 256, 0, 0}, Total: true,
			}},
		})
	}
	s.result.Measurements = []study.Measurement{{Name: density, Value: 1234.5, Unit: perMM2}}
	s.result.Planned, s.result.Seen = 400, 400
	return s.answered()
}

// pathologyCase is a case of so many slides that say where they lie on the glass,
// with findings on the first one. A slide has two levels.
func pathologyCase(slides, findings int) sample {
	s := newSample("case", study.SM, "nuclei-he", "H&E nuclear density")
	for n := range slides {
		series := study.DerivedUID(string(s.study.UID), "slide", fmt.Sprint(n))
		for k, columns := range []int{4096, 1024} {
			mpp := 0.5 * 4096 / float64(columns)
			s.add(dicom.WholeSlideImage, 10*n+k+1, &study.Image{
				Rows: 256, Columns: 256, Frames: columns / 256 * columns / 256, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7,
				Photometric: "YBR_FULL_422", Lossy: true, FrameOfRef: study.DerivedUID(string(series), "glass"), ThicknessMM: 0.001,
				Slide: &study.SlideLevel{TotalColumns: columns, TotalRows: columns, MicronsPerPixel: [2]float64{mpp, mpp}, TiledFull: true,
					FocalPlanes: 1, OpticalPaths: 1, Kind: "VOLUME", ContainerID: fmt.Sprintf("S-%d", n+1),
					OriginXMM: 20, OriginYMM: 50, ImageOrientation: [6]float64{0, -1, 0, -1, 0, 0}},
			})
			i := &s.instances[len(s.instances)-1]
			i.Series, i.TransferSyntax, i.Key = series, dicom.JPEGBaseline, "slide/"+string(i.UID)
		}
		r := study.SlideResult{Series: series, Container: fmt.Sprintf("S-%d", n+1), AI: study.NotFlagged, Planned: 256, Seen: 256,
			Measurements: []study.Measurement{{Name: density, Value: 1000 - float64(n), Unit: perMM2}}}
		if n == 0 && findings > 0 {
			r.AI, r.Findings = study.Flagged, findings
		}
		s.result.Slides = append(s.result.Slides, r)
	}
	for n := range findings {
		x, y := 512+256*float64(n), 768.0
		s.result.Findings = append(s.result.Findings, study.Finding{
			Number: n + 1, Slide: s.result.Slides[0].Series, Tracking: study.DerivedUID("case", fmt.Sprint(n)), What: dense,
			Measurements: []study.Measurement{{Name: density, Value: 5120 - float64(n), Unit: perMM2}},
			Regions: []study.Region{{
				Instance: s.instances[0].UID, Class: dicom.WholeSlideImage, Frame: 1, Frames: 256, Total: true,
				Shape: study.Outline, Points: []float64{x, y, x + 256, y, x + 256, y + 256, x, y + 256, x, y},
			}},
		})
	}
	s.result.Slide = s.result.Slides[0].Series
	s.result.Measurements = s.result.Slides[0].Measurements
	s.result.Planned, s.result.Seen = 256*slides, 256*slides
	return s.answered()
}

// withHeatmaps says that heatmaps and annotations were written beside the report.
func (s sample) withHeatmaps() sample {
	for _, r := range s.result.Slides {
		for kind, class := range map[string]study.UID{report.KindHeatmap: dicom.Segmentation, report.KindAnnotations: dicom.SimpleAnnotations} {
			uid := study.DerivedUID(string(r.Series), kind)
			s.beside = append(s.beside, study.Report{Kind: kind, UID: uid, Series: study.DerivedUID(string(uid), "series"), Class: class, Slide: r.Series, Study: s.study.UID})
		}
	}
	slices.SortFunc(s.beside, func(a, b study.Report) int { return cmp.Compare(a.Kind+string(a.Slide), b.Kind+string(b.Slide)) })
	return s
}

// withMasks says that a network drew the first so many findings, each on so many frames, and
// that the masks were written beside the report.
func (s sample) withMasks(findings, frames int) sample {
	o := study.Report{Kind: report.KindMask, UID: study.DerivedUID(string(s.study.UID), "mask"), Series: study.DerivedUID(string(s.study.UID), "masks"),
		Class: dicom.Segmentation, Study: s.study.UID}
	s.beside, s.drawn = append(s.beside, o), report.Segments{o.UID: {}}
	for n, f := range s.result.Findings[:findings] {
		s.drawn[o.UID][f.Tracking] = masks.Place{Number: n + 1, Frames: frames}
		if frames == 1 {
			s.drawn[o.UID][f.Tracking] = masks.Place{Number: n + 1, Frames: 1, Frame: n + 1}
		}
	}
	return s
}

// measured gives the study a number of its own.
func (s sample) measured() sample {
	s.result.Measurements = []study.Measurement{{Name: volume, Value: 620.25, Unit: mm3}}
	return s
}

// unscored makes the last slide of a case one that could not be read.
func (s sample) unscored() sample {
	last := &s.result.Slides[len(s.result.Slides)-1]
	last.AI, last.Seen, last.Measurements, last.Reason = study.Failed, 0, nil, study.Reason{Code: study.ReasonPositions}
	s.result.Seen -= last.Planned
	s.result.Reason = last.Reason
	return s
}

func newSample(name string, m study.Modality, model, title string) sample {
	s := sample{
		study: study.Study{
			UID: study.DerivedUID("sample", name), Rev: 1, Modality: m, Accession: "A-1001", ID: "7", Date: "20260314", Time: "081500",
			Referring: "Lege^Åse", Description: "Kontroll",
			Patient: study.NewPatient(study.Person{ID: "010190-12345", Issuer: "NO", Name: "Ødegård^Bjørn^Åge", Birth: "19900101", Sex: "M"}),
		},
		result: study.Result{
			Rev: 1, Name: title, AI: study.NotFlagged, Parameters: "threshold=0.35", At: at, Seconds: 3.5,
			Model: study.ModelRef{ID: model, Version: "1.2.0", SHA256: study.Hash{1, 2, 3}},
			Ran: study.Provenance{
				Runtime: "1.28.2", Library: study.Hash{4}, Route: "module", Provider: "cpu", Card: study.Hash{5},
				Decoders: []string{"native 1", "rle 1"}, Varde: "test",
			},
		},
	}
	s.result.Study = s.study.UID
	return s
}

func (s *sample) add(class study.UID, n int, img *study.Image) {
	s.instances = append(s.instances, study.Instance{
		UID: study.DerivedUID(string(s.study.UID), string(class), fmt.Sprint(n)), Series: study.DerivedUID(string(s.study.UID), string(class)),
		Study: s.study.UID, Class: class, Modality: s.study.Modality, Number: n, SeriesNumber: 1, Image: img,
	})
}

func (s sample) answered() sample {
	if len(s.result.Findings) > 0 {
		s.result.AI = study.Flagged
	}
	return s
}

// partial makes a sample's model miss some of what it should see.
func (s sample) partial() sample {
	s.result.Seen -= 3
	s.result.Reason = study.Reason{Code: study.ReasonDamaged, Detail: "3 frames"}
	if s.result.AI == study.NotFlagged {
		s.result.AI = study.Uncertain
	}
	return s
}

// failed makes a sample's model give up.
func (s sample) failed() sample {
	s.result.AI, s.result.Seen, s.result.Findings, s.result.Measurements = study.Failed, 0, nil, nil
	s.result.Reason = study.Reason{Code: study.ReasonInternal}
	return s
}

// outside makes a sample one that its model is not for.
func (s sample) outside() sample {
	s.result.AI, s.result.Seen, s.result.Planned, s.result.Findings, s.result.Measurements = study.OutOfScope, 0, 0, nil, nil
	s.result.Reason = study.Reason{Code: study.ReasonSpacing, Detail: "2.5 mm"}
	return s
}
