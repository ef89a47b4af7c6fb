package findings_test

import (
	"slices"
	"testing"

	"varde/inference/findings"
	"varde/models/modelcard"
	"varde/study"
)

// scored is a part of a study of images whose tiles have these scores; a
// negative one was missed.
func scored(index int, scores ...float32) study.Part {
	p := study.Part{Index: index, Block: study.Block{Kind: study.Images}, Seconds: 1.5}
	for i, v := range scores {
		p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: "2.25.1.3.1", W: 100, H: 100})
		if v < 0 {
			p.Missed = append(p.Missed, study.Miss{Tile: i, Reason: study.Reason{Code: study.ReasonDamaged, Detail: "2.25.1.3.1"}})
			continue
		}
		p.Scores = append(p.Scores, study.Score{Tile: i, Values: []float32{v}})
	}
	return p
}

func TestConclude(t *testing.T) {
	failed := []study.PartRow{{Part: 1, State: study.JobFailed, Planned: 2, Reason: study.Reason{Code: study.ReasonInternal, Detail: "3 tries"}}}
	for _, tt := range []struct {
		name    string
		parts   []study.Part
		lost    []study.PartRow
		planned int
		stopped bool
		plan    study.Reason
		ai      study.AIState
		reason  string
		seen    int
	}{
		{name: "quiet", parts: []study.Part{scored(0, 0.1, 0.2)}, planned: 2, ai: study.NotFlagged, seen: 2},
		{name: "at the threshold", parts: []study.Part{scored(0, 0.5)}, planned: 1, ai: study.Flagged, seen: 1},
		{name: "in the band", parts: []study.Part{scored(0, 0.3)}, planned: 1, ai: study.Uncertain, seen: 1},
		{name: "quiet and partial", parts: []study.Part{scored(0, 0.1, -1)}, planned: 2, ai: study.Uncertain, reason: study.ReasonDamaged, seen: 1},
		{name: "flagged and partial", parts: []study.Part{scored(0, 0.9, -1)}, planned: 2, ai: study.Flagged, reason: study.ReasonDamaged, seen: 1},
		{name: "a part failed", parts: []study.Part{scored(0, 0.1)}, lost: failed, planned: 3, ai: study.Uncertain, reason: study.ReasonInternal, seen: 1},
		{name: "tiles that could not be asked", parts: []study.Part{scored(0, 0.1)}, planned: 5, plan: study.Reason{Code: study.ReasonTransferSyntax}, ai: study.Uncertain, reason: study.ReasonTransferSyntax, seen: 1},
		{name: "a part is missing and nobody knows why", parts: []study.Part{scored(0, 0.1)}, planned: 5, ai: study.Uncertain, reason: study.ReasonInternal, seen: 1},
		{name: "nothing seen", parts: []study.Part{scored(0, -1)}, planned: 1, ai: study.Failed, reason: study.ReasonDamaged},
		{name: "all parts failed", lost: failed, planned: 2, ai: study.Failed, reason: study.ReasonInternal},
		{name: "stopped", parts: []study.Part{scored(0, 0.9)}, planned: 1, stopped: true, ai: study.Failed, reason: study.ReasonStopped, seen: 1},
	} {
		r := findings.Conclude(findings.Facts{
			Card: mgCard(), Study: "2.25.1", Rev: 2, Parts: tt.parts, Lost: tt.lost, Stopped: tt.stopped,
			Plan: study.ModelPlan{Planned: tt.planned, Reason: tt.plan, Shadow: true},
		})
		if r.AI != tt.ai || r.Reason.Code != tt.reason || r.Seen != tt.seen || r.Planned != tt.planned || !r.Shadow || r.Rev != 2 {
			t.Errorf("%s: %s because of %q, %d of %d; want %s, %q, %d of %d", tt.name, r.AI, r.Reason, r.Seen, r.Planned, tt.ai, tt.reason, tt.seen, tt.planned)
		}
		if r.Partial() && r.AI == study.NotFlagged {
			t.Errorf("%s: partial, and called negative", tt.name)
		}
		if (tt.stopped || r.Seen == 0) && (len(r.Measurements) > 0 || len(r.Findings) > 0 || r.Probability != nil) {
			t.Errorf("%s: a model that must not speak says %+v", tt.name, r)
		}
		if r.Findings == nil || r.Measurements == nil {
			t.Errorf("%s: lists are null in JSON", tt.name)
		}
	}
}

func TestAggregates(t *testing.T) {
	var many []float32
	for i := range 2000 {
		many = append(many, float32(i))
	}
	for _, tt := range []struct {
		aggregate string
		scores    []float32
		want      float64
	}{
		{"sum", []float32{1, 2, 4}, 7},
		{"mean", []float32{1, 2, 6}, 3},
		{"max", []float32{1, 9, 2}, 9},
		{"top", []float32{1, 9, 2}, 4},
		{"top", many, 1999 - 9.5},
		{"top", many[:500], 499 - 4.5},
	} {
		card := mgCard()
		card.Find, card.Output = nil, card.Output[:1]
		card.Output[0].Aggregate = tt.aggregate
		half := len(tt.scores) / 2
		r := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{scored(1, tt.scores[half:]...), scored(0, tt.scores[:half]...)}})
		if len(r.Measurements) != 1 || r.Measurements[0].Value != tt.want || r.Measurements[0].Name != density {
			t.Errorf("%s of %d scores: %+v, want %v", tt.aggregate, len(tt.scores), r.Measurements, tt.want)
		}
	}
}

func TestWeightedMeanWithoutWeightIsNoAnswer(t *testing.T) {
	card := mgCard()
	card.Find = nil
	card.Output = []modelcard.Output{
		{Name: "mean", Role: "scalar", Aggregate: "mean", Weight: "weight", Measure: density, Unit: unit},
		{Name: "weight", Role: "scalar"},
	}
	part := func(weights ...float32) study.Part {
		p := study.Part{Block: study.Block{Kind: study.Images}}
		for i, w := range weights {
			p.Block.Tiles = append(p.Block.Tiles, study.Tile{W: 1, H: 1})
			p.Scores = append(p.Scores, study.Score{Tile: i, Values: []float32{float32(i), w}})
		}
		return p
	}
	r := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{part(0, 1, 3)}})
	if len(r.Measurements) != 1 || r.Measurements[0].Value != (1*1+2*3)/4.0 {
		t.Errorf("%+v", r.Measurements)
	}
	r = findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{part(0, 0)}})
	if r.AI != study.Failed || len(r.Measurements) != 0 {
		t.Errorf("without weight: %s, %+v", r.AI, r.Measurements)
	}
}

func TestProbabilityIsAShareAndPercentAHundredTimes(t *testing.T) {
	card := mgCard()
	card.Find, card.Output = nil, card.Output[:1]
	card.Output[0].Probability = true
	card.Output[0].Unit = study.Code{Value: "%", Scheme: "UCUM", Meaning: "percent"}
	r := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{scored(0, 0.25, 0.75)}})
	if r.Probability == nil || *r.Probability != 0.5 || r.Measurements[0].Value != 50 {
		t.Errorf("%v, %+v", r.Probability, r.Measurements)
	}
}

// spots is a part with candidates on one mammogram, at these columns of row 100.
func spots(columns ...float64) study.Part {
	p := study.Part{Block: study.Block{Kind: study.Images, Tiles: []study.Tile{{Instance: "2.25.1.3.1", W: 400, H: 400}}}}
	p.Scores = []study.Score{{Values: []float32{0}}}
	for i, x := range columns {
		p.Candidates = append(p.Candidates, study.Candidate{X: x, Y: 100, WidthMM: 0.3, Volume: 0.05, Peak: float32(10 - i), Mean: 5})
	}
	return p
}

// mammogram is one of 400 × 400 pixels of a tenth of a millimeter.
func mammogram() []study.Instance {
	return []study.Instance{{UID: "2.25.1.3.1", Series: "2.25.1.3", Modality: study.MG, Number: 1, Image: &study.Image{
		Rows: 400, Columns: 400, Frames: 1, Samples: 1, Photometric: "MONOCHROME2", SpacingMM: [2]float64{0.1, 0.1}, SpacingKind: "imager", Laterality: "L"}}}
}

// TestClusters: spots of a tenth of a millimeter a pixel; three within 10 mm of
// the next make a finding together.
func TestClusters(t *testing.T) {
	card := mgCard()
	card.Find.MinCluster, card.Find.ClusterMM = 3, 10
	card.Flag = modelcard.Flag{By: "findings", Flagged: 1}
	for _, tt := range []struct {
		name    string
		columns []float64
		count   []float64 // of each finding
	}{
		{"two are none", []float64{10, 20}, nil},
		{"three", []float64{10, 20, 30}, []float64{3}},
		{"a chain is one", []float64{10, 100, 190, 280}, []float64{4}},
		{"far apart", []float64{10, 20, 30, 200, 210, 220, 399}, []float64{3, 3}},
		{"far apart, none", []float64{10, 150, 300}, nil},
	} {
		r := findings.Conclude(findings.Facts{Card: card, Study: "2.25.1", Parts: []study.Part{spots(tt.columns...)}, Instances: mammogram()})
		var got []float64
		for _, f := range r.Findings {
			got = append(got, f.Measurements[0].Value)
			if f.Laterality.Meaning != "Left" || f.Measurements[0].Name.Value != "111038" {
				t.Errorf("%s: %+v", tt.name, f)
			}
		}
		if !slices.Equal(got, tt.count) {
			t.Errorf("%s: findings of %v, want %v", tt.name, got, tt.count)
		}
		if (r.AI == study.Flagged) != (len(tt.count) > 0) {
			t.Errorf("%s: %s", tt.name, r.AI)
		}
	}
}

func TestFindingsAreSiftedByThresholdsAndNumberedByPeak(t *testing.T) {
	card := mgCard()
	card.Find.Max, card.Find.MinMM, card.Find.MaxMM, card.Find.MinVolume = 2, 0.2, 1, 0.04
	card.Flag = modelcard.Flag{By: "findings", Flagged: 3}
	p := spots(10, 100, 200, 300, 350, 390)
	p.Candidates[0].WidthMM = 0.1
	p.Candidates[1].WidthMM = 2
	p.Candidates[2].Volume = 0.01
	p.Candidates[3].Peak, p.Candidates[4].Peak, p.Candidates[5].Peak = 3, 7, 3
	r := findings.Conclude(findings.Facts{Card: card, Study: "2.25.1", Parts: []study.Part{p}, Instances: mammogram()})
	if len(r.Findings) != 2 || r.Findings[0].Regions[0].Points[0] != 350.5 || r.Findings[1].Regions[0].Points[0] != 300.5 || r.Findings[1].Number != 2 {
		t.Errorf("%+v", r.Findings)
	}
	if r.AI != study.Flagged {
		t.Errorf("%s: the count that flags is that of all findings, not only of those reported", r.AI)
	}
	if r.Unlisted != 1 {
		t.Errorf("%d findings are said to be left out of the list, 1 is", r.Unlisted)
	}
}

func TestRingStaysWithinItsFrame(t *testing.T) {
	card := mgCard()
	p := spots(1, 398.5)
	p.Candidates[0].WidthMM, p.Candidates[1].WidthMM = 2, 2
	r := findings.Conclude(findings.Facts{Card: card, Study: "2.25.1", Parts: []study.Part{p}, Instances: mammogram()})
	for _, f := range r.Findings {
		if x := f.Regions[0].Points[2]; x < 0 || x > 400 {
			t.Errorf("the point on the ring lies at column %v", x)
		}
	}
}
