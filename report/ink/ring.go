package ink

import (
	"image"
	"image/color"
	"math"
)

// A Stroke is how a ring is drawn.
type Stroke struct {
	Color color.RGBA
	Halo  color.RGBA // beside it on both sides, so that it is seen on any ground
	Width float64    // pixels, without the halo
}

// haloShare is how wide the halo is on each side, of the stroke's width.
const haloShare = 0.6

// Circle gives the corners of a circle, x and y in turn, closed.
func Circle(x, y, radius float64) []float64 {
	n := min(max(24, int(radius)), 720)
	out := make([]float64, 0, 2*n+2)
	for k := range n {
		s, c := math.Sincos(2 * math.Pi * float64(k) / float64(n))
		out = append(out, x+radius*c, y+radius*s)
	}
	return append(out, out[0], out[1])
}

// Ring draws a line through points, x and y in turn, the outer corner of the
// picture's first pixel being (0, 0). What lies outside of the picture is not
// drawn.
func Ring(dst *image.RGBA, s Stroke, points []float64) {
	halo := s.Width/2 + haloShare*s.Width
	area := bounds(points, halo+1).Intersect(dst.Rect)
	if area.Empty() || len(points) < 4 {
		return
	}
	// How far each pixel near the line is from it; the rest stays far.
	far := float32(halo + 2)
	near := make([]float32, area.Dx()*area.Dy())
	for i := range near {
		near[i] = far
	}
	for k := 0; k+3 < len(points); k += 2 {
		segment(near, area, points[k:k+4], halo+1)
	}
	for i, d := range near {
		if d >= far {
			continue
		}
		x, y := area.Min.X+i%area.Dx(), area.Min.Y+i/area.Dx()
		at := dst.Pix[dst.PixOffset(x, y):]
		blend(at, s.Halo, cover(halo-float64(d)))
		blend(at, s.Color, cover(s.Width/2-float64(d)))
	}
}

// segment notes how far pixels are from the line between two points.
func segment(near []float32, area image.Rectangle, p []float64, reach float64) {
	box := bounds(p, reach).Intersect(area)
	dx, dy := p[2]-p[0], p[3]-p[1]
	long := dx*dx + dy*dy
	for y := box.Min.Y; y < box.Max.Y; y++ {
		row := near[(y-area.Min.Y)*area.Dx():]
		for x := box.Min.X; x < box.Max.X; x++ {
			px, py := float64(x)+0.5-p[0], float64(y)+0.5-p[1]
			t := 0.0
			if long > 0 {
				t = min(1, max(0, (px*dx+py*dy)/long))
			}
			if d := float32(math.Hypot(px-t*dx, py-t*dy)); d < row[x-area.Min.X] {
				row[x-area.Min.X] = d
			}
		}
	}
}

// bounds is the box of whole pixels around points, wider by so much.
func bounds(points []float64, by float64) image.Rectangle {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for k, v := range points {
		if math.IsNaN(v) {
			return image.Rectangle{}
		}
		low[k%2], high[k%2] = min(low[k%2], v), max(high[k%2], v)
	}
	whole := func(v float64) int { return int(min(1<<20, max(-1<<20, v))) }
	return image.Rect(whole(math.Floor(low[0]-by)), whole(math.Floor(low[1]-by)), whole(math.Ceil(high[0]+by)), whole(math.Ceil(high[1]+by)))
}

// cover is how much of a pixel is inked whose middle lies so far within the edge.
func cover(within float64) float64 { return min(1, max(0, within+0.5)) }

// blend lays a color over a pixel.
func blend(pixel []uint8, c color.RGBA, share float64) {
	share *= float64(c.A) / 255
	if share <= 0 {
		return
	}
	for k, v := range [3]uint8{c.R, c.G, c.B} {
		pixel[k] = uint8(float64(pixel[k])*(1-share) + float64(v)*share + 0.5)
	}
	pixel[3] = 255
}
