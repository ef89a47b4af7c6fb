package findings_test

import (
	"math"
	"testing"

	"varde/inference/findings"
	"varde/models/modelcard"
	"varde/study"
)

// TestEveryAggregateIsWorkedOutByHand on 200 patches, 100 of which overlap the
// others by half.
func TestEveryAggregateIsWorkedOutByHand(t *testing.T) {
	in := []study.Instance{squareLevel(12)}
	var p study.Part
	p.Block = study.Block{Kind: study.Patches, Series: "2.25.1.4"}
	for i := range 200 { // 20 rows of 10, half a patch apart from left to right
		p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: "2.25.1.4.1", X: i % 10 * 8, Y: i / 10 * 16, W: 16, H: 16})
		p.Scores = append(p.Scores, study.Score{Tile: i, Values: []float32{float32(i+1) / 200, 2}})
	}
	pixelMM2 := 0.0005 * 0.0005
	for _, tt := range []struct {
		aggregate string
		top       int
		above     float64
		weight    string
		want      float64
	}{
		{"sum", 0, 0, "", 100.5},
		{"mean", 0, 0, "", 0.5025},
		{"mean", 0, 0, "weight", 0.5025},
		{"max", 0, 0, "", 1},
		{"top", 0, 0, "", (1 + 0.955) / 2},
		{"top", 1, 0, "", 1},
		{"top", 100, 0, "", (1 + 0.505) / 2},
		{"top", 5000, 0, "", 0.5025},
		{"p50", 0, 0, "", 0.5025},
		{"p95", 0, 0, "", (0.95*199 + 1) / 200},
		{"p99", 0, 0, "", (0.99*199 + 1) / 200},
		{"p99.5", 0, 0, "", (0.995*199 + 1) / 200},
		{"area", 0, 0, "", (9*8 + 16) * 320 * pixelMM2},
		{"area", 0, 0.951, "", (9*8 + 16) * 16 * pixelMM2}, // the last row
		{"area", 0, 0.986, "", (2*8 + 16) * 16 * pixelMM2}, // its last three patches
		{"share", 0, 0.951, "", 1.0 / 20},
		{"area", 0, 2, "", 0},
	} {
		card := smCard()
		card.Find = nil
		card.Output = []modelcard.Output{{Name: "x", Role: "scalar", Aggregate: tt.aggregate, Top: tt.top, Above: tt.above, Weight: tt.weight, Measure: density, Unit: unit},
			{Name: "weight", Role: "scalar"}}
		card.Flag = modelcard.Flag{By: "x", Flagged: 1000}
		r := findings.Conclude(findings.Facts{Card: card, Study: "2.25.1", Parts: []study.Part{p}, Instances: in})
		if len(r.Measurements) != 1 || math.Abs(r.Measurements[0].Value-tt.want) > 1e-6*max(1, tt.want) {
			t.Errorf("%s, top %d, above %g: %+v, want %g", tt.aggregate, tt.top, tt.above, r.Measurements, tt.want)
		}
	}
}
