package scores

import (
	"testing"

	"varde/inference/outputs"
	"varde/internal/mask"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// TestTooManyProbabilitiesAreNotKeptAndSaidToBe: all or none of a block, for a map
// of a part of what was drawn would pass for the whole.
func TestTooManyProbabilitiesAreNotKeptAndSaidToBe(t *testing.T) {
	card := modelcard.Card{Output: []modelcard.Output{{Name: "map", Role: modelcard.RoleMap, Activation: "sigmoid", Keep: true}}}
	out, err := outputs.Of(card, map[string]pixel.Tensor{"map": {Shape: []int64{1, 1, 2, 3}, Data: make([]float32, 6)}})
	if err != nil {
		t.Fatal(err)
	}
	s := seeing{grid: study.MaskGrid{Planes: 1}, of: 1}
	lay := func(*study.MaskGrid) error { return nil }
	w := &work{Question: Question{Card: card}, kept: mask.MostChances - 12}
	for n := 1; n <= 4; n++ {
		ok, err := w.keepChances(s, out, lay)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		c := w.part.Chances
		if want := n > 2; c.TooMany != want || len(c.Grids) != map[bool]int{false: n, true: 0}[want] {
			t.Errorf("after %d images: %d grids, too many: %v", n, len(c.Grids), c.TooMany)
		}
	}
	// The place of one that gives no number is not taken.
	w.forget(0)
	if w.part.Chances == nil || !w.part.Chances.TooMany {
		t.Errorf("%+v: it is no longer said", w.part.Chances)
	}
}
