package findings_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"varde/inference/findings"
	"varde/models/modelcard"
	"varde/study"
)

// detections makes a part whose candidates are points of one slide.
func detections(points [][2]float64, score func(i int) float32) ([]study.Part, []study.Instance) {
	p := study.Part{Block: study.Block{Kind: study.Patches, Series: "2.25.1.4", Tiles: []study.Tile{{Instance: "2.25.1.4.1", W: 3200, H: 3200}}},
		Scores: []study.Score{{Tile: 0, Values: []float32{0}}}}
	for i, at := range points {
		p.Candidates = append(p.Candidates, study.Candidate{X: at[0], Y: at[1], Peak: score(i)})
	}
	return []study.Part{p}, []study.Instance{squareLevel(100)}
}

func pointCard() modelcard.Card {
	c := boxCard(0)
	c.Output[0] = modelcard.Output{Name: "boxes", Role: "points"}
	c.Find.SameUM = 5
	return c
}

// TestOrderOfDetectionsMakesNoDifference: of points within the card's distance of
// each other the surest counts, in whatever order they come.
func TestOrderOfDetectionsMakesNoDifference(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var points [][2]float64
	for range 400 {
		points = append(points, [2]float64{random.Float64() * 300, random.Float64() * 300})
	}
	points = append(points, points[:20]...) // some twice
	scores := make([]float32, len(points))
	for i := range scores {
		scores[i] = float32(1+i%5) / 5
	}
	parts, in := detections(points, func(i int) float32 { return scores[i] })
	want := findings.Conclude(findings.Facts{Card: pointCard(), Study: "2.25.1", Parts: parts, Instances: in})
	// Plainly: the surest first, and each that is not too near to one that counts.
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(points[a][1], points[b][1]), cmp.Compare(points[a][0], points[b][0]))
	})
	var kept [][2]float64
	for _, i := range order {
		if !slices.ContainsFunc(kept, func(k [2]float64) bool { return math.Hypot(k[0]-points[i][0], k[1]-points[i][1]) <= 10 }) {
			kept = append(kept, points[i])
		}
	}
	if got := want.Slides[0].Findings; got != len(kept) {
		t.Errorf("%d points count, want %d", got, len(kept))
	}
	for range 5 {
		random.Shuffle(len(parts[0].Candidates), func(i, j int) {
			c := parts[0].Candidates
			c[i], c[j] = c[j], c[i]
		})
		if got := findings.Conclude(findings.Facts{Card: pointCard(), Study: "2.25.1", Parts: parts, Instances: in}); !reflect.DeepEqual(got, want) {
			t.Fatal("in another order there is another result")
		}
	}
}

// TestDensestWindowHoldsTheMost holds the count in the window against every window
// that begins at a point's column and another's row.
func TestDensestWindowHoldsTheMost(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for round := range 20 {
		var points [][2]float64
		for range 5 + 10*round {
			points = append(points, [2]float64{float64(random.IntN(60)) * 40, float64(random.IntN(60)) * 40})
		}
		card := pointCard()
		card.Count.WindowMM2 = 0.04 // 0.2 mm: 400 pixels
		parts, in := detections(points, func(int) float32 { return 0.9 })
		r := findings.Conclude(findings.Facts{Card: card, Study: "2.25.1", Parts: parts, Instances: in})
		slices.SortFunc(points, func(a, b [2]float64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
		points = slices.Compact(points) // two in one place are one
		most := 0
		for _, a := range points {
			for _, b := range points {
				most = max(most, within(points, a[0], b[1], a[0]+400, b[1]+400))
			}
		}
		h := r.Slides[0].Hotspot
		if h == nil || h.Count != most || h.AreaMM2 != 0.04 {
			t.Fatalf("%d points: %+v, want %d", len(points), h, most)
		}
		p := h.Region.Points
		if n := within(points, p[0], p[1], p[4], p[5]); n != most || p[4]-p[0] > 400.11 || p[5]-p[1] > 400.11 {
			t.Errorf("%d points: the window %v holds %d, want %d", len(points), p, n, most)
		}
		if m := r.Measurements; m[0].Value != float64(most) || m[1].Value != float64(len(points)) || math.Abs(m[2].Value-float64(len(points))/2.56) > 1e-9 || m[2].Unit.Value != "/mm2" {
			t.Errorf("measured %+v, want %d in the window, %d in all, on 2.56 mm²", m, most, len(points))
		}
		if want := most >= 3; (r.AI == study.Flagged) != want {
			t.Errorf("%d in the window: %s", most, r.AI)
		}
	}
}

func within(points [][2]float64, x0, y0, x1, y1 float64) int {
	n := 0
	for _, p := range points {
		if p[0] >= x0-0.1 && p[0] <= x1+0.1 && p[1] >= y0-0.1 && p[1] <= y1+0.1 {
			n++
		}
	}
	return n
}

// TestSlideWithoutDetectionsIsCounted as none, and not as unknown.
func TestSlideWithoutDetectionsIsCounted(t *testing.T) {
	parts, in := detections(nil, nil)
	r := findings.Conclude(findings.Facts{Card: pointCard(), Study: "2.25.1", Parts: parts, Instances: in})
	if r.AI != study.NotFlagged || r.Slides[0].Hotspot != nil || len(r.Measurements) != 3 || r.Measurements[0].Value != 0 {
		t.Errorf("%+v", r)
	}
}
