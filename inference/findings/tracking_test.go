package findings_test

import (
	"testing"
	"time"

	"varde/inference/findings"
	"varde/models/modelcard"
	"varde/study"
)

// TestFindingIsKnownAgainInItsStudyAlone: a finding has the same identity in every
// run, in every revision and for every version of a model. In another study of the
// same patient it has another one, wherever it lies: nothing lays two studies on each
// other, and two findings must never be taken for one.
func TestFindingIsKnownAgainInItsStudyAlone(t *testing.T) {
	conclude := func(uid study.UID, rev int, version string) study.UID {
		t.Helper()
		in := study.Instance{UID: "2.25.1.7", Series: "2.25.1.6", Study: uid, Modality: study.CT, Image: &study.Image{Rows: 64, Columns: 64, Frames: 1,
			SpacingMM: [2]float64{1, 1}, Position: &[3]float64{0, 0, 10}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}, FrameOfRef: "2.25.4"}}
		card := modelcard.Card{ID: "nodules", Version: version, Input: modelcard.Input{Kind: study.Images}, Flag: modelcard.Flag{By: "findings", Flagged: 1},
			Output:  []modelcard.Output{{Name: "classes", Role: modelcard.RoleSegments}},
			Segment: []modelcard.Segment{{Name: "nodule", Output: "classes", Lesions: true}}}
		r := findings.Conclude(findings.Facts{Card: card, Study: uid, Rev: rev, Instances: []study.Instance{in}, At: time.Unix(0, 0), Parts: []study.Part{{Study: uid, Rev: rev,
			Block: study.Block{Kind: study.Images, Series: in.Series, Tiles: []study.Tile{{Instance: in.UID, W: 64, H: 64}}}, Scores: []study.Score{{}},
			Masks: &study.Masks{Grids: []study.MaskGrid{{Columns: 64, Rows: 64, Planes: 1, Scale: [2]float64{1, 1}, SpacingMM: [2]float64{1, 1}, Runs: [][]int32{{0, 9, 9, 14, 0, 10, 9, 14}}}}}}}})
		if len(r.Findings) != 1 {
			t.Fatalf("%d findings", len(r.Findings))
		}
		return r.Findings[0].Tracking
	}
	first := conclude("2.25.1", 1, "1.0")
	if conclude("2.25.1", 2, "1.0") != first || conclude("2.25.1", 1, "1.1") != first {
		t.Error("another run has another identity")
	}
	if conclude("2.25.9", 1, "1.0") == first {
		t.Error("a finding of another study is taken for this one")
	}
}
