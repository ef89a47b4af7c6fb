package mask_test

import (
	"reflect"
	"testing"

	"varde/internal/mask"
	"varde/study"
)

// TestMasksAreKeptExactly: what is written is read back, and what is damaged is
// refused.
func TestMasksAreKeptExactly(t *testing.T) {
	m := study.Masks{Grids: []study.MaskGrid{{Tile: 3, Columns: 40, Rows: 30, First: 5, Planes: 9, StepMM: 1.5, SpacingMM: [2]float64{0.5, 0.6}, Scale: [2]float64{1, 1},
		Position: &[3]float64{1, 2, 3}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}, Runs: [][]int32{{5, 2, 3, 9, 5, 2, 20, 39, 13, 29, 0, 0}, nil, {6, 0, 0, 39}}}}}
	b, err := mask.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mask.Decode(b)
	if err != nil || !reflect.DeepEqual(got, m.Grids) {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range b {
		if _, err := mask.Decode(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(b))
		}
	}
	m.Grids[0].Planes = 8 // the last run lies outside
	if b, err = mask.Encode(m); err != nil {
		t.Fatal(err)
	}
	if _, err := mask.Decode(b); err == nil {
		t.Error("a run outside of its grid is taken")
	}
}

func TestBodiesAreWhatIsConnected(t *testing.T) {
	// Two voxels that touch in a corner from plane to plane, and one apart.
	got := mask.Bodies([]int32{7, 3, 9, 9, 1, 1, 1, 1, 2, 2, 2, 4})
	if want := [][]int32{{1, 1, 1, 1, 2, 2, 2, 4}, {7, 3, 9, 9}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}
