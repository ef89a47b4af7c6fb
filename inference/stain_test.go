package inference_test

import (
	"bytes"
	"errors"
	"testing"

	"varde/inference/scores"
	"varde/internal/pixel"
	"varde/study"
)

// measured is a stain as a plan holds it.
func measured() *study.Stain {
	return &study.Stain{Method: study.StainMacenko, Vectors: [2][3]float64{{0.65, 0.70, 0.29}, {0.07, 0.99, 0.11}}, Strong: [2]float64{1.5, 0.8}}
}

// TestNetworkSeesTheNormalizedStain: every patch is changed by what the block
// says of the slide, whatever else the block holds.
func TestNetworkSeesTheNormalizedStain(t *testing.T) {
	s := newShelf()
	tiles := s.slide(2, 2, func(x, y int) uint8 { return uint8(90 + x + y) })
	plain, changed := smCard(), smCard()
	changed.Input.Stain = study.StainMacenko
	see := func(card bool, b study.Block) (all []byte) {
		c := plain
		if card {
			c = changed
		}
		score(t, s, c, func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			all = append(all, in.Data.([]uint8)...)
			return bright(in)
		}, b)
		return all
	}
	want := see(false, study.Block{Kind: study.Patches, Tiles: tiles})
	stainer, err := pixel.NewStainer(*measured())
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(want)
	stainer.Apply(want)
	if bytes.Equal(before, want) {
		t.Fatal("the stain changes nothing")
	}
	whole := see(true, study.Block{Kind: study.Patches, Tiles: tiles, Stain: measured()})
	if !bytes.Equal(whole, want) {
		t.Error("the network saw other colors")
	}
	half := len(tiles) / 2
	parts := see(true, study.Block{Kind: study.Patches, Tiles: tiles[:half], Stain: measured()})
	parts = append(parts, see(true, study.Block{Kind: study.Patches, Tiles: tiles[half:], Stain: measured()})...)
	if !bytes.Equal(parts, want) {
		t.Error("two blocks saw other colors than one")
	}
}

// TestStainAndCardMustAgree: nothing is normalized in silence, and nothing is left
// as it is in silence.
func TestStainAndCardMustAgree(t *testing.T) {
	s := newShelf()
	tiles := s.slide(1, 1, func(x, y int) uint8 { return uint8(x) })
	broken := measured()
	broken.Strong[0] = 0
	for name, tt := range map[string]struct {
		asked string
		stain *study.Stain
	}{
		"asked and not measured": {study.StainMacenko, nil},
		"measured and not asked": {"", measured()},
		"measured otherwise":     {study.StainReinhard, measured()},
		"no measure":             {study.StainMacenko, broken},
	} {
		card := smCard()
		card.Input.Stain = tt.asked
		_, err := scorer(s).Score(t.Context(), scores.Question{Card: card, Instances: s.instances,
			Session: network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) { return bright(in) }),
			Block:   study.Block{Kind: study.Patches, Tiles: tiles, Stain: tt.stain}})
		if !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
