package findings_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"varde/inference/findings"
	"varde/models/modelcard"
	"varde/study"
)

// aCase makes parts of three slides with given scores, one tile each.
func aCase(scores map[study.UID]float32) (parts []study.Part, instances []study.Instance, plan study.ModelPlan) {
	for i, series := range []study.UID{"2.25.1.1", "2.25.1.2", "2.25.1.3"} {
		uid := series + ".1"
		instances = append(instances, study.Instance{UID: uid, Series: series, Modality: study.SM, Image: &study.Image{
			Rows: 32, Columns: 32, Frames: 1, Samples: 3, Slide: &study.SlideLevel{TotalColumns: 32, TotalRows: 32, ContainerID: fmt.Sprintf("S-%d", i+1)}}})
		v, ok := scores[series]
		if !ok {
			plan.Slides = append(plan.Slides, study.SlidePlan{Series: series, State: study.Failed, Reason: study.Reason{Code: study.ReasonTissue, Detail: "0 %"}})
			plan.Unseen++
			plan.Planned++
			plan.Reason = study.Reason{Code: study.ReasonTissue, Detail: "0 %"}
			continue
		}
		plan.Slides = append(plan.Slides, study.SlidePlan{Series: series, State: study.Running, Planned: 1})
		plan.Planned++
		parts = append(parts, study.Part{Index: len(parts), Block: study.Block{Kind: study.Patches, Series: series,
			Tiles: []study.Tile{{Instance: uid, W: 16, H: 16}}}, Scores: []study.Score{{Tile: 0, Values: []float32{v}}}})
	}
	return parts, instances, plan
}

// TestCaseIsAsBadAsItsWorstSlide names it, tells of every slide, and is never
// negative when one was not scored.
func TestCaseIsAsBadAsItsWorstSlide(t *testing.T) {
	card := smCard()
	card.Flag = modelcard.Flag{By: "mean", Flagged: 100, Uncertain: 50}
	card.Find.Threshold = 40
	for _, tt := range []struct {
		name    string
		scores  map[study.UID]float32
		ai      study.AIState
		slide   study.UID
		order   []study.UID
		partial bool
		value   float64
	}{
		{"the second is flagged", map[study.UID]float32{"2.25.1.1": 10, "2.25.1.2": 120, "2.25.1.3": 60}, study.Flagged, "2.25.1.2", []study.UID{"2.25.1.2", "2.25.1.3", "2.25.1.1"}, false, 120},
		{"two are flagged", map[study.UID]float32{"2.25.1.1": 110, "2.25.1.2": 20, "2.25.1.3": 160}, study.Flagged, "2.25.1.3", []study.UID{"2.25.1.3", "2.25.1.1", "2.25.1.2"}, false, 160},
		{"none is", map[study.UID]float32{"2.25.1.1": 10, "2.25.1.2": 20, "2.25.1.3": 5}, study.NotFlagged, "2.25.1.2", []study.UID{"2.25.1.2", "2.25.1.1", "2.25.1.3"}, false, 20},
		{"one was not scored, the others are clean", map[study.UID]float32{"2.25.1.1": 10, "2.25.1.3": 5}, study.Uncertain, "2.25.1.1", []study.UID{"2.25.1.1", "2.25.1.3", "2.25.1.2"}, true, 10},
		{"one was not scored, one is flagged", map[study.UID]float32{"2.25.1.1": 10, "2.25.1.3": 500}, study.Flagged, "2.25.1.3", []study.UID{"2.25.1.3", "2.25.1.1", "2.25.1.2"}, true, 500},
	} {
		parts, instances, plan := aCase(tt.scores)
		f := findings.Facts{Card: card, Study: "2.25.1", Plan: plan, Parts: parts, Instances: instances, At: time.UnixMilli(0)}
		r := findings.Conclude(f)
		var order []study.UID
		for _, g := range r.Slides {
			order = append(order, g.Series)
			if _, scored := tt.scores[g.Series]; !scored && (g.AI != study.Failed || g.Reason.Code != study.ReasonTissue || !g.Partial()) {
				t.Errorf("%s: a slide that was not scored is %+v", tt.name, g)
			}
		}
		if r.AI != tt.ai || r.Slide != tt.slide || !slices.Equal(order, tt.order) || r.Partial() != tt.partial || r.Measurements[0].Value != tt.value {
			t.Errorf("%s: %s, slide %s of %v, %v\n%+v", tt.name, r.AI, r.Slide, order, r.Measurements, r)
		}
		if want := "S-" + string(tt.slide[len(tt.slide)-1:]); r.Slides[0].Container != want {
			t.Errorf("%s: the worst slide is in %q, want %q", tt.name, r.Slides[0].Container, want)
		}
		for _, g := range r.Findings {
			if v := tt.scores[g.Slide]; v < 40 || g.Regions[0].Instance != g.Slide+".1" {
				t.Errorf("%s: finding %+v", tt.name, g)
			}
		}
		slices.Reverse(f.Parts)
		slices.Reverse(f.Plan.Slides)
		if again := findings.Conclude(f); !reflect.DeepEqual(again, r) {
			t.Errorf("%s: in another order it is\n%+v\nbefore\n%+v", tt.name, again, r)
		}
	}
}

// TestSlideWhoseJobsWereLostIsNamed: a slide of which every part failed is failed,
// one of which some did is partial, and the case is neither clean nor whole.
func TestSlideWhoseJobsWereLostIsNamed(t *testing.T) {
	parts, instances, plan := aCase(map[study.UID]float32{"2.25.1.1": 10, "2.25.1.2": 20, "2.25.1.3": 5})
	plan.Slides[0].Planned, plan.Planned = 2, 4
	r := findings.Conclude(findings.Facts{Card: smCard(), Study: "2.25.1", Plan: plan, Parts: parts[:2], Instances: instances,
		Lost: []study.PartRow{{State: study.JobFailed, Reason: study.Reason{Code: study.ReasonInternal}}}})
	states := map[study.UID]study.AIState{}
	for _, g := range r.Slides {
		states[g.Series] = g.AI
	}
	want := map[study.UID]study.AIState{"2.25.1.1": study.Uncertain, "2.25.1.2": study.NotFlagged, "2.25.1.3": study.Failed}
	if r.AI != study.Uncertain || !r.Partial() || !reflect.DeepEqual(states, want) {
		t.Errorf("%s, %v, want %v\n%+v", r.AI, states, want, r)
	}
}

// TestEachSlideKeepsItsFirstFinding though another has more and worse ones.
func TestEachSlideKeepsItsFirstFinding(t *testing.T) {
	parts, instances, plan := aCase(map[study.UID]float32{"2.25.1.1": 110, "2.25.1.2": 20, "2.25.1.3": 160})
	for i := range 9 {
		p := &parts[2]
		p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: "2.25.1.3.1", X: 16 + i, W: 16, H: 16})
		p.Scores = append(p.Scores, study.Score{Tile: i + 1, Values: []float32{float32(150 - i)}})
	}
	plan.Planned, plan.Slides[2].Planned = 12, 10
	r := findings.Conclude(findings.Facts{Card: smCard(), Study: "2.25.1", Plan: plan, Parts: parts, Instances: instances})
	if len(r.Findings) != 3 || r.Findings[2].Slide != "2.25.1.1" || r.Findings[0].Slide != "2.25.1.3" || r.Slides[0].Findings != 10 {
		t.Errorf("%+v", r.Findings)
	}
}
