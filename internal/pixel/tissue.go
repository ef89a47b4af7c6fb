package pixel

import (
	"fmt"
	"image"
	"math"

	"varde/study"
)

const (
	// TissueMPP is the resolution at which tissue is looked for, in µm per pixel:
	// fine enough for a biopsy's edge, coarse enough for a second a slide.
	TissueMPP = 8.0
	// MostTissue is the share of a slide beyond which a mask is not believed and
	// the slide needs review, as one without any tissue does.
	MostTissue = 0.95

	// Otsu's threshold of the saturation is held between these: without a floor
	// it falls into the noise of an empty slide, without a ceiling it loses pale
	// tissue beside dark.
	lowSaturation, highSaturation = 12, 25
	medianReach                   = 3 // of a 7×7 window
	closingReach                  = 3
	smallestObjectUM              = 200.0 // side of a square of that area, µm
	largestHoleUM                 = 190.0
)

// A Mask says where on a slide there is tissue.
type Mask struct {
	W, H      int
	MPP       [2]float64 // µm per pixel of the mask, x and y
	Threshold int        // of the saturation, 0–255, that was used
	on        []bool
	sums      []uint32 // integral image, (W+1)·(H+1)
}

// At reports whether there is tissue at a pixel of the mask.
func (m *Mask) At(x, y int) bool {
	return x >= 0 && y >= 0 && x < m.W && y < m.H && m.on[y*m.W+x]
}

// Share is the part of the slide that is tissue, 0 to 1.
func (m *Mask) Share() float64 { return float64(m.sums[len(m.sums)-1]) / float64(m.W*m.H) }

// AreaMM2 is the area of the tissue in mm².
func (m *Mask) AreaMM2() float64 {
	return float64(m.sums[len(m.sums)-1]) * m.MPP[0] * m.MPP[1] / 1e6
}

// Fraction is the part of a rectangle that is tissue, 0 to 1. The rectangle is
// given in µm from the slide's upper left corner; what lies outside the slide
// counts as empty.
func (m *Mask) Fraction(x, y, w, h float64) float64 {
	if !(w > 0) || !(h > 0) {
		return 0
	}
	x0, y0 := x/m.MPP[0], y/m.MPP[1]
	x1, y1 := (x+w)/m.MPP[0], (y+h)/m.MPP[1]
	sum := m.sum(x1, y1) - m.sum(x0, y1) - m.sum(x1, y0) + m.sum(x0, y0)
	return min(max(sum/((x1-x0)*(y1-y0)), 0), 1)
}

// sum is the tissue above and left of a point, fractions of pixels included.
func (m *Mask) sum(x, y float64) float64 {
	x, y = min(max(x, 0), float64(m.W)), min(max(y, 0), float64(m.H))
	ix, iy := min(int(x), m.W-1), min(int(y), m.H-1)
	fx, fy := x-float64(ix), y-float64(iy)
	s := m.sums[iy*(m.W+1)+ix:]
	t := s[m.W+1:]
	top := float64(s[0]) + fx*(float64(s[1])-float64(s[0]))
	return top + fy*(float64(t[0])+fx*(float64(t[1])-float64(t[0]))-top)
}

// Image gives the mask as a picture, tissue white.
func (m *Mask) Image() *image.Gray {
	g := image.NewGray(image.Rect(0, 0, m.W, m.H))
	for i, on := range m.on {
		if on {
			g.Pix[i] = 255
		}
	}
	return g
}

// Tissue finds the tissue in a picture of a slide, interleaved RGB of w×h pixels
// of the given size in µm. It looks at the saturation, smoothed by a median,
// above a clamped Otsu threshold; pen and black are no tissue. Small gaps are
// closed, small objects dropped, small holes filled.
func Tissue(rgb []byte, w, h int, mpp [2]float64) (*Mask, error) {
	if w <= 0 || h <= 0 || len(rgb) != 3*w*h || !(mpp[0] > 0) || !(mpp[1] > 0) || math.IsInf(mpp[0]*mpp[1], 0) {
		return nil, fmt.Errorf("tissue in %d bytes of %d×%d pixels of %g×%g µm: %w", len(rgb), w, h, mpp[0], mpp[1], study.ErrInvalid)
	}
	s := median(saturation(rgb), w, h)
	m := &Mask{W: w, H: h, MPP: mpp, on: make([]bool, w*h)}
	m.Threshold = min(max(otsu(s), lowSaturation), highSaturation)
	for i, v := range s {
		p := rgb[3*i : 3*i+3 : 3*i+3]
		m.on[i] = int(v) > m.Threshold && !penOrBlack(int(p[0]), int(p[1]), int(p[2]))
	}
	m.on = sweep(m.on, w, h, false) // dilate, then erode: close
	m.on = sweep(m.on, w, h, true)
	pixel := mpp[0] * mpp[1]
	m.tidy(smallestObjectUM*smallestObjectUM/pixel, largestHoleUM*largestHoleUM/pixel)
	m.sums = integral(m.on, w, h)
	return m, nil
}

// saturation is that of the HSV model in 8 bits.
func saturation(rgb []byte) []byte {
	s := make([]byte, len(rgb)/3)
	for i := range s {
		p := rgb[3*i : 3*i+3 : 3*i+3]
		high, low := int(max(p[0], p[1], p[2])), int(min(p[0], p[1], p[2]))
		if high > 0 {
			s[i] = byte(((high-low)*255 + high/2) / high)
		}
	}
	return s
}

// penOrBlack reports whether a color is green, blue or red ink, or no picture at
// all. The nuclei of H&E are blue too, but keep their red; blood and eosin are red,
// but neither as pure nor as dark in green: of ink, only what no tissue looks like
// is taken for ink, for tissue that is left out goes unseen.
func penOrBlack(r, g, b int) bool {
	high, low := max(r, g, b), min(r, g, b)
	green := g >= r+10 && g >= b-10 && high-low > 20
	blue := b > r+50 && b > g+30 && r < 110
	red := r > g+120 && r > b+110 && g < 60
	black := high < 60 && high-low < 20
	return green || blue || red || black
}

// median is the 7×7 median by a histogram that slides along each row (Huang,
// Yang and Tang 1979). Beyond the edges the edge goes on.
func median(s []byte, w, h int) []byte {
	const side = 2*medianReach + 1
	const half = side * side / 2
	out := make([]byte, len(s))
	var rows [side][]byte
	for y := range h {
		for k := range rows {
			at := min(max(y+k-medianReach, 0), h-1)
			rows[k] = s[at*w : at*w+w]
		}
		var hist [256]int32
		m, below := 0, int32(0) // values less than m in the window
		for x := -medianReach; x <= medianReach; x++ {
			for _, r := range rows {
				hist[r[min(max(x, 0), w-1)]]++
			}
		}
		for x := range w {
			if x > 0 {
				gone, come := max(x-medianReach-1, 0), min(x+medianReach, w-1)
				for _, r := range rows {
					a, b := r[gone], r[come]
					hist[a]--
					hist[b]++
					if int(a) < m {
						below--
					}
					if int(b) < m {
						below++
					}
				}
			}
			for below > half {
				m--
				below -= hist[m]
			}
			for below+hist[m] <= half {
				below += hist[m]
				m++
			}
			out[y*w+x] = byte(m)
		}
	}
	return out
}

// otsu is the threshold that best parts the values at or below it from those
// above (Otsu 1979).
func otsu(s []byte) int {
	var hist [256]int
	total := 0.0
	for _, v := range s {
		hist[v]++
		total += float64(v)
	}
	best, at := -1.0, 0
	n, sum := 0.0, 0.0
	for t, c := range hist {
		n += float64(c)
		sum += float64(t * c)
		rest := float64(len(s)) - n
		if n == 0 || rest == 0 {
			continue
		}
		d := sum/n - (total-sum)/rest
		if v := n * rest * d * d; v > best {
			best, at = v, t
		}
	}
	return at
}

// sweep dilates by a square, or erodes by one. The outside changes neither.
func sweep(on []bool, w, h int, erode bool) []bool {
	across := make([]bool, len(on))
	for y := range h {
		sweepLine(across[y*w:], on[y*w:], w, 1, erode)
	}
	down := make([]bool, len(on))
	for x := range w {
		sweepLine(down[x:], across[x:], h, w, erode)
	}
	return down
}

// sweepLine dilates or erodes n pixels that lie step apart.
func sweepLine(dst, src []bool, n, step int, erode bool) {
	hits := 0 // pixels in the window that decide: set to dilate, clear to erode
	for i := range min(closingReach, n) {
		if src[i*step] != erode {
			hits++
		}
	}
	for i := range n {
		if k := i + closingReach; k < n && src[k*step] != erode {
			hits++
		}
		if k := i - closingReach - 1; k >= 0 && src[k*step] != erode {
			hits--
		}
		dst[i*step] = (hits > 0) != erode
	}
}

// tidy drops objects smaller than object pixels and fills enclosed holes smaller
// than hole. Neighbors share a side.
func (m *Mask) tidy(object, hole float64) {
	m.flip(object, true, false)
	m.flip(hole, false, true)
}

// flip turns over the components of state that are smaller than limit; with
// enclosed only those that do not touch the edge.
func (m *Mask) flip(limit float64, state, enclosed bool) {
	l := label(m.W, m.H, 1, false, func(i int) bool { return m.on[i] == state })
	count, edge := make([]int, l.count), make([]bool, l.count)
	for i, r := range l.runs {
		c := l.of[i]
		count[c] += int(r.to - r.from)
		edge[c] = edge[c] || r.row == 0 || int(r.row) == m.H-1 || r.from == 0 || int(r.to) == m.W
	}
	for i, r := range l.runs {
		c := l.of[i]
		if float64(count[c]) >= limit || enclosed && edge[c] {
			continue
		}
		for x := int(r.row)*m.W + int(r.from); x < int(r.row)*m.W+int(r.to); x++ {
			m.on[x] = !state
		}
	}
}

// integral gives for each corner of a pixel how much is set above and left of it.
func integral(on []bool, w, h int) []uint32 {
	s := make([]uint32, (w+1)*(h+1))
	for y := range h {
		line := uint32(0)
		for x := range w {
			if on[y*w+x] {
				line++
			}
			s[(y+1)*(w+1)+x+1] = s[y*(w+1)+x+1] + line
		}
	}
	return s
}
