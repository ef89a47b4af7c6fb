package plan_test

import (
	"testing"

	"varde/ingest/plan"
	"varde/models/modelcard"
	"varde/study"
)

// TestNobodyOutsideTheIntendedUseIsScored plans one chest CT for cards with one
// filter more each: no tile is planned, and the reason is told.
func TestNobodyOutsideTheIntendedUseIsScored(t *testing.T) {
	child := study.NewPatient(study.Person{Birth: "20200113", Sex: "M"})
	for name, tt := range map[string]struct {
		filter func(*modelcard.Use)
		reason study.Reason
	}{
		"adults":         {func(u *modelcard.Use) { u.MinAge = 18 }, study.Reason{Code: study.ReasonAge, Detail: "18–"}},
		"women":          {func(u *modelcard.Use) { u.Sex = []string{"F"} }, study.Reason{Code: study.ReasonSex}},
		"thin slices":    {func(u *modelcard.Use) { u.MaxThicknessMM = 0.75 }, study.Reason{Code: study.ReasonThickness, Detail: "1 mm ≠ –0.75 mm"}},
		"a maker":        {func(u *modelcard.Use) { u.Manufacturers = []string{"Siemens"} }, study.Reason{Code: study.ReasonScanner}},
		"a voltage":      {func(u *modelcard.Use) { u.KVP = [2]float64{100, 140} }, study.Reason{Code: study.ReasonAcquisition, Detail: "(0018,0060) –"}},
		"one projection": {func(u *modelcard.Use) { u.Views = []string{"PA"} }, study.Reason{Code: study.ReasonView, Detail: "(0018,5101) –"}},
	} {
		card := noduleCard()
		tt.filter(&card.Use)
		f := facts(card, chest(20, 1, func(_ int, in *study.Instance) { in.Image.Manufacturer = "Philips" }))
		f.Study.Patient, f.Study.Date = child, "20261122"
		p := plan.Plan(f)
		if len(p.Models) != 1 || p.Models[0].State != study.OutOfScope || p.Models[0].Reason != tt.reason || len(p.Models[0].Blocks) > 0 {
			t.Errorf("%s: %+v", name, p.Models)
		}
		if !p.Note.Zero() {
			t.Errorf("%s: the study says %v, as if no model were for it", name, p.Note)
		}
	}
}

// TestImagesOutsideTheIntendedUseAreLeftOut gives a study in which some images
// pass a filter and others do not: only the former are planned.
func TestImagesOutsideTheIntendedUseAreLeftOut(t *testing.T) {
	card := noduleCard()
	card.Use.KVP = [2]float64{100, 140}
	in := chest(40, 1, func(i int, in *study.Instance) {
		in.Image.Taken.KVP = 120
		if i >= 20 {
			in.Image.Taken.KVP = 80
		}
	})
	p := planned(t, card, in)
	if p.State != study.Running || p.Planned != 20 {
		t.Errorf("%v of %d tiles: %v", p.State, p.Planned, p.Reason)
	}
}
