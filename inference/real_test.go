package inference_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/inference/scores"
	"varde/internal/dicom"
	"varde/internal/pixel"
	"varde/internal/studytest/shared"
	"varde/models/modelcard"
	"varde/study"
)

// TestRealImagesPassTheGate holds the default gate against real CT slices,
// projections, MR and nuclear images: what shows a patient is let through, and
// four slices of air are not.
func TestRealImagesPassTheGate(t *testing.T) {
	dir, entries := shared.Manifest(t)
	silent := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		return map[string]pixel.Tensor{"score": {Shape: []int64{1, 1}, Data: []float32{0}}}, nil
	})
	passed, turned := map[study.Modality]int{}, map[study.Modality]int{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "dicom/image/") && !strings.HasPrefix(e.Path, "dicom/series/") && !strings.HasPrefix(e.Path, "dicom/wg04/") {
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{Size: int64(len(file))})
		if err != nil {
			continue
		}
		_, in, err := h.Describe()
		if err != nil || in.Image == nil || in.Image.Samples != 1 || in.Image.Frames > 1 || in.Image.Trouble != "" || in.Image.Float {
			continue
		}
		card := modelcard.Card{ID: "gate", Version: "1", Use: modelcard.Use{Modality: []study.Modality{in.Modality}},
			Input:  modelcard.Input{Name: "x", Kind: study.Images, Type: "float32", Layout: "NCHW", Values: "unit"},
			Output: []modelcard.Output{{Name: "score", Role: modelcard.RoleScalar, Aggregate: "max"}}, Flag: modelcard.Flag{By: "score", Flagged: 1}}
		if in.Modality == study.CT && in.Image.HasRescale {
			card.Input.Values = "hu"
		}
		s := newShelf()
		in.Key = "dicom/x"
		s.objects[in.Key], s.frames[in.UID], s.instances = file, h.Frames, []study.Instance{in}
		p, err := scorer(s).Score(t.Context(), scores.Question{Card: card, Session: silent, Instances: s.instances,
			Block: study.Block{Kind: study.Images, Series: in.Series, Tiles: []study.Tile{{Instance: in.UID, W: in.Image.Columns, H: in.Image.Rows}}}})
		if err != nil || len(p.Looks) == 0 { // an encoding that is not decoded here
			continue
		}
		if len(p.Missed) == 0 {
			passed[in.Modality]++
			continue
		}
		turned[in.Modality]++
		if strings.Contains(e.Path, "gantrytilt") && p.Missed[0].Reason.Code == study.ReasonEmpty && p.Looks[0].Body == 0 {
			continue // slices of air: there is no body in them
		}
		t.Errorf("%s (%s): %s, %+v", e.Path, in.Modality, p.Missed[0].Reason, p.Looks[0])
	}
	if passed[study.CT] < 5 || passed["MR"] < 10 || passed["CR"] == 0 || passed[study.MG] == 0 {
		t.Errorf("few images were looked at: %v", passed)
	}
	t.Logf("passed %v, turned away %v", passed, turned)
}
