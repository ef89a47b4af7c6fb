package dicomweb

import (
	"math"
	"slices"

	"varde/internal/dicom"
)

const (
	// maxGraphicPoints bounds one graphic object: a line on a picture has no use
	// for more.
	maxGraphicPoints = 10_000
	// maxGraphics bounds the graphic objects of one picture.
	maxGraphics = 2_000
	// farthest is how far outside of a picture a point is taken to be.
	farthest = 1e7
	// arcSteps is into how many lines a circle or an ellipse is taken apart.
	arcSteps = 180
	// curveSteps is into how many lines each piece of a curve is taken apart.
	curveSteps = 12
)

// A graphic is one graphic object, with the brightness of its layer.
type graphic struct {
	*dicom.Dataset
	gray byte
}

// graphic draws one graphic object, PS3.3 §C.10.5.1.2. to takes its coordinates
// to those of the picture.
func (c canvas) graphic(g graphic, to func(x, y float64) (float64, float64)) {
	gray := g.gray
	var points [][2]float64
	for v := g.Floats(dicom.GraphicData); len(v) >= 2 && len(points) < maxGraphicPoints; v = v[2:] {
		x, y := to(v[0], v[1])
		points = append(points, [2]float64{near(x), near(y)})
	}
	if len(points) == 0 {
		return
	}
	switch g.Text(dicom.GraphicType) {
	case "POINT":
		for _, p := range points {
			c.line([2]float64{p[0] - 2, p[1]}, [2]float64{p[0] + 2, p[1]}, gray)
			c.line([2]float64{p[0], p[1] - 2}, [2]float64{p[0], p[1] + 2}, gray)
		}
		return
	case "CIRCLE":
		if len(points) != 2 {
			return
		}
		r := math.Hypot(points[1][0]-points[0][0], points[1][1]-points[0][1])
		points = arc(points[0], [2]float64{r, 0}, [2]float64{0, r})
	case "ELLIPSE": // the ends of its major axis, then of its minor one
		if len(points) != 4 {
			return
		}
		half := func(a, b [2]float64) [2]float64 { return [2]float64{(b[0] - a[0]) / 2, (b[1] - a[1]) / 2} }
		middle := [2]float64{(points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2}
		points = arc(middle, half(points[0], points[1]), half(points[2], points[3]))
	case "INTERPOLATED":
		points = curve(points)
	case "POLYLINE":
	default:
		return
	}
	if g.Text(dicom.GraphicFilled) == "Y" && len(points) > 3 && points[0] == points[len(points)-1] {
		c.fill(points, gray)
	}
	for i := 1; i < len(points); i++ {
		c.line(points[i-1], points[i], gray)
	}
}

// near keeps a coordinate where it can be reckoned with: far outside of any
// picture it does not matter how far.
func near(v float64) float64 { return min(max(v, -farthest), farthest) }

// arc goes once around the middle, by two half axes.
func arc(middle, a, b [2]float64) (points [][2]float64) {
	for i := range arcSteps + 1 {
		sin, cos := math.Sincos(2 * math.Pi * float64(i%arcSteps) / arcSteps)
		points = append(points, [2]float64{middle[0] + cos*a[0] + sin*b[0], middle[1] + cos*a[1] + sin*b[1]})
	}
	return points
}

// curve is a Catmull-Rom spline through the points.
func curve(p [][2]float64) (out [][2]float64) {
	if len(p) < 3 {
		return p
	}
	at := func(i int) [2]float64 { return p[min(max(i, 0), len(p)-1)] }
	for i := range len(p) - 1 {
		a, b, c, d := at(i-1), at(i), at(i+1), at(i+2)
		for s := range curveSteps {
			t := float64(s) / curveSteps
			var q [2]float64
			for k := range q {
				q[k] = 0.5 * (2*b[k] + (c[k]-a[k])*t + (2*a[k]-5*b[k]+4*c[k]-d[k])*t*t + (3*b[k]-a[k]-3*c[k]+d[k])*t*t*t)
			}
			out = append(out, q)
		}
	}
	return append(out, p[len(p)-1])
}

// line draws one pixel wide, what lies on the picture of it.
func (c canvas) line(a, b [2]float64, gray byte) {
	// Cut to the picture first, so that a far end costs nothing.
	from, to := 0.0, 1.0
	for k, side := range []float64{float64(c.w), float64(c.h)} {
		d := b[k] - a[k]
		if d == 0 {
			if a[k] < 0 || a[k] >= side {
				return
			}
			continue
		}
		t0, t1 := -a[k]/d, (side-a[k])/d
		from, to = max(from, min(t0, t1)), min(to, max(t0, t1))
	}
	if !(from <= to) {
		return
	}
	dx, dy := b[0]-a[0], b[1]-a[1]
	steps := max(1, int(math.Ceil(max(math.Abs(dx), math.Abs(dy))*(to-from))))
	for i := range steps + 1 {
		t := from + (to-from)*float64(i)/float64(steps)
		x, y := int(math.Floor(a[0]+t*dx)), int(math.Floor(a[1]+t*dy))
		if x >= 0 && y >= 0 && x < c.w && y < c.h {
			c.v[y*c.w+x] = gray
		}
	}
}

// fill covers what lies within a ring.
func (c canvas) fill(ring [][2]float64, gray byte) {
	for y := range c.h {
		cuts := crossings(ring, float64(y)+0.5)
		for i := 0; i+1 < len(cuts); i += 2 {
			from, to := max(near(cuts[i])-0.5, 0), min(near(cuts[i+1])-0.5, float64(c.w))
			for x := int(math.Ceil(from)); float64(x) < to; x++ {
				c.v[y*c.w+x] = gray
			}
		}
	}
}

// crossings gives where a ring crosses a row, from left to right: between the
// first and the second lies its inside, and so on.
func crossings(ring [][2]float64, y float64) (cuts []float64) {
	for i, j := 0, len(ring)-1; i < len(ring); j, i = i, i+1 {
		a, b := ring[i], ring[j]
		if (a[1] > y) != (b[1] > y) {
			cuts = append(cuts, (b[0]-a[0])*(y-a[1])/(b[1]-a[1])+a[0])
		}
	}
	slices.Sort(cuts)
	return cuts
}
