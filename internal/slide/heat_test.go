package slide_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"varde/internal/slide"
	"varde/study"
)

// A grid is what to plan of a slide: places of step pixels, those that keep lets
// through, in parts of at most that many tiles.
type grid struct {
	series, level study.UID
	step          float64
	size          int
	across, down  int
	keep          func(x, y int) bool
	each          int
}

// parts scores every tile with what value says of its place; NaN is a miss.
func (g grid) parts(value func(x, y int) float32) []study.Part {
	var out []study.Part
	for y := range g.down {
		for x := range g.across {
			if g.keep != nil && !g.keep(x, y) {
				continue
			}
			if len(out) == 0 || len(out[len(out)-1].Block.Tiles) == g.each {
				out = append(out, study.Part{Index: len(out), Block: study.Block{Kind: study.Patches, Series: g.series}})
			}
			p := &out[len(out)-1]
			n := len(p.Block.Tiles)
			p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: g.level,
				X: int(math.Round(float64(x) * g.step)), Y: int(math.Round(float64(y) * g.step)), W: g.size, H: g.size})
			if v := value(x, y); v == v {
				p.Scores = append(p.Scores, study.Score{Tile: n, Values: []float32{-1, v}})
			} else {
				p.Missed = append(p.Missed, study.Miss{Tile: n, Reason: study.Reason{Code: study.ReasonDamaged}})
			}
		}
	}
	return out
}

func place(x, y int) float32 { return float32(1000*y + x) }

func heats(t *testing.T, parts []study.Part) []slide.Heat {
	t.Helper()
	h, err := slide.NewHeat(parts, 1)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHeatFindsTheGridOfItsTiles(t *testing.T) {
	disk := func(x, y int) bool { return math.Hypot(float64(x)-60, float64(y)-50) < 40 }
	for name, tt := range map[string]struct {
		grid
		columns, rows int
		x0, y0        int
		step          float64
	}{
		"whole":                   {grid{step: 256, size: 256, across: 20, down: 10}, 20, 10, 0, 0, 256},
		"a step with a fraction":  {grid{step: 447.6182, size: 448, across: 250, down: 130, keep: disk}, 79, 79, 9400, 4924, 447.6182},
		"half a pixel":            {grid{step: 112.5, size: 113, across: 300, down: 200}, 300, 200, 0, 0, 112.5},
		"patches that overlap":    {grid{step: 128, size: 256, across: 30, down: 30, keep: func(x, y int) bool { return x > 3 && y > 5 }}, 26, 24, 512, 768, 128},
		"patches a few pixels":    {grid{step: 3.3, size: 3, across: 100, down: 100}, 100, 100, 0, 0, 3.3},
		"one patch":               {grid{step: 300, size: 300, across: 5, down: 5, keep: func(x, y int) bool { return x == 2 && y == 3 }}, 1, 1, 600, 900, 300},
		"one column":              {grid{step: 300.4, size: 300, across: 5, down: 90, keep: func(x, _ int) bool { return x == 2 }}, 1, 90, 601, 0, 300.4},
		"every third":             {grid{step: 224.3, size: 224, across: 90, down: 90, keep: func(x, y int) bool { return x%3 == 0 && y%3 == 1 }}, 88, 88, 0, 224, 224.3},
		"two islands, far apart":  {grid{step: 224.3, size: 224, across: 900, down: 3, keep: func(x, _ int) bool { return x < 3 || x > 895 }}, 900, 3, 0, 0, 224.3},
		"two corners of one each": {grid{step: 224.3, size: 224, across: 10, down: 10, keep: func(x, y int) bool { return x == y && (x == 2 || x == 7) }}, 6, 6, 449, 449, 224.3},
	} {
		t.Run(name, func(t *testing.T) {
			tt.series, tt.level, tt.each = "1.1", "1.1.1", 256
			all := heats(t, tt.parts(place))
			if len(all) != 1 {
				t.Fatalf("%d maps", len(all))
			}
			h := all[0]
			if h.Columns != tt.columns || h.Rows != tt.rows || h.X0 != tt.x0 || h.Y0 != tt.y0 || h.TileW != tt.size || h.Level != "1.1.1" || h.Series != "1.1" {
				t.Fatalf("%d×%d from (%d, %d), %+v", h.Columns, h.Rows, h.X0, h.Y0, h.TileW)
			}
			if h.Columns > 1 && math.Abs(h.StepX-tt.step)*float64(h.Columns) > 1 || h.Rows > 1 && math.Abs(h.StepY-tt.step)*float64(h.Rows) > 1 {
				t.Errorf("a step of %g, %g", h.StepX, h.StepY)
			}
			x0, y0 := int(math.Round(float64(h.X0)/tt.step)), int(math.Round(float64(h.Y0)/tt.step))
			for y := range h.Rows {
				for x := range h.Columns {
					planned := tt.keep == nil || tt.keep(x+x0, y+y0)
					v := h.At(x, y)
					if planned != (v == v) || planned && v != place(x+x0, y+y0) {
						t.Fatalf("(%d, %d) is %g", x, y, v)
					}
					r := h.Rect(x, y)
					if dx := float64(r.X) - float64(x+x0)*tt.step; math.Abs(dx) > 1.6 {
						t.Fatalf("column %d begins %g pixels off", x, dx)
					}
				}
			}
		})
	}
}

func TestHeatIsTheSameInAnyOrder(t *testing.T) {
	parts := grid{series: "1.1", level: "1.1.1", step: 100.7, size: 101, across: 40, down: 30, each: 64}.parts(place)
	parts = append(parts, grid{series: "1.2", level: "1.2.1", step: 100.7, size: 101, across: 4, down: 3, each: 64}.parts(place)...)
	want := heats(t, parts)
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		if !reflect.DeepEqual(heats(t, parts), want) {
			t.Fatal("another order gives another map")
		}
	}
}

func TestEachSlideAndLevelHasItsHeat(t *testing.T) {
	var parts []study.Part
	for _, k := range [][2]study.UID{{"1.2", "1.2.9"}, {"1.1", "1.1.2"}, {"1.1", "1.1.1"}} {
		parts = append(parts, grid{series: k[0], level: k[1], step: 64, size: 64, across: 3, down: 2, each: 4}.parts(place)...)
	}
	parts = append(parts, study.Part{Block: study.Block{Kind: study.Volume, Series: "1.3", Tiles: []study.Tile{{Instance: "1.3.1", W: 8, H: 8}}}})
	var got []study.UID
	for _, h := range heats(t, parts) {
		got = append(got, h.Level)
		if h.Seen() != 6 || h.Columns != 3 || h.Rows != 2 {
			t.Errorf("%s: %d of %d×%d", h.Level, h.Seen(), h.Columns, h.Rows)
		}
	}
	if !slices.Equal(got, []study.UID{"1.1.1", "1.1.2", "1.2.9"}) {
		t.Errorf("%v", got)
	}
}

func TestUnseenPatchIsNotZero(t *testing.T) {
	g := grid{series: "1.1", level: "1.1.1", step: 64, size: 64, across: 4, down: 4, each: 5, keep: func(x, y int) bool { return x+y > 0 }}
	parts := g.parts(func(x, y int) float32 {
		if x == 2 && y == 1 {
			return float32(math.NaN())
		}
		return 0
	})
	h := heats(t, parts)[0]
	if v := h.At(0, 0); v == v {
		t.Errorf("a place without tissue is %g", v)
	}
	if v := h.At(2, 1); v == v || !slices.Equal(h.Missed, []int{6}) {
		t.Errorf("a patch that was missed is %g, missed %v", v, h.Missed)
	}
	if h.Seen() != 14 || h.At(3, 3) != 0 {
		t.Errorf("%d seen", h.Seen())
	}
	if v := h.At(-1, 0); v == v {
		t.Errorf("outside is %g", v)
	}
	// A number that is none is no answer either.
	parts[0].Scores[0].Values[1] = float32(math.Inf(1))
	if h := heats(t, parts)[0]; !slices.Equal(h.Missed, []int{1, 6}) {
		t.Errorf("missed %v", h.Missed)
	}
	// Nor is a score that lacks the number, where others have it.
	parts[0].Scores[1].Values = parts[0].Scores[1].Values[:1]
	if h := heats(t, parts)[0]; !slices.Equal(h.Missed, []int{1, 2, 6}) {
		t.Errorf("missed %v", h.Missed)
	}
	if h := heats(t, parts[1:2])[0]; h.Seen() != 5 && h.Seen() != 4 {
		t.Errorf("one part alone: %d seen", h.Seen())
	}
}

func TestHottestIsFoundAndTiesGoToTheFirst(t *testing.T) {
	g := grid{series: "1.1", level: "1.1.1", step: 64, size: 64, across: 9, down: 9, each: 100}
	h := heats(t, g.parts(func(x, y int) float32 { return float32(-max(abs(x-4), abs(y-6))) }))[0]
	if x, y, ok := h.Hottest(); !ok || x != 4 || y != 6 {
		t.Errorf("(%d, %d), %v", x, y, ok)
	}
	h = heats(t, g.parts(func(int, int) float32 { return 1 }))[0]
	if x, y, ok := h.Hottest(); !ok || x != 0 || y != 0 {
		t.Errorf("(%d, %d), %v", x, y, ok)
	}
	h = heats(t, g.parts(func(int, int) float32 { return float32(math.NaN()) }))[0]
	if _, _, ok := h.Hottest(); ok || h.Seen() != 0 {
		t.Error("a hottest patch where none was seen")
	}
}

func abs(v int) int { return max(v, -v) }

func TestPartsThatDoNotFitMakeNoHeat(t *testing.T) {
	good := func() []study.Part {
		return grid{series: "1.1", level: "1.1.1", step: 64, size: 64, across: 2, down: 2, each: 5}.parts(place)
	}
	if h, err := slide.NewHeat(nil, 0); err != nil || len(h) != 0 {
		t.Errorf("%v, %v", h, err)
	}
	for name, breaks := range map[string]func(p *study.Part) int{
		"a tile beyond the block": func(p *study.Part) int { p.Scores[0].Tile = 4; return 1 },
		"a negative tile":         func(p *study.Part) int { p.Scores[0].Tile = -1; return 1 },
		"an output too many":      func(*study.Part) int { return 2 },
		"a negative output":       func(*study.Part) int { return -1 },
		"a patch without a size":  func(p *study.Part) int { p.Block.Tiles[0].W = 0; return 1 },
		"a map without end": func(p *study.Part) int {
			p.Block.Tiles[0].X, p.Block.Tiles[0].Y = 1<<40, 1<<40
			return 1
		},
	} {
		p := good()
		if _, err := slide.NewHeat(p, breaks(&p[0])); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
