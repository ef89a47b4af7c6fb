package inference_test

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"testing"

	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

var mitosis = study.Code{Value: "MITOSIS", Scheme: "99TEST", Meaning: "Mitotic figure"}

// boxCard is of a model that detects boxes on patches of 16 pixels.
func boxCard(overlap float64) modelcard.Card {
	c := smCard()
	c.ID, c.Input.Overlap = "boxes", overlap
	c.Output = []modelcard.Output{{Name: "boxes", Role: "boxes", Format: "xyxy"}, {Name: "scores", Role: "scores", Probability: true}}
	c.Find = &modelcard.Find{Objects: "boxes", Scores: "scores", Threshold: 0.5, What: mitosis, Max: 1000}
	c.Count = &modelcard.Count{WindowMM2: 0.0004, Hotspot: mitosis, Total: lesion, Density: density}
	c.Flag = modelcard.Flag{By: modelcard.FlagHotspot, Flagged: 3, Uncertain: 2}
	return c
}

// squares stands for a detector: it sees each bright square of 5 pixels, as far as
// it lies on the patch, and is the surer of it the more it sees.
func squares(in pixel.Tensor) (map[string]pixel.Tensor, error) {
	const most = 8
	v, n := values(in), int(in.Shape[0])
	boxes, scores := make([]float32, n*most*4), make([]float32, n*most)
	for t := range n {
		bright := make([]bool, 256)
		for i := range bright {
			bright[i] = v[(t*256+i)*3] > 128
		}
		k := 0
		for i := range bright {
			if !bright[i] || k == most {
				continue
			}
			x0, y0, x1, y1, count := i%16, i/16, i%16, i/16, 0
			var spread func(i int)
			spread = func(i int) {
				if !bright[i] {
					return
				}
				bright[i] = false
				count++
				x, y := i%16, i/16
				x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
				for _, d := range [][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
					if p, q := x+d[0], y+d[1]; p >= 0 && q >= 0 && p < 16 && q < 16 {
						spread(q*16 + p)
					}
				}
			}
			spread(i)
			copy(boxes[(t*most+k)*4:], []float32{float32(x0), float32(y0), float32(x1 + 1), float32(y1 + 1)})
			scores[t*most+k] = 0.7 + float32(count)/100
			k++
		}
	}
	return map[string]pixel.Tensor{"boxes": {Shape: []int64{int64(n), most, 4}, Data: boxes}, "scores": {Shape: []int64{int64(n), most}, Data: scores}}, nil
}

// planted draws bright squares of 5 pixels with their upper left corners there.
func planted(at [][2]int) func(x, y int) uint8 {
	return func(x, y int) uint8 {
		for _, p := range at {
			if x >= p[0] && x < p[0]+5 && y >= p[1] && y < p[1]+5 {
				return 250
			}
		}
		return 10
	}
}

// TestEachObjectIsCountedOnce: squares lie on the borders of patches and blocks,
// where up to four patches see them, whole or in part. Each is one finding, in its
// place, whatever the blocks.
func TestEachObjectIsCountedOnce(t *testing.T) {
	at := [][2]int{{2, 2}, {14, 14}, {30, 6}, {62, 62}, {66, 50}, {100, 33}, {45, 90}, {91, 91}, {120, 120}, {12, 61}}
	s := newShelf()
	s.slide(4, 4, planted(at))
	for _, step := range []int{8, 10} { // the overlap is at least the size of a square
		tiles := overlapping(128, 128, step, nil)
		card := boxCard(float64(16 - step))
		want := conclude(t, s, card, squares, cutSlide(tiles, func(study.Tile) int { return 0 }))
		var got [][2]int
		for _, f := range want.Findings {
			p := f.Regions[0].Points
			got = append(got, [2]int{int(p[0]), int(p[1])})
			if p[4]-p[0] != 5 || p[5]-p[1] != 5 || !f.Regions[0].Total || f.Slide != "2.25.1.4" {
				t.Errorf("step %d: %+v", step, f.Regions[0])
			}
			if *f.Probability < 0.949 || f.Measurements[0].Value != 0.0025 {
				t.Errorf("step %d: %v, %+v", step, *f.Probability, f.Measurements)
			}
		}
		order := func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }
		slices.SortFunc(got, order)
		slices.SortFunc(at, order)
		if !slices.Equal(got, at) {
			t.Errorf("step %d: found at %v, want %v", step, got, at)
		}
		for _, size := range []int{16, 24, 40, 64} {
			blocks := cutSlide(tiles, func(t study.Tile) int { return (t.Y+size/3)/size*100 + (t.X+size/2)/size })
			if r := conclude(t, s, card, squares, blocks); !reflect.DeepEqual(r, want) {
				t.Errorf("step %d, %d blocks:\n%+v\none gives\n%+v", step, len(blocks), r, want)
			}
		}
	}
}

// TestFormsOfDetections: networks give boxes and their scores in several forms.
func TestFormsOfDetections(t *testing.T) {
	one, two := 1, 2
	f := func(shape []int64, v ...float32) pixel.Tensor { return pixel.Tensor{Shape: shape, Data: v} }
	for _, tt := range []struct {
		name   string
		output []modelcard.Output
		find   modelcard.Find
		give   map[string]pixel.Tensor
		want   [4]float64 // the box of the one finding
		score  float64
	}{
		{"corners, scores apart", []modelcard.Output{{Name: "b", Role: "boxes", Format: "xyxy"}, {Name: "s", Role: "scores"}},
			modelcard.Find{Objects: "b", Scores: "s"},
			map[string]pixel.Tensor{"b": f([]int64{1, 2, 4}, 2, 3, 8, 9, 0, 0, 4, 4), "s": f([]int64{1, 2}, 0.9, 0.1)}, [4]float64{2, 3, 8, 9}, 0.9},
		{"center and size, no tiles", []modelcard.Output{{Name: "b", Role: "boxes", Format: "cxcywh"}, {Name: "s", Role: "scores"}},
			modelcard.Find{Objects: "b", Scores: "s"},
			map[string]pixel.Tensor{"b": f([]int64{2, 4}, 5, 6, 6, 4, 1, 1, 2, 2), "s": f([]int64{2}, 0.9, 0.1)}, [4]float64{2, 4, 8, 8}, 0.9},
		{"a score for each class, softmax", []modelcard.Output{{Name: "b", Role: "boxes", Format: "xyxy"}, {Name: "s", Role: "scores", Index: 1, Activation: "softmax"}},
			modelcard.Find{Objects: "b", Scores: "s"},
			map[string]pixel.Tensor{"b": f([]int64{1, 2, 4}, 2, 3, 8, 9, 0, 0, 4, 4), "s": f([]int64{1, 2, 2}, 0, 2, 2, 0)}, [4]float64{2, 3, 8, 9}, 1 / (1 + math.Exp(-2))},
		{"classes apart", []modelcard.Output{{Name: "b", Role: "boxes", Format: "xyxy"}, {Name: "s", Role: "scores"}, {Name: "c", Role: "classes"}},
			modelcard.Find{Objects: "b", Scores: "s", Classes: "c", Class: &one},
			map[string]pixel.Tensor{"b": f([]int64{1, 2, 4}, 2, 3, 8, 9, 0, 0, 4, 4), "s": f([]int64{1, 2}, 0.9, 0.95),
				"c": {Shape: []int64{1, 2}, Data: []int64{1, 0}}}, [4]float64{2, 3, 8, 9}, 0.9},
		{"all in one row", []modelcard.Output{{Name: "b", Role: "boxes", Format: "xyxy"}}, modelcard.Find{Objects: "b", Class: &two},
			map[string]pixel.Tensor{"b": f([]int64{1, 2, 6}, 2, 3, 8, 9, 0.8, 2, 0, 0, 4, 4, 0.9, 0)}, [4]float64{2, 3, 8, 9}, 0.8},
		{"over the edge", []modelcard.Output{{Name: "b", Role: "boxes", Format: "xyxy"}}, modelcard.Find{Objects: "b"},
			map[string]pixel.Tensor{"b": f([]int64{1, 2, 5}, -4, 3, 8, 29, 0.8, 20, 20, 24, 24, 0.9)}, [4]float64{0, 3, 8, 16}, 0.8},
		{"points", []modelcard.Output{{Name: "b", Role: "points"}, {Name: "s", Role: "scores", Activation: "sigmoid"}}, modelcard.Find{Objects: "b", Scores: "s", SameUM: 1},
			map[string]pixel.Tensor{"b": f([]int64{1, 2, 2}, 2, 3, 8, 9), "s": f([]int64{1, 2}, 3, -3)}, [4]float64{2, 3, 0, 0}, 1 / (1 + math.Exp(-3))},
	} {
		s := newShelf()
		tiles := s.slide(1, 1, func(int, int) uint8 { return 0 })
		card := boxCard(0)
		tt.find.What, tt.find.Threshold = mitosis, 0.5
		for i := range tt.output {
			tt.output[i].Probability = true
		}
		card.Output, card.Find, card.Count, card.Flag, card.Input.Batch = tt.output, &tt.find, nil, modelcard.Flag{By: "findings", Flagged: 1}, 1
		r := conclude(t, s, card, func(pixel.Tensor) (map[string]pixel.Tensor, error) { return tt.give, nil },
			[]study.Block{{Kind: study.Patches, Series: "2.25.1.4", Tiles: tiles[:1]}})
		if len(r.Findings) != 1 {
			t.Errorf("%s: %+v", tt.name, r)
			continue
		}
		p := r.Findings[0].Regions[0].Points
		got := [4]float64{p[0], p[1]}
		if len(p) > 2 {
			got = [4]float64{p[0], p[1], p[4], p[5]}
		}
		if got != tt.want || math.Abs(*r.Findings[0].Probability-tt.score) > 1e-6 {
			t.Errorf("%s: %v with %v, want %v with %v", tt.name, got, *r.Findings[0].Probability, tt.want, tt.score)
		}
	}
}

// TestPatchWithAScoreThatIsNoneIsMissed and is not a patch without objects.
func TestPatchWithAScoreThatIsNoneIsMissed(t *testing.T) {
	for _, spoil := range []string{"scores", "boxes"} {
		s := newShelf()
		tiles := s.slide(1, 1, func(int, int) uint8 { return 255 })
		n := 0
		r := conclude(t, s, boxCard(0), func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			out, err := squares(in)
			if n++; n == 1 {
				out[spoil].Data.([]float32)[0] = float32(math.NaN())
			}
			return out, err
		}, []study.Block{{Kind: study.Patches, Series: "2.25.1.4", Tiles: tiles}})
		if !r.Partial() || r.Planned-r.Seen != 1 || r.AI == study.NotFlagged {
			t.Errorf("%s: %+v", spoil, r)
		}
	}
}
