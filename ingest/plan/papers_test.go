package plan

import (
	"slices"
	"testing"

	"varde/study"
)

func TestOnlyPapersAreNothingToRead(t *testing.T) {
	object := func(class study.UID, m study.Modality) study.Instance {
		return study.Instance{UID: class + ".1", Class: class, Modality: m}
	}
	const sr, ko, pr, pdf, dose study.UID = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.11.1",
		"1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.67"
	report := object(sr, "SR")
	image := object("1.2.840.10008.5.1.4.1.1.2", study.CT)
	image.Image = &study.Image{Rows: 4, Columns: 4, Frames: 1}
	strange := object(sr, "SR")
	strange.Image = image.Image
	for _, tt := range []struct {
		name      string
		conflicts int
		all       []study.Instance
		nothing   bool
	}{
		{"a report", 0, []study.Instance{report}, true},
		{"a report, a selection, a presentation state and a document", 0, []study.Instance{report, object(ko, "KO"), object(pr, "PR"), object(pdf, "DOC")}, true},
		{"no object", 0, nil, false},
		{"a report and an image", 0, []study.Instance{report, image}, false},
		{"a report that holds pixels", 0, []study.Instance{strange}, false},
		{"images whose header could not be read", 0, []study.Instance{report, object("1.2.840.10008.5.1.4.1.1.2", study.CT)}, false},
		{"a slide without its pixels", 0, []study.Instance{object("1.2.840.10008.5.1.4.1.1.77.1.6", study.SM)}, false},
		{"an electrocardiogram", 0, []study.Instance{object("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG")}, false},
		{"a dose report: there was an exposure", 0, []study.Instance{object(dose, "SR")}, false},
		{"the print of an eye", 0, []study.Instance{object(pdf, "OPT")}, false},
		{"a report of no modality", 0, []study.Instance{object(sr, "")}, false},
		{"a class that nobody knows", 0, []study.Instance{report, object("1.2.3", "SR")}, false},
		{"a report beside an object in dispute", 1, []study.Instance{report}, false},
	} {
		f := Facts{Study: study.Study{UID: "1.2", Conflicts: tt.conflicts}, Instances: tt.all}
		for range tt.all { // in any order
			if got := Plan(f).Note.Code == study.ReasonNoImages; got != tt.nothing {
				t.Errorf("%s: nothing to read %t", tt.name, got)
			}
			f.Instances = append(slices.Clone(f.Instances[1:]), f.Instances[0])
		}
	}
}
