package inference_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"varde/inference"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

var lesion = study.Code{Value: "LESION", Scheme: "99TEST", Meaning: "Lesion"}

// squareMM is the unit of an area.
var squareMM = study.Code{Value: "mm2", Scheme: "UCUM", Meaning: "square millimeter"}

// overlapping gives the patches of 16 pixels, step apart, of a shelved slide of
// that many pixels.
func overlapping(columns, rows, step int, keep func(x, y int) bool) []study.Tile {
	var tiles []study.Tile
	for y := 0; y == 0 || y-step+16 < rows; y += step {
		for x := 0; x == 0 || x-step+16 < columns; x += step {
			if keep == nil || keep(x, y) {
				tiles = append(tiles, study.Tile{Instance: "2.25.1.4.1", X: x, Y: y, W: 16, H: 16})
			}
		}
	}
	return tiles
}

// cutSlide makes blocks of a slide's patches: block names the one of each. The
// patches of others that reach into its own come along.
func cutSlide(tiles []study.Tile, block func(t study.Tile) int) []study.Block {
	before := func(a, b study.Tile) bool { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) < 0 }
	by := map[int]*study.Block{}
	var order []int
	for _, t := range tiles {
		n := block(t)
		if by[n] == nil {
			by[n] = &study.Block{Kind: study.Patches, Series: "2.25.1.4"}
			order = append(order, n)
		}
		by[n].Tiles = append(by[n].Tiles, t)
	}
	slices.Sort(order)
	var out []study.Block
	for _, n := range order {
		b := by[n]
		own := slices.Clone(b.Tiles)
		for _, t := range tiles {
			if block(t) == n {
				continue
			}
			reaches, context := false, false
			for _, o := range own {
				if abs(o.X-t.X) < 16 && abs(o.Y-t.Y) < 16 {
					reaches, context = true, context || before(t, o)
				}
			}
			switch {
			case context:
				t.Context = true
				b.Tiles = append(b.Tiles, t)
			case reaches:
				b.Beyond = append(b.Beyond, t)
			}
		}
		slices.SortFunc(b.Tiles, func(a, b study.Tile) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) })
		out = append(out, *b)
	}
	return out
}

func abs(v int) int { return max(v, -v) }

// smeared gives as a map the red of each pixel, 0 to 1, as the mean of the pixels
// around it that the patch has, and a little more from left to right: what it says
// of a pixel depends on the patch.
func smeared(shrink int) network {
	return func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		v, n, side := values(in), int(in.Shape[0]), int(in.Shape[1])/shrink
		out := make([]float32, n*side*side)
		for t := range n {
			for y := range side {
				for x := range side {
					sum, count := 0.0, 0.0
					for dy := -1; dy <= 1; dy++ {
						for dx := -1; dx <= 1; dx++ {
							px, py := x*shrink+dx, y*shrink+dy
							if px >= 0 && py >= 0 && px < side*shrink && py < side*shrink {
								sum += float64(v[((t*side*shrink+py)*side*shrink+px)*3])
								count++
							}
						}
					}
					out[(t*side+y)*side+x] = float32(sum / count / 255 * (1 + 0.002*float64(x)))
				}
			}
		}
		return map[string]pixel.Tensor{"map": {Shape: []int64{int64(n), 1, int64(side), int64(side)}, Data: out}}, nil
	}
}

// mapCard is of a model that gives a map of patches.
func mapCard(overlap float64) modelcard.Card {
	c := smCard()
	c.ID, c.Input.Overlap = "map", overlap
	c.Output = []modelcard.Output{{Name: "map", Role: "map", Aggregate: "area", Above: 0.5, Measure: lesion, Unit: squareMM, Probability: true}}
	c.Find = &modelcard.Find{Map: "map", Threshold: 0.5, What: lesion, Max: 50}
	c.Flag = modelcard.Flag{By: "findings", Flagged: 1}
	return c
}

// blobs is bright in circles.
func blobs(all ...[3]int) func(x, y int) uint8 {
	return func(x, y int) uint8 {
		for i, b := range all {
			if (x-b[0])*(x-b[0])+(y-b[1])*(y-b[1]) <= b[2]*b[2] {
				return uint8(200 + 5*i)
			}
		}
		return 20
	}
}

// ragged leaves patches out, as tissue does.
func ragged(seed uint64) func(x, y int) bool {
	return func(x, y int) bool {
		return rand.New(rand.NewPCG(seed, uint64(x*7919+y))).Float64() < 0.8
	}
}

// TestMapIsTheSameHoweverTheSlideIsCut: blobs lie on the borders of patches and
// blocks, one winds through many blocks, and two touch in a corner. In blocks of
// any size and offset, with patches that overlap or not, with all or some of them,
// the findings, their outlines and the areas are the same to the last bit.
func TestMapIsTheSameHoweverTheSlideIsCut(t *testing.T) {
	s := newShelf()
	s.slide(6, 5, func(x, y int) uint8 { // 192×160 pixels
		if y > 100 && y < 106 || x > 96 && x < 101 && y > 40 && y < 104 { // a long one that turns
			return 230
		}
		return blobs([3]int{31, 31, 9}, [3]int{150, 60, 14}, [3]int{64, 70, 4}, [3]int{71, 77, 4}, [3]int{10, 140, 6}, [3]int{185, 150, 9}, [3]int{120, 20, 2})(x, y)
	})
	for _, tt := range []struct {
		step, shrink int
		keep         func(x, y int) bool
	}{{16, 1, nil}, {12, 1, nil}, {8, 1, nil}, {12, 2, nil}, {8, 4, nil}, {12, 1, ragged(1)}, {8, 2, ragged(2)}, {16, 1, ragged(3)}} {
		tiles := overlapping(192, 160, tt.step, tt.keep)
		card := mapCard(float64(16 - tt.step))
		run := smeared(tt.shrink)
		want := conclude(t, s, card, run, cutSlide(tiles, func(study.Tile) int { return 0 }))
		if len(want.Findings) < 5 || want.AI != study.Flagged || want.Seen != len(tiles) || len(want.Measurements) != 1 {
			t.Fatalf("step %d, map 1/%d: one block gives %+v", tt.step, tt.shrink, want)
		}
		checkMap(t, s, card, run, tiles, tt.shrink, want)
		for _, cut := range []struct{ size, dx, dy int }{{16, 0, 0}, {32, 0, 0}, {48, 16, 8}, {64, 40, 24}, {80, 0, 60}, {1000, 0, 900}} {
			blocks := cutSlide(tiles, func(t study.Tile) int { return (t.Y+cut.dy)/cut.size*100 + (t.X+cut.dx)/cut.size })
			if got := conclude(t, s, card, run, blocks); !reflect.DeepEqual(got, want) {
				t.Errorf("step %d, map 1/%d, %d blocks give\n%+v\none gives\n%+v", tt.step, tt.shrink, len(blocks), got, want)
			}
		}
		odd := cutSlide(tiles, func(t study.Tile) int { return (t.X*31 + t.Y*17) / 8 % 5 }) // blocks that lie through each other
		if got := conclude(t, s, card, run, odd); !reflect.DeepEqual(got, want) {
			t.Errorf("step %d, map 1/%d: blocks through each other give\n%+v\none gives\n%+v", tt.step, tt.shrink, got, want)
		}
	}
}

// checkMap puts the map of a whole slide together as plainly as can be, and holds
// the findings against it.
func checkMap(t *testing.T, s *shelf, card modelcard.Card, run network, tiles []study.Tile, shrink int, r study.Result) {
	t.Helper()
	w, h, side := 192/shrink, 160/shrink, 16/shrink
	over := int(card.Input.Overlap) / shrink
	sum, weight := make([]float64, w*h), make([]float64, w*h)
	for _, tile := range tiles {
		b := make([]uint8, 0, 16*16*3)
		for i := range 16 * 16 {
			b = append(b, s.pixel(tile.X+i%16, tile.Y+i/16)...)
		}
		out, err := run(pixel.Tensor{Shape: []int64{1, 16, 16, 3}, Data: b})
		if err != nil {
			t.Fatal(err)
		}
		ramp := func(i int) float64 { return min(1, (float64(min(i, side-1-i))+0.5)/max(float64(over), 0.5)) }
		for i, v := range out["map"].Data.([]float32) {
			x, y := tile.X/shrink+i%side, tile.Y/shrink+i/side
			if x < w && y < h {
				k := ramp(i%side) * ramp(i/side)
				sum[y*w+x] += k * float64(v)
				weight[y*w+x] += k
			}
		}
	}
	above := make([]bool, w*h)
	count := 0
	for i := range above {
		above[i] = weight[i] > 0 && sum[i]/weight[i] >= 0.5
		if above[i] {
			count++
		}
	}
	mm := float64(shrink) * 0.5 / 1000
	if got, want := r.Measurements[0].Value, float64(count)*mm*mm; math.Abs(got-want) > 1e-12 {
		t.Errorf("area %g mm², want %g", got, want)
	}
	var sizes, got []float64 // µm², as they are reported
	for i := range above {
		if n := fill(above, w, h, i); n > 0 {
			sizes = append(sizes, math.Round(float64(n)*mm*mm*1e6))
		}
	}
	for _, f := range r.Findings {
		got = append(got, math.Round(f.Measurements[1].Value*1e6))
		area, p := 0.0, f.Regions[0].Points
		for i := 0; i+3 < len(p); i += 2 {
			area += p[i]*p[i+3] - p[i+2]*p[i+1]
		}
		if n := f.Measurements[1].Value / 0.25 * 1e6; math.Abs(area/2-n) > 0.35*n+float64(40*shrink) {
			t.Errorf("an outline of %g pixels around a region of %g: %v", area/2, n, p)
		}
	}
	slices.Sort(sizes)
	slices.Sort(got)
	if !slices.EqualFunc(sizes, got, func(a, b float64) bool { return math.Abs(a-b) <= 1 }) { // halves are rounded either way
		t.Errorf("regions of %v µm², want %v", got, sizes)
	}
}

// fill counts the region that pixel i is of, and takes it out.
func fill(above []bool, w, h, i int) int {
	if !above[i] {
		return 0
	}
	above[i] = false
	n := 1
	for y := i/w - 1; y <= i/w+1; y++ {
		for x := i%w - 1; x <= i%w+1; x++ {
			if x >= 0 && y >= 0 && x < w && y < h {
				n += fill(above, w, h, y*w+x)
			}
		}
	}
	return n
}

// pixel gives a pixel of the shelved slide, white outside.
func (s *shelf) pixel(x, y int) []uint8 {
	in := s.instances[len(s.instances)-1]
	l := in.Image.Slide
	if x >= l.TotalColumns || y >= l.TotalRows {
		return []uint8{255, 255, 255}
	}
	frame := y/32*(l.TotalColumns/32) + x/32
	at := frame*32*32*3 + (y%32*32+x%32)*3
	return s.objects[in.Key][at : at+3]
}

// TestRegionLiesWhereTheBlobWasPut: center, extent, area and outline are those of
// the circle, in pixels of the level and in mm.
func TestRegionLiesWhereTheBlobWasPut(t *testing.T) {
	s := newShelf()
	s.slide(4, 4, blobs([3]int{63, 65, 20}))
	plain := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		v := values(in)
		out := make([]float32, len(v)/3)
		for i := range out {
			out[i] = v[3*i] / 255
		}
		return map[string]pixel.Tensor{"map": {Shape: []int64{in.Shape[0], 1, 16, 16}, Data: out}}, nil
	})
	tiles := overlapping(128, 128, 12, nil)
	r := conclude(t, s, mapCard(4), plain, cutSlide(tiles, func(t study.Tile) int { return t.Y/50*10 + t.X/50 }))
	if len(r.Findings) != 1 || len(r.Slides) != 1 || r.Slide != "2.25.1.4" {
		t.Fatalf("%+v", r)
	}
	f := r.Findings[0]
	pixels := 0
	for i := range 128 * 128 {
		if x, y := i%128-63, i/128-65; x*x+y*y <= 400 {
			pixels++
		}
	}
	if got, want := f.Measurements[1].Value, math.Round(float64(pixels)*0.25)/1e6; math.Abs(got-want) > 1e-6 || f.Measurements[1].Unit.Value != "mm2" {
		t.Errorf("area %v, want %g mm²", f.Measurements[1], want)
	}
	if got := f.Measurements[0].Value; math.Abs(got-41*0.0005) > 0.0007 || f.Measurements[0].Unit.Value != "mm" {
		t.Errorf("long axis %v, want about %g mm", f.Measurements[0], 41*0.0005)
	}
	p := f.Regions[0].Points
	if f.Slide != "2.25.1.4" || !f.Regions[0].Total || f.Regions[0].Shape != study.Outline || len(p) < 16 || len(p) > 2*257 {
		t.Errorf("region %+v on slide %s", f.Regions[0], f.Slide)
	}
	for i := 0; i+1 < len(p); i += 2 {
		if d := math.Hypot(p[i]-63.5, p[i+1]-65.5); d < 19 || d > 22 {
			t.Errorf("corner %g, %g of the outline lies %g pixels from the middle of a circle of 20.5", p[i], p[i+1], d)
		}
	}
	if f.Probability == nil || math.Abs(*f.Probability-200.0/255) > 1e-6 {
		t.Errorf("probability %v, want that of the peak", f.Probability)
	}
}

// TestEveryPatchOfAMapHasItsHeat: the number behind the scalars is the highest, or
// the mean, of the patch's own map, and context has none.
func TestEveryPatchOfAMapHasItsHeat(t *testing.T) {
	s := newShelf()
	s.slide(2, 2, blobs([3]int{20, 20, 8}))
	tiles := overlapping(64, 64, 8, nil)
	for _, tile := range []string{"", "max", "mean"} {
		card := mapCard(8)
		card.Output[0].Tile = tile
		if c, ok := card.Heat(); !ok || c.Index != 0 || c.Name != "map" {
			t.Fatalf("heat is %+v", c)
		}
		blocks := cutSlide(tiles, func(t study.Tile) int { return t.X / 32 })
		p := score(t, s, card, smeared(1), blocks[1])
		if len(p.Scores) != blocks[1].Planned() || blocks[1].Planned() == len(blocks[1].Tiles) {
			t.Fatalf("%d scores for %d tiles, %d of them planned", len(p.Scores), len(blocks[1].Tiles), blocks[1].Planned())
		}
		for _, sc := range p.Scores {
			if len(sc.Values) != 1 || blocks[1].Tiles[sc.Tile].Context || sc.Values[0] <= 0 || sc.Values[0] > 1.1 {
				t.Errorf("score %+v", sc)
			}
		}
	}
}

// TestPartOfAMapThatWentUnseenIsNoNegative: a patch whose map is no number is
// missed, as are those of a lost block, and the result says so.
func TestPartOfAMapThatWentUnseenIsNoNegative(t *testing.T) {
	s := newShelf()
	s.slide(2, 2, func(int, int) uint8 { return 10 })
	tiles := overlapping(64, 64, 8, nil)
	n := 0
	broken := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		out, err := smeared(1)(in)
		if n++; n == 3 {
			out["map"].Data.([]float32)[5] = float32(math.NaN())
		}
		return out, err
	})
	r := conclude(t, s, mapCard(8), broken, cutSlide(tiles, func(study.Tile) int { return 0 }))
	if !r.Partial() || r.AI != study.Uncertain || r.Planned-r.Seen != 1 || r.Reason.Zero() || r.Slides[0].Seen != r.Seen {
		t.Errorf("%+v", r)
	}
	n = 10
	if r := conclude(t, s, mapCard(8), broken, cutSlide(tiles, func(study.Tile) int { return 0 })); r.Partial() || r.AI != study.NotFlagged {
		t.Errorf("undisturbed: %+v", r)
	}
}

// TestAggregatesDoNotDependOnTheBlocks: sums of floats do, unless they are made in
// one order.
func TestAggregatesDoNotDependOnTheBlocks(t *testing.T) {
	s := newShelf()
	tiles := s.slide(8, 8, func(x, y int) uint8 { return uint8(x*x + 31*y) })
	card := smCard()
	card.Output[0].Aggregate = "mean"
	want := conclude(t, s, card, bright, cutSlide(tiles, func(study.Tile) int { return 0 }))
	for _, size := range []int{16, 48, 80} {
		blocks := cutSlide(tiles, func(t study.Tile) int { return t.Y/size*100 + t.X/size })
		if got := conclude(t, s, card, bright, blocks); !reflect.DeepEqual(got, want) {
			t.Errorf("%d blocks give\n%+v\none gives\n%+v", len(blocks), got, want)
		}
	}
}

// TestSlideThatTheSecondNetworkCanNotJudgeHasFailed and keeps the case from being
// clean: one with too many patches, and one for which it gives no number.
func TestSlideThatTheSecondNetworkCanNotJudgeHasFailed(t *testing.T) {
	for name, tt := range map[string]struct {
		most  int
		flag  float64
		spoil bool
		ai    study.AIState
	}{
		"all are judged":                      {0, 0.9, false, study.NotFlagged},
		"one has too many patches":            {5, 0.9, false, study.Uncertain},
		"the other is flagged":                {5, 0.1, false, study.Flagged},
		"both have":                           {1, 0.9, false, study.Failed},
		"there is no number for one of them":  {0, 0.9, true, study.Uncertain},
		"no number, and the other is flagged": {0, 0.1, true, study.Flagged},
	} {
		s := newShelf()
		tiles := s.slide(1, 1, func(int, int) uint8 { return 50 }) // 4 patches
		other := s.instances[0]
		other.UID, other.Series = "2.25.1.5.1", "2.25.1.5"
		s.frames[other.UID], s.instances = s.frames["2.25.1.4.1"], append(s.instances, other)
		var more []study.Tile
		for i := range 9 {
			more = append(more, study.Tile{Instance: other.UID, X: i, W: 16, H: 16})
		}
		card := smCard()
		card.Output = []modelcard.Output{{Name: "features", Role: "features"}}
		card.MIL = &modelcard.MIL{Network: "mil", SHA256: study.Hash{8}, Features: "features", Input: "bag", Most: tt.most,
			Output: []modelcard.Output{{Name: "slide", Probability: true}}}
		card.Find, card.Flag = nil, modelcard.Flag{By: "slide", Flagged: tt.flag}
		plan := study.ModelPlan{Planned: 13, Blocks: []study.Block{
			{Kind: study.Patches, Series: "2.25.1.4", Tiles: tiles}, {Kind: study.Patches, Series: "2.25.1.5", Tiles: more}}}
		r, err := inference.ScoreFiles(t.Context(), scorer(s), inference.Files{Study: "2.25.1", Instances: s.instances, Card: card, Plan: plan,
			Session: network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
				return map[string]pixel.Tensor{"features": {Shape: []int64{in.Shape[0], 1}, Data: make([]float32, in.Shape[0])}}, nil
			}),
			Second: network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
				v := float32(0.5)
				if tt.spoil && in.Shape[0] == 9 {
					v = float32(math.NaN())
				}
				return map[string]pixel.Tensor{"slide": {Shape: []int64{1}, Data: []float32{v}}}, nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		whole := tt.ai == study.NotFlagged
		if r.AI != tt.ai || len(r.Slides) != 2 || r.Reason.Zero() != whole || tt.ai != study.Failed && r.Partial() == whole {
			t.Errorf("%s: %+v", name, r)
		}
		if g := r.Slides[1]; !whole && (g.AI != study.Failed || g.Reason.Zero() || g.Series != "2.25.1.5" && tt.ai != study.Failed) {
			t.Errorf("%s: the other slide is %+v", name, g)
		}
	}
}

// TestCaseOfWhichNoSlideIsAskedSaysWhyOfEach.
func TestCaseOfWhichNoSlideIsAskedSaysWhyOfEach(t *testing.T) {
	plan := study.ModelPlan{State: study.Failed, Planned: 1, Unseen: 1, Slides: []study.SlidePlan{
		{Series: "2.25.1.4", State: study.Failed, Reason: study.Reason{Code: study.ReasonTissue}},
		{Series: "2.25.1.5", State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonSpacing}}}}
	r, err := inference.ScoreFiles(t.Context(), scorer(newShelf()), inference.Files{Study: "2.25.1", Card: smCard(), Plan: plan})
	if err != nil || r.AI != study.Failed || len(r.Slides) != 2 || r.Slides[0].Reason.Code != study.ReasonTissue || !r.Slides[0].Partial() || r.Slides[1].AI != study.OutOfScope {
		t.Errorf("%+v, %v", r, err)
	}
}
