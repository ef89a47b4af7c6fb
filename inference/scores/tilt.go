package scores

import (
	"fmt"
	"math"

	"varde/inference/place"
	"varde/models/modelcard"
	"varde/study"
)

const (
	// bodyHU is where fat begins: what is denser must not be moved out of a frame
	// without a word.
	bodyHU = -300
	// mostMoved is the share of a slice's body that may be.
	mostMoved = 0.005
)

// moved brings a slice of a tilted stack to where the others lie, in between
// pixels by a straight line. A slice whose body would be moved out of the frame is
// missed: it gives no values, and the reason.
func (w *work) moved(at place.Site, v []float32) ([]float32, study.Reason) {
	if at.Off == [2]float64{} {
		return v, study.Reason{}
	}
	width, height := size(w.Card.Input, at.In.Image, at.Tile.W, at.Tile.H)
	dx, dy := at.Off[0]*float64(width)/float64(at.Tile.W), at.Off[1]*float64(height)/float64(at.Tile.H)
	if lost := w.lost(v, width, height, dx, dy); lost > mostMoved {
		return nil, study.Reason{Code: study.ReasonCropped, Detail: fmt.Sprintf("%.1f %%", 100*lost)}
	}
	nothing := w.nothing()
	get := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= width || y >= height {
			return nothing
		}
		return v[y*width+x]
	}
	x0, y0 := math.Floor(-dx), math.Floor(-dy)
	fx, fy := float32(-dx-x0), float32(-dy-y0)
	out := make([]float32, len(v))
	for y := range height {
		for x := range width {
			i, k := x+int(x0), y+int(y0)
			a, b := get(i, k), get(i, k+1)
			a += fx * (get(i+1, k) - a)
			b += fx * (get(i+1, k+1) - b)
			out[y*width+x] = a + fy*(b-a)
		}
	}
	return out, study.Reason{}
}

// lost is the share of a slice's body that a move puts beyond the frame.
func (w *work) lost(v []float32, width, height int, dx, dy float64) float64 {
	least := float32(0.05)
	if w.Card.Input.Values == modelcard.ValuesHU {
		least = bodyHU
	}
	body, out := 0, 0
	for i, x := range v {
		if x < least {
			continue
		}
		body++
		to, down := float64(i%width)+dx, float64(i/width)+dy
		if to < 0 || down < 0 || to > float64(width-1) || down > float64(height-1) {
			out++
		}
	}
	return float64(out) / float64(max(1, body))
}
