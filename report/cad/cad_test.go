package cad_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/report/cad"
	"varde/report/identity"
	"varde/study"
)

var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

var (
	calcs   = study.Code{Value: "129769006", Scheme: "SCT", Meaning: "Cluster of calcifications"}
	nodule  = study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}
	mass    = study.Code{Value: "129788004", Scheme: "SCT", Meaning: "Mammographic breast mass"}
	distort = study.Code{Value: "129792006", Scheme: "SCT", Meaning: "Architectural distortion of breast"}
	air     = study.Code{Value: "36118008", Scheme: "SCT", Meaning: "Pneumothorax"}
	number  = study.Code{Value: "111038", Scheme: "DCM", Meaning: "Number of calcifications"}
	one     = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
)

// work is a study of so many images of a modality.
func work(name string, m study.Modality, class study.UID, images int) cad.Work {
	uid := study.DerivedUID("cad", name)
	w := cad.Work{
		Lang: "en", Lines: []string{"AI found something.", "Decision support only."}, Label: "AI CAD (unverified)",
		UID: study.DerivedUID("cad", name, "object"), Series: study.DerivedUID("cad", name, "series"),
		Identity: identity.Identity{At: at, Device: identity.Device{}.Filled(), Study: study.Study{
			UID: uid, Date: "20260314", Time: "080000.12", ID: "1", Accession: "A1", Referring: "Lege^Åse",
			Patient: study.NewPatient(study.Person{ID: "P1", Name: "Ærø^Åse", Birth: "19500101", Sex: "F"})}},
		Result: study.Result{Study: uid, Name: "Marks", AI: study.NotFlagged, Planned: images, Seen: images, At: at, Parameters: "threshold=0.35",
			Model: study.ModelRef{ID: "marks", Version: "1.2", SHA256: study.Hash{1, 2}}},
	}
	for n := range images {
		in := study.Instance{UID: study.DerivedUID(string(uid), fmt.Sprint(n)), Series: study.DerivedUID(string(uid), "images"), Study: uid,
			Class: class, Modality: m, Number: n + 1, Image: &study.Image{Rows: 512, Columns: 512, Frames: 1, Samples: 1, BodyPart: "CHEST",
				SpacingMM: [2]float64{0.07, 0.07}}}
		if m == study.MG {
			in.Image.BodyPart, in.Image.Laterality = "BREAST", []string{"L", "R"}[n%2]
			in.Image.Taken.Views = []study.Code{{Value: []string{"R-10242", "399368009"}[n/2%2], Scheme: "SRT"}}
		}
		w.Instances = append(w.Instances, in)
	}
	return w
}

// found adds a finding in a ring on an image, and every other one with an outline.
func found(w cad.Work, what study.Code, images ...int) cad.Work {
	f := study.Finding{Number: len(w.Result.Findings) + 1, What: what, Probability: ptr(0.875),
		Measurements: []study.Measurement{{Name: number, Value: 7, Unit: one}}}
	f.Tracking = study.DerivedUID(string(w.Result.Study), "finding", fmt.Sprint(f.Number))
	for _, n := range images {
		in := w.Instances[n]
		g := study.Region{Instance: in.UID, Class: in.Class, Frame: 1, Frames: in.Image.Frames, Shape: study.Circle, Points: []float64{200.5, 210.5, 206.5, 210.5}}
		if f.Number%2 == 0 {
			g.Shape, g.Points = study.Outline, []float64{10, 10, 30, 10, 30, 25.5}
		}
		f.Regions = append(f.Regions, g)
	}
	w.Result.Findings = append(w.Result.Findings, f)
	w.Result.AI, w.Result.Probability, w.Result.Calibrated = study.Flagged, ptr(0.91), true
	return w
}

func state(w cad.Work, ai study.AIState, seen int) cad.Work {
	w.Result.AI, w.Result.Seen = ai, seen
	if ai == study.OutOfScope {
		w.Result.Planned = 0
	}
	return w
}

func missed(w cad.Work, n int) cad.Work {
	w.Missed = map[study.UID]bool{w.Instances[n].UID: true}
	return state(w, w.Result.AI, w.Result.Planned-1)
}

// breasts and chests are every outcome of each kind.
func breasts() map[string]cad.Work {
	mg := func(name string) cad.Work { return work("mg "+name, study.MG, dicom.MGImagePresentation, 4) }
	tomo := mg("tomosynthesis")
	tomo.Instances[1].Class, tomo.Instances[1].Image.Frames = dicom.BreastTomosynthesisImage, 40
	tomo = found(tomo, mass, 1)
	tomo.Result.Findings[0].Regions[0].Frame = 17
	replaces := found(mg("replaces"), calcs, 0)
	replaces.Predecessor = &study.Report{UID: "2.25.5", Series: "2.25.6", Study: replaces.Result.Study, Class: dicom.MammographyCADSR}
	silent := mg("silent")
	silent.Lines = nil
	bare := found(mg("no place"), mass)
	all := map[string]cad.Work{
		"flagged":          found(found(found(mg("flagged"), calcs, 0), mass, 1, 3), distort, 2),
		"flagged, nowhere": state(mg("flagged, nowhere"), study.Flagged, 4),
		"nothing":          mg("nothing"),
		"partial":          missed(found(mg("partial"), calcs, 0), 2),
		"partial nothing":  state(mg("partial nothing"), study.Uncertain, 3),
		"failed":           state(mg("failed"), study.Failed, 0),
		"outside":          state(mg("outside"), study.OutOfScope, 0),
		"tomosynthesis":    tomo, "replaces": replaces, "without words": silent, "without a place": bare,
	}
	looks := mg("looks")
	looks.Looks = calcs
	all["nothing, of calcifications"] = looks
	return all
}

func chests() map[string]cad.Work {
	ct := func(name string, n int) cad.Work { return work("ct "+name, study.CT, dicom.CTImage, n) }
	return map[string]cad.Work{
		"flagged":          found(found(ct("flagged", 10), nodule, 2, 3), nodule, 7),
		"flagged, nowhere": state(ct("flagged, nowhere", 4), study.Flagged, 4),
		"many slices":      found(ct("many", 324), nodule, 200),
		"many, nothing":    ct("many nothing", 324),
		"radiograph":       found(found(work("dx", "DX", dicom.DXImagePresentation, 2), air, 0), mass, 1),
		"nothing":          ct("nothing", 3),
		"partial":          missed(found(ct("partial", 10), nodule, 2), 5),
		"partial nothing":  state(ct("partial nothing", 324), study.Uncertain, 300),
		"failed":           state(ct("failed", 4), study.Failed, 0),
		"outside":          state(ct("outside", 4), study.OutOfScope, 0),
	}
}

// objects writes all of them, each in one of the languages, and the first of each
// kind in all.
func objects(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	n := 0
	write := func(name string, w cad.Work, f func(cad.Work) ([]byte, error)) {
		langs := []string{"en", "nb", "da"}
		if name != "mammography flagged" && name != "chest flagged" {
			langs = langs[n%3 : n%3+1]
		}
		n++
		for _, lang := range langs {
			w.Lang = lang
			b, err := f(w)
			if err != nil {
				t.Fatal(name, err)
			}
			out[name+", "+lang] = b
		}
	}
	for _, name := range slices.Sorted(maps.Keys(breasts())) {
		write("mammography "+name, breasts()[name], cad.Work.Mammography)
	}
	for _, name := range slices.Sorted(maps.Keys(chests())) {
		write("chest "+name, chests()[name], cad.Work.Chest)
	}
	return out
}
