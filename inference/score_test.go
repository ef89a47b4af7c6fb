package inference_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"varde/inference"
	"varde/inference/scores"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

func scorer(s *shelf) *scores.Scorer {
	return &scores.Scorer{Objects: s, Index: s, Ran: study.Provenance{Runtime: "test", Varde: "test"}}
}

// score scores one block, and the test ends when that fails.
func score(t *testing.T, s *shelf, card modelcard.Card, n network, b study.Block) study.Part {
	t.Helper()
	p, err := scorer(s).Score(t.Context(), scores.Question{Card: card, Session: n, Instances: s.instances, Block: b})
	if err != nil {
		t.Fatal(err)
	}
	p.Seconds = 0
	return p
}

// conclude scores blocks and concludes.
func conclude(t *testing.T, s *shelf, card modelcard.Card, n network, blocks []study.Block) study.Result {
	t.Helper()
	f := inference.Facts{Card: card, Study: "2.25.1", Rev: 1, Instances: s.instances, At: time.UnixMilli(0)}
	for i, b := range blocks {
		p := score(t, s, card, n, b)
		p.Index = i
		f.Parts = append(f.Parts, p)
	}
	return inference.Conclude(f)
}

// TestWholeVolumeAndBlocksFindTheSame: where the volume is cut changes nothing,
// though a ball lies on the cut, one spans three blocks, and two touch only in a
// corner across it.
func TestWholeVolumeAndBlocksFindTheSame(t *testing.T) {
	s := newShelf()
	tiles := s.ct(40, 48, balls(ball(10, 10, 20, 4), ball(30, 30, 19, 14), ball(10, 36, 9, 3), ball(14, 36, 3, 2), ball(40, 8, 38, 3)))
	want := conclude(t, s, ctCard(), thick, cut(tiles, 1, 2))
	want.Ran.Objects = study.Hash{} // it names the objects block by block
	if len(want.Findings) < 3 || want.AI != study.Flagged || want.Seen != 40 {
		t.Fatalf("the whole volume gives %+v", want)
	}
	for _, blocks := range []int{2, 3, 4, 7, 10} {
		got := conclude(t, s, ctCard(), thick, cut(tiles, blocks, 2))
		got.Ran.Objects = study.Hash{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d blocks give\n%+v\nthe whole volume\n%+v", blocks, got, want)
		}
	}
}

func TestFindingLiesWhereTheBallWasPut(t *testing.T) {
	s := newShelf()
	tiles := s.ct(30, 40, balls(ball(12, 20, 15, 5)))
	r := conclude(t, s, ctCard(), func(in pixel.Tensor) (map[string]pixel.Tensor, error) { return bright(in) }, cut(tiles, 2, 2))
	if len(r.Findings) != 1 {
		t.Fatalf("%d findings: %+v", len(r.Findings), r)
	}
	f := r.Findings[0]
	if want := [3]float64{-20 + 12, -30 + 20, 100 + 15}; f.CenterMM == nil || *f.CenterMM != want {
		t.Errorf("center %v, want %v", f.CenterMM, want)
	}
	want := study.Region{Instance: "2.25.1.2.16", Class: ctClass, Frame: 1, Frames: 1, Shape: study.Circle}
	got := f.Regions[0]
	radius := got.Points[2] - got.Points[0]
	if got.Points[0] != 12.5 || got.Points[1] != 20.5 || got.Points[3] != 20.5 || radius < 5.4 || radius > 6.2 {
		t.Errorf("ring %v, want one of about 5.5 around 12.5, 20.5", got.Points)
	}
	got.Points = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("region %+v, want %+v", got, want)
	}
	volume := 0
	for i := range 40 * 40 * 30 {
		if ball(12, 20, 15, 5)(i%40, i/40%40, i/1600) {
			volume++
		}
	}
	if m := f.Measurements; len(m) != 2 || m[1].Unit.Value != "mm3" || m[1].Value != float64(volume) || m[0].Value < 11 || m[0].Value > 12.1 {
		t.Errorf("measured %+v, want 11 to 12 mm and %d mm³", m, volume)
	}
}

// TestAskedSpacingIsMade: the network sees planes and pixels of the card's
// spacing, and the finding is back in the slice's own.
func TestAskedSpacingIsMade(t *testing.T) {
	s := newShelf()
	tiles := s.ct(32, 64, balls(ball(40, 24, 16, 8)))
	card := ctCard()
	card.Input.SpacingMM, card.Input.HaloPlanes = [3]float64{2, 2, 2}, 0
	var shape []int64
	r := conclude(t, s, card, func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		shape = in.Shape
		return bright(in)
	}, []study.Block{{Kind: study.Volume, Series: "2.25.1.2", OriginMM: 100, StepMM: 2, Last: 15, Tiles: tiles}})
	if !slices.Equal(shape, []int64{1, 1, 16, 32, 32}) {
		t.Errorf("the network saw %v", shape)
	}
	if len(r.Findings) != 1 {
		t.Fatalf("%+v", r)
	}
	c := r.Findings[0].CenterMM
	for i, want := range []float64{-20 + 40, -30 + 24, 100 + 16} {
		if math.Abs(c[i]-want) > 1 {
			t.Errorf("center %v", *c)
		}
	}
}

func TestDamagedSliceMakesThePartPartial(t *testing.T) {
	s := newShelf()
	tiles := s.ct(20, 32, balls(ball(16, 16, 10, 5)))
	whole := conclude(t, s, ctCard(), thick, cut(tiles, 2, 2))
	s.objects["dicom/2.25.1.2.4"] = s.objects["dicom/2.25.1.2.4"][:100]
	s.instances[14].TransferSyntax = jpegXL
	r := conclude(t, s, ctCard(), thick, cut(tiles, 2, 2))
	if r.Planned != 20 || r.Seen != 18 || !r.Partial() || r.AI != study.Flagged {
		t.Errorf("planned %d, seen %d, %s", r.Planned, r.Seen, r.AI)
	}
	if want := (study.Reason{Code: study.ReasonDamaged, Detail: "2.25.1.2.4"}); r.Reason != want {
		t.Errorf("reason %v, want %v", r.Reason, want)
	}
	if len(r.Findings) != 1 || r.Findings[0].Tracking != whole.Findings[0].Tracking {
		t.Errorf("%d findings", len(r.Findings))
	}
	p := score(t, s, ctCard(), thick, cut(tiles, 2, 2)[1])
	if len(p.Missed) != 1 || p.Missed[0].Reason.Code != study.ReasonTransferSyntax {
		t.Errorf("missed %+v, want one for its transfer syntax", p.Missed)
	}
}

// TestPlanesThatNobodySawAreNotSearched: one missing slice is bridged, three are
// not.
func TestPlanesThatNobodySawAreNotSearched(t *testing.T) {
	for _, tt := range []struct {
		missing  []int
		findings int
	}{{[]int{10}, 1}, {[]int{9, 10, 11}, 0}} {
		s := newShelf()
		// Bright on both sides of the gap, so that what is between looks bright.
		tiles := s.ct(20, 16, func(x, y, z int) int {
			if z >= 8 && z <= 12 && x > 4 && x < 9 && y > 4 && y < 9 {
				return 500
			}
			return -1000
		})
		for _, z := range tt.missing {
			delete(s.frames, tiles[z].Instance)
		}
		card := ctCard()
		card.Find.MinVolume = 4 * 4 * 5 // all five planes
		r := conclude(t, s, card, bright, cut(tiles, 1, 2))
		if len(r.Findings) != tt.findings || r.Seen != 20-len(tt.missing) {
			t.Errorf("without %v: %d findings of %d slices", tt.missing, len(r.Findings), r.Seen)
		}
	}
}

func TestNothingSeenIsAFailureAndNoNegative(t *testing.T) {
	s := newShelf()
	tiles := s.ct(6, 16, balls())
	for i := range s.instances {
		s.instances[i].TransferSyntax = jpegXL
	}
	r := conclude(t, s, ctCard(), func(pixel.Tensor) (map[string]pixel.Tensor, error) {
		t.Error("the network was run on nothing")
		return nil, study.ErrInvalid
	}, cut(tiles, 2, 2))
	if r.AI != study.Failed || r.Reason.Code != study.ReasonTransferSyntax || r.Seen != 0 {
		t.Errorf("%s, %v", r.AI, r.Reason)
	}
}

// TestStoreErrorIsNoMiss: a store that does not answer says nothing of the
// patient, so there is no part at all.
func TestStoreErrorIsNoMiss(t *testing.T) {
	s := newShelf()
	ct, mg, sm := s.ct(6, 16, balls()), s.projection(1, 8, 8, nil, func(int, int) uint8 { return 0 }), s.slide(2, 2, func(int, int) uint8 { return 9 })
	s.broken = fmt.Errorf("the store is away: %w", study.ErrBusy)
	for _, q := range []scores.Question{
		{Card: ctCard(), Block: cut(ct, 1, 2)[0]},
		{Card: mgCard(), Block: study.Block{Kind: study.Images, Tiles: []study.Tile{mg}}},
		{Card: smCard(), Block: study.Block{Kind: study.Patches, Tiles: sm}},
	} {
		q.Session, q.Instances = network(bright), s.instances
		if _, err := scorer(s).Score(t.Context(), q); !errors.Is(err, study.ErrBusy) {
			t.Errorf("%s: %v, want busy", q.Card.ID, err)
		}
	}
}

func TestUnansweredNumbersAreMissed(t *testing.T) {
	s := newShelf()
	var tiles []study.Tile
	for n := range 5 {
		tiles = append(tiles, s.projection(n, 8, 8, nil, func(int, int) uint8 { return uint8(50 * n) }))
	}
	nan := func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		out, err := bright(in)
		if v := out["mean"].Data.([]float32); v[0] > 0.3 && v[0] < 0.5 {
			v[0] = float32(math.NaN())
		} else if v[0] > 0.7 {
			out["map"].Data.([]float32)[3] = float32(math.Inf(1))
		}
		return out, err
	}
	card := mgCard()
	card.Input.Batch = 1
	p := score(t, s, card, nan, study.Block{Kind: study.Images, Tiles: tiles})
	if len(p.Missed) != 2 || p.Missed[0].Tile != 2 || p.Missed[1].Tile != 4 || p.Missed[0].Reason.Code != study.ReasonInternal {
		t.Errorf("missed %+v", p.Missed)
	}
	if len(p.Scores) != 3 {
		t.Errorf("%d scores", len(p.Scores))
	}
	vol := s.ct(6, 16, balls())
	p = score(t, s, ctCard(), func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		out, err := bright(in)
		v := out["map"].Data.([]float32)
		v[len(v)/2] = float32(math.NaN())
		return out, err
	}, cut(vol, 1, 2)[0])
	if len(p.Missed) != 6 || len(p.Candidates) != 0 {
		t.Errorf("of a volume with NaN %d of 6 slices are missed", len(p.Missed))
	}
}

// TestGrayIsDarkToBright: what the network sees of one pixel.
func TestGrayIsDarkToBright(t *testing.T) {
	padding := 255
	for _, tt := range []struct {
		name   string
		change func(*study.Image)
		stored uint8
		want   float32
	}{
		{"bright", nil, 255, 1},
		{"dark", nil, 0, 0},
		{"inverted", func(i *study.Image) { i.Photometric = "MONOCHROME1" }, 0, 1},
		{"padding of an inverted image is dark", func(i *study.Image) { i.Photometric, i.Padding = "MONOCHROME1", &padding }, 255, 0},
		{"padding of an image that would show it bright is dark", func(i *study.Image) { i.Padding = &padding }, 255, 0},
		{"fewer stored bits", func(i *study.Image) { i.BitsStored, i.HighBit = 4, 3 }, 15, 1},
		{"signed", func(i *study.Image) { i.Signed = true }, 0x80, 0},
	} {
		s := newShelf()
		tile := s.projection(1, 4, 4, tt.change, func(int, int) uint8 { return tt.stored })
		p := score(t, s, mgCard(), bright, study.Block{Kind: study.Images, Tiles: []study.Tile{tile}})
		if len(p.Scores) != 1 || p.Scores[0].Values[0] != tt.want {
			t.Errorf("%s: the network sees %v, want %v (%v)", tt.name, p.Scores, tt.want, p.Missed)
		}
	}
}

func TestPaddingOfCTIsAir(t *testing.T) {
	s := newShelf()
	tiles := s.ct(1, 8, func(x, y, z int) int { return -1024 })
	zero := 0
	s.instances[0].Image.Padding = &zero
	card := ctCard()
	card.Output = append(card.Output, modelcard.Output{Name: "mean", Role: "scalar"})
	p := score(t, s, card, bright, study.Block{Kind: study.Volume, Series: "2.25.1.2", OriginMM: 100, StepMM: 1, Tiles: tiles})
	if got := p.Scores[0].Values[0]; got != -1000 {
		t.Errorf("padding becomes %v HU", got)
	}
}

func TestDamagedTileOfASlideIsMissedAlone(t *testing.T) {
	s := newShelf()
	tiles := s.slide(3, 2, func(x, y int) uint8 { return uint8(x) })
	f := s.frames["2.25.1.4.1"]
	f.Spans[4].Len = 100 // of the second row's middle frame
	p := score(t, s, smCard(), bright, study.Block{Kind: study.Patches, Series: "2.25.1.4", Tiles: tiles})
	if len(p.Missed) != 4 || len(p.Scores) != 20 || p.Missed[0].Reason.Code != study.ReasonDamaged {
		t.Errorf("%d missed, %d scored: %+v", len(p.Missed), len(p.Scores), p.Missed)
	}
	for _, m := range p.Missed {
		if x, y := tiles[m.Tile].X, tiles[m.Tile].Y; x < 32 || x >= 64 || y < 32 {
			t.Errorf("the patch at %d, %d was missed", x, y)
		}
	}
}

func TestPatchIsMadeAsTheCardAsks(t *testing.T) {
	s := newShelf()
	tiles := s.slide(2, 1, func(x, y int) uint8 { return uint8(2*x + y) })
	for _, tt := range []struct {
		kind, layout string
		at           func(c, y, x int) int
	}{
		{"uint8", "NHWC", func(c, y, x int) int { return (y*16+x)*3 + c }},
		{"uint8", "NCHW", func(c, y, x int) int { return (c*16+y)*16 + x }},
		{"float32", "NHWC", func(c, y, x int) int { return (y*16+x)*3 + c }},
		{"float32", "NCHW", func(c, y, x int) int { return (c*16+y)*16 + x }},
	} {
		card := smCard()
		card.Input.Type, card.Input.Layout, card.Input.Batch = tt.kind, tt.layout, 3
		seen := 0
		score(t, s, card, func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			v := values(in)
			for n := range int(in.Shape[0]) {
				tile := tiles[seen]
				seen++
				for i := range 16 * 16 {
					x, y := i%16, i/16
					g := uint8(2*(tile.X+x) + tile.Y + y)
					for c, want := range []uint8{g, g / 2, 255 - g} {
						if got := v[n*768+tt.at(c, y, x)]; got != float32(want) {
							t.Fatalf("%s %s: patch %d has %v at %d, %d, %d, want %d", tt.kind, tt.layout, seen-1, got, c, y, x, want)
						}
					}
				}
			}
			return bright(in)
		}, study.Block{Kind: study.Patches, Tiles: tiles})
		if seen != len(tiles) {
			t.Errorf("%d of %d patches were seen", seen, len(tiles))
		}
	}
}

func TestStopIsFeltBeforeTheNextBatch(t *testing.T) {
	s := newShelf()
	tiles := s.slide(4, 4, func(x, y int) uint8 { return uint8(x) })
	var runs atomic.Int32
	_, err := scorer(s).Score(t.Context(), scores.Question{
		Card: smCard(), Instances: s.instances, Block: study.Block{Kind: study.Patches, Tiles: tiles},
		Session: network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			runs.Add(1)
			return bright(in)
		}),
		Allowed: func() error {
			if runs.Load() == 3 {
				return fmt.Errorf("stopped: %w", study.ErrWithheld)
			}
			return nil
		},
	})
	if !errors.Is(err, study.ErrWithheld) || runs.Load() != 3 {
		t.Errorf("after %d runs: %v", runs.Load(), err)
	}
}

func TestEndedContextEndsTheBlock(t *testing.T) {
	s := newShelf()
	tiles := s.slide(4, 4, func(x, y int) uint8 { return uint8(x) })
	ctx, stop := context.WithCancel(t.Context())
	runs := 0
	_, err := scorer(s).Score(ctx, scores.Question{
		Card: smCard(), Instances: s.instances, Block: study.Block{Kind: study.Patches, Tiles: tiles},
		Session: network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			if runs++; runs == 2 {
				stop()
			}
			return bright(in)
		}),
	})
	if !errors.Is(err, context.Canceled) || runs != 2 {
		t.Errorf("after %d runs: %v", runs, err)
	}
}

// TestCardAndNetworkThatDoNotFitAreAnError: nothing is taken for an answer that
// is none.
func TestCardAndNetworkThatDoNotFitAreAnError(t *testing.T) {
	s := newShelf()
	tile := s.projection(1, 8, 8, nil, func(int, int) uint8 { return 9 })
	ct := s.ct(4, 8, balls())
	give := func(name string, shape ...int64) network {
		return func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			out, err := bright(in)
			t := pixel.Tensor{Shape: shape}
			t.Data = make([]float32, t.Len())
			out[name] = t
			return out, err
		}
	}
	images := study.Block{Kind: study.Images, Tiles: []study.Tile{tile}}
	for _, tt := range []struct {
		name string
		card modelcard.Card
		net  network
		b    study.Block
	}{
		{"an output is missing", mgCard(), thickless, images},
		{"an empty scalar", mgCard(), give("mean", 0), images},
		{"two numbers where one is meant", func() modelcard.Card { c := mgCard(); c.Output[0].Index = -1; return c }(), give("mean", 1, 2), images},
		{"a class that is not there", func() modelcard.Card { c := mgCard(); c.Output[0].Index = 2; return c }(), give("mean", 1, 2), images},
		{"a map for two images", mgCard(), give("map", 2, 1, 8, 8), images},
		{"a map of a broken fraction", mgCard(), give("map", 1, 1, 5, 8), images},
		{"a map of other planes", ctCard(), give("map", 1, 1, 4, 8, 8), cut(ct, 1, 2)[0]},
		{"a block of another kind", mgCard(), bright, cut(ct, 1, 2)[0]},
		{"a tile of no instance", mgCard(), bright, study.Block{Kind: study.Images, Tiles: []study.Tile{{Instance: "2.25.9", W: 8, H: 8}}}},
	} {
		_, err := scorer(s).Score(t.Context(), scores.Question{Card: tt.card, Session: tt.net, Instances: s.instances, Block: tt.b})
		if !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v, want invalid", tt.name, err)
		}
	}
}

func thickless(pixel.Tensor) (map[string]pixel.Tensor, error) { return map[string]pixel.Tensor{}, nil }

func TestActivationsAndClasses(t *testing.T) {
	s := newShelf()
	tile := s.projection(1, 4, 4, nil, func(int, int) uint8 { return 9 })
	logits := func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		out, err := bright(in)
		out["mean"] = pixel.Tensor{Shape: []int64{1, 3}, Data: []float32{1000, 1001, 999}}
		return out, err
	}
	sum := 1 + math.Exp(-1) + math.Exp(-2)
	for _, tt := range []struct {
		index      int
		activation string
		want       float64
	}{{0, "", 1000}, {1, "none", 1001}, {0, "softmax", math.Exp(-1) / sum}, {1, "softmax", 1 / sum}, {2, "sigmoid", 1}} {
		card := mgCard()
		card.Output[0].Index, card.Output[0].Activation = tt.index, tt.activation
		p := score(t, s, card, logits, study.Block{Kind: study.Images, Tiles: []study.Tile{tile}})
		if got := float64(p.Scores[0].Values[0]); math.Abs(got-tt.want) > 1e-5 {
			t.Errorf("class %d, %s: %v, want %v", tt.index, tt.activation, got, tt.want)
		}
	}
}

// A turnstile counts who passes.
type turnstile struct{ runs []string }

func (g *turnstile) Run(_ context.Context, turn study.Turn, f func(int) error) error {
	g.runs = append(g.runs, turn.Lane.String()+" "+turn.What)
	return f(1)
}

// TestEveryRunPassesTheGate, for it is the gate that keeps models from running
// over each other and watches for a run that hangs.
func TestEveryRunPassesTheGate(t *testing.T) {
	s := newShelf()
	tiles := s.slide(4, 2, func(x, y int) uint8 { return uint8(x) })
	g := &turnstile{}
	sc := scorer(s)
	sc.Gate = g
	card := smCard()
	card.Input.Batch = 5
	if _, err := sc.Score(t.Context(), scores.Question{Card: card, Session: network(bright), Instances: s.instances,
		Lane: study.Urgent, Block: study.Block{Kind: study.Patches, Tiles: tiles}}); err != nil {
		t.Fatal(err)
	}
	if len(g.runs) != 7 || g.runs[0] != "urgent sm@1" { // 32 tiles in fives
		t.Errorf("runs %v", g.runs)
	}
}
