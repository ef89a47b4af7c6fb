package outputs_test

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"varde/inference/outputs"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

func tensor(shape []int64, v ...float32) pixel.Tensor { return pixel.Tensor{Shape: shape, Data: v} }

// of gives one output of a network of that card.
func of(t *testing.T, o modelcard.Output, shape []int64, v ...float32) outputs.Output {
	t.Helper()
	o.Name = "out"
	all, err := outputs.Of(modelcard.Card{Output: []modelcard.Output{o}}, map[string]pixel.Tensor{"out": tensor(shape, v...)})
	if err != nil {
		t.Fatal(err)
	}
	return all["out"]
}

// TestChancesAreStepsOfAProbability, at the ends of what a float can say as in
// the middle.
func TestChancesAreStepsOfAProbability(t *testing.T) {
	top := float32(math.MaxFloat32)
	for _, tt := range []struct {
		name, activation string
		values           []float32 // two classes of three voxels
		want             [][]uint8
	}{
		{"softmax", "softmax", []float32{0, 1, -1, 0, 0, 0}, [][]uint8{{128, 186, 69}, {128, 69, 186}}},
		{"softmax far out", "softmax", []float32{1e4, -1e4, 88, 0, 0, 88}, [][]uint8{{255, 0, 128}, {0, 255, 128}}},
		{"sigmoid", "sigmoid", []float32{0, 1, -1, top, -top, 5}, [][]uint8{{128, 186, 69}, {255, 0, 253}}},
		{"probabilities", "", []float32{0, 0.5, 1, -0.1, 1.1, 0.25}, [][]uint8{{0, 128, 255}, {0, 255, 64}}},
	} {
		o := of(t, modelcard.Output{Role: modelcard.RoleSegments, Activation: tt.activation}, []int64{1, 2, 1, 3}, tt.values...)
		values, classes, rows, columns, err := o.Classes(0, 1, 0)
		if err != nil || classes != 2 || rows != 1 || columns != 3 {
			t.Fatalf("%s: %d classes of %d×%d, %v", tt.name, classes, columns, rows, err)
		}
		if got := o.Chances(values, classes, []int{0, 1}); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := o.Chances(values, classes, []int{1}); !reflect.DeepEqual(got, tt.want[1:]) {
			t.Errorf("%s: %v of the second class alone, want %v", tt.name, got, tt.want[1:])
		}
	}
}

// TestShapesOfAnotherNetworkAreRefused: what a network gives must be of the form
// that its card says.
func TestShapesOfAnotherNetworkAreRefused(t *testing.T) {
	six := []float32{1, 2, 3, 4, 5, 6}
	for _, tt := range []struct {
		name  string
		card  modelcard.Output
		shape []int64
		read  func(outputs.Output) error
		ok    bool
	}{
		{"a map of two tiles", modelcard.Output{Index: -1}, []int64{2, 1, 1, 3}, func(o outputs.Output) error { _, err := o.Tile(1, 2); return err }, true},
		{"a map without channels", modelcard.Output{}, []int64{2, 1, 3}, func(o outputs.Output) error { _, err := o.Tile(1, 2); return err }, true},
		{"a map of another number of tiles", modelcard.Output{}, []int64{2, 1, 1, 3}, func(o outputs.Output) error { _, err := o.Tile(0, 3); return err }, false},
		{"a channel that is not there", modelcard.Output{Index: 2}, []int64{1, 2, 1, 3}, func(o outputs.Output) error { _, err := o.Tile(0, 1); return err }, false},
		{"several channels and none named", modelcard.Output{Index: -1}, []int64{1, 2, 1, 3}, func(o outputs.Output) error { _, err := o.Tile(0, 1); return err }, false},
		{"a volume", modelcard.Output{}, []int64{1, 1, 2, 1, 3}, func(o outputs.Output) error { _, err := o.Volume(2); return err }, true},
		{"a volume of other planes", modelcard.Output{}, []int64{1, 1, 2, 1, 3}, func(o outputs.Output) error { _, err := o.Volume(3); return err }, false},
		{"classes of a volume", modelcard.Output{}, []int64{1, 3, 2, 1, 1}, func(o outputs.Output) error { _, _, _, _, err := o.Classes(0, 1, 2); return err }, true},
		{"classes of other planes", modelcard.Output{}, []int64{1, 3, 2, 1, 1}, func(o outputs.Output) error { _, _, _, _, err := o.Classes(0, 1, 3); return err }, false},
	} {
		if err := tt.read(of(t, tt.card, tt.shape, six...)); (err == nil) != tt.ok || err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	card := modelcard.Card{Output: []modelcard.Output{{Name: "p", Role: modelcard.RoleScalar, Index: -1}}}
	if _, err := outputs.Of(card, map[string]pixel.Tensor{"q": tensor([]int64{1}, 1)}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("an output that is missing: %v", err)
	}
	if _, err := outputs.Of(card, map[string]pixel.Tensor{"p": tensor([]int64{2}, 1)}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("fewer numbers than the shape says: %v", err)
	}
	if _, err := outputs.Of(card, map[string]pixel.Tensor{"p": {Shape: []int64{1}, Data: []string{"x"}}}); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("a tensor of texts: %v", err)
	}
}

// TestScalarsAreReadTileByTile, whatever kind of number the network gives.
func TestScalarsAreReadTileByTile(t *testing.T) {
	card := modelcard.Card{Output: []modelcard.Output{{Name: "a", Role: modelcard.RoleScalar, Index: 1}, {Name: "b", Role: modelcard.RoleScalar, Index: -1}}}
	out, err := outputs.Of(card, map[string]pixel.Tensor{"a": tensor([]int64{2, 2}, 1, 2, 3, 4), "b": {Shape: []int64{2, 1}, Data: []int64{7, 8}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := outputs.Scalars(card, out, 2)
	if want := [][]float32{{2, 7}, {4, 8}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if _, err := outputs.Scalars(card, out, 3); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("as of three tiles: %v", err)
	}
}
