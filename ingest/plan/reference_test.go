package plan_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// describe gives an object as the receiver records it.
func describe(t *testing.T, file []byte) study.Instance {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := h.Describe()
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestReferenceModelsAreAskedAboutTheDrawnStudies(t *testing.T) {
	f := plan.Facts{Decodes: codec.Supported}
	for _, d := range models.Reference() {
		card, err := modelcard.Parse(d.CardTOML)
		if err != nil {
			t.Fatal(err)
		}
		f.Models = append(f.Models, plan.Asked{Card: card})
	}
	ct, err1 := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 12})
	mg, err2 := studytest.Mammogram(studytest.MG{Seed: 1})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, d := range []studytest.Drawn{ct, mg} { // the slide needs its tissue, see TestAStudySentByDCMTKIsSettledAndPlanned
		f.Study, f.Instances = study.Study{UID: d.Study}, nil
		for _, o := range d.Objects {
			f.Instances = append(f.Instances, describe(t, o.File))
		}
		p := plan.Plan(f)
		if len(p.Models) != 1 || p.Models[0].State != study.Running || p.Models[0].Planned != len(d.Objects) || p.Models[0].Unseen != 0 {
			t.Errorf("%s: %+v", d.Name, p.Models)
		}
	}
}

// TestSeriesThatAreNoVolumeAreRefused plans the shared series whose geometry is a
// trap: only positions tell that a gantry was tilted or that slices are missing.
func TestSeriesThatAreNoVolumeAreRefused(t *testing.T) {
	dir, entries := shared.Manifest(t)
	card := noduleCard()
	card.Use = modelcard.Use{Modality: []study.Modality{study.CT}}
	for folder, state := range map[string]study.AIState{"gantrytilt": study.OutOfScope, "pydicom-ct2": study.Failed} {
		var in []study.Instance
		for _, e := range entries {
			if strings.HasPrefix(e.Path, "dicom/series/"+folder+"/") {
				b, err := os.ReadFile(filepath.Join(dir, e.Path))
				if err != nil {
					t.Fatal(err)
				}
				in = append(in, describe(t, b))
			}
		}
		p := planned(t, card, in)
		if p.State != state || p.Reason.Code != study.ReasonGeometry || len(in) != 4 {
			t.Errorf("%s: %d instances, %s because of %s", folder, len(in), p.State, p.Reason)
		}
	}
}
