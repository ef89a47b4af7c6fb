package place_test

import (
	"math"
	"reflect"
	"testing"

	"varde/inference/place"
	"varde/inference/regions"
	"varde/models/modelcard"
	"varde/study"
)

// oblique is a slice that is turned by 30° about the x axis, of pixels that are
// half a millimeter wide and one high.
func oblique() *study.Instance {
	sin, cos := math.Sincos(math.Pi / 6)
	return &study.Instance{UID: "2.25.1", Series: "2.25.2", Image: &study.Image{Rows: 64, Columns: 64, Frames: 1, SpacingMM: [2]float64{1, 0.5},
		Position: &[3]float64{10, 20, 30}, Orientation: &[6]float64{1, 0, 0, 0, cos, sin}}}
}

func near(a, b [3]float64) bool {
	return math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]) < 1e-9
}

// TestPixelHasItsPlaceInThePatient: on an oblique slice, between slices along the
// normal, and nowhere when the image has no place.
func TestPixelHasItsPlaceInThePatient(t *testing.T) {
	in := oblique()
	s := place.NewSite(3, study.Tile{Instance: in.UID, W: 64, H: 64}, in)
	sin, cos := math.Sincos(math.Pi / 6)
	if s.Index != 3 || s.Spacing != [2]float64{0.5, 1} || math.Abs(s.At-(30*cos-20*sin)) > 1e-9 {
		t.Errorf("%+v", s)
	}
	for _, tt := range []struct {
		x, y, off float64
		want      [3]float64
	}{
		{0, 0, 0, [3]float64{10, 20, 30}},
		{4, 0, 0, [3]float64{12, 20, 30}},
		{0, 8, 0, [3]float64{10, 20 + 8*cos, 30 + 8*sin}},
		{4, 8, 2, [3]float64{12, 20 + 8*cos - 2*sin, 30 + 8*sin + 2*cos}},
	} {
		if got := s.Patient(tt.x, tt.y, s.At+tt.off); got == nil || !near(*got, tt.want) {
			t.Errorf("pixel %g, %g, %g mm off: %v, want %v", tt.x, tt.y, tt.off, got, tt.want)
		}
	}
	in.Image.Position = nil
	if got := place.NewSite(0, study.Tile{}, in).Patient(0, 0, 0); got != nil {
		t.Errorf("an image without a place: %v", got)
	}
	in = oblique()
	in.Image.SpacingMM = [2]float64{}
	s = place.NewSite(0, study.Tile{}, in)
	if got := s.Patient(0, 0, 0); got != nil || s.Spacing != [2]float64{1, 1} {
		t.Errorf("an image without a spacing: %v, %v", got, s.Spacing)
	}
}

// TestPieceComesBackFromItsSeam: what is kept of a piece at the edge of a block is
// enough to put it together with the next.
func TestPieceComesBackFromItsSeam(t *testing.T) {
	p := regions.Piece{Voxels: 6, Sum: [3]int64{12, 18, 24}, Value: 3_000_000, Peak: 0.75}
	in := oblique()
	g, err := place.NewGrain(place.NewSite(0, study.Tile{W: 64, H: 64}, in), 64, 64, regions.Field{Width: 32, Height: 32, Planes: 8})
	if err != nil || g.Scale != [2]float64{2, 2} || g.MM != [2]float64{1, 2} || g.Voxel != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	g.Origin, g.Step = 5, 1.5
	site := place.NewSite(7, study.Tile{Instance: in.UID, W: 64, H: 64}, in)
	c := place.Candidate(p, g, []place.Site{site})
	if c.Tile != 7 || c.X != 4.5 || c.Y != 6.5 || c.ZMM != 5+1.5*4 || c.Volume != 12 || c.Mean != 0.5 || c.Patient == nil {
		t.Errorf("%+v", c)
	}
	c.Seam = place.Seam(p, g)
	if got := place.Piece(c); !reflect.DeepEqual(got, p) {
		t.Errorf("%+v came back, %+v was kept", got, p)
	}
}

// TestOnlyTheStrongestPiecesAreKept when there are more than a block may list, in
// the order in which they lay.
func TestOnlyTheStrongestPiecesAreKept(t *testing.T) {
	all := make([]regions.Piece, regions.MaxCandidates+10)
	for i := range all {
		all[i] = regions.Piece{Voxels: 1, Peak: float32(i % 100), Sum: [3]int64{int64(i), 0, 0}}
	}
	got := place.Strongest(all)
	if len(got) != regions.MaxCandidates {
		t.Fatalf("%d", len(got))
	}
	kept, weakest := map[int64]bool{}, float32(math.Inf(1))
	for i, p := range got {
		if i > 0 && p.Sum[0] <= got[i-1].Sum[0] {
			t.Fatalf("piece %d comes after %d", p.Sum[0], got[i-1].Sum[0])
		}
		kept[p.Sum[0]], weakest = true, min(weakest, p.Peak)
	}
	for _, p := range all {
		if !kept[p.Sum[0]] && p.Peak > weakest {
			t.Errorf("a piece of %g is left out, and one of %g is kept", p.Peak, weakest)
		}
	}
}

// TestCandidateOfTheSizeThatIsLookedFor: no upper end means any.
func TestCandidateOfTheSizeThatIsLookedFor(t *testing.T) {
	for _, tt := range []struct {
		find          modelcard.Find
		width, volume float64
		want          bool
	}{
		{modelcard.Find{}, 0, 0, true},
		{modelcard.Find{MinMM: 2}, 2, 1, true},
		{modelcard.Find{MinMM: 2}, 1.9, 1, false},
		{modelcard.Find{MaxMM: 5}, 5, 1, true},
		{modelcard.Find{MaxMM: 5}, 5.1, 1, false},
		{modelcard.Find{MinVolume: 3}, 9, 2.9, false},
	} {
		if got := place.Fits(tt.find, study.Candidate{WidthMM: tt.width, Volume: tt.volume}); got != tt.want {
			t.Errorf("%+v of %g mm and %g: %v", tt.find, tt.width, tt.volume, got)
		}
	}
}
