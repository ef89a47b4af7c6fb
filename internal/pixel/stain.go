package pixel

import (
	"fmt"
	"math"
	"slices"

	"varde/study"
)

// The reference that stains are brought to. For Macenko it is the pair of stain
// vectors and concentrations that the method's common implementations share; for
// Reinhard the mean and deviation of a well-stained slide of the TCGA that was
// chosen by hand (Amgad et al. 2019).
func reference() study.Stain {
	return study.Stain{
		Vectors:   [2][3]float64{{0.5626, 0.7201, 0.4062}, {0.2159, 0.8012, 0.5581}},
		Strong:    [2]float64{1.9705, 1.0308},
		Mean:      [3]float64{8.74108109, -0.12440419, 0.0444982},
		Deviation: [3]float64{0.6135447, 0.10989545, 0.0286032},
	}
}

const (
	// stainLight is the brightness of glass without tissue, and leastDensity the
	// optical density below which a pixel counts as glass.
	stainLight   = 240.0
	leastDensity = 0.15
	// leastStained is how many stained pixels a fit needs: the tissue of two
	// small patches. mostStained bounds how many are looked at.
	leastStained = 10000
	mostStained  = 400000
	// outlier is the share of pixels at either end that no vector is drawn from.
	outlier = 0.01
	// leastAngle is the least angle between the two stains: closer together they
	// are one, and what is called the other is noise. In H&E they are 15 to 40
	// degrees apart.
	leastAngle = 5 * math.Pi / 180
)

// FitStain measures the stain of a slide on pieces of its tissue, interleaved RGB
// one behind the other. Glass, ink and black among it do not count. A slide whose
// stain can't be measured, for there is too little of it or only one color, is an
// error that wraps [study.ErrInvalid].
func FitStain(method string, rgb []byte) (study.Stain, error) {
	stained := stainedPixels(rgb)
	if len(stained) < leastStained {
		return study.Stain{}, fmt.Errorf("stain of %d pixels, fewer than %d: %w", len(stained), leastStained, study.ErrInvalid)
	}
	s := study.Stain{Method: method}
	var err error
	switch method {
	case study.StainMacenko:
		err = fitMacenko(&s, stained)
	case study.StainReinhard:
		err = fitReinhard(&s, stained)
	default:
		err = fmt.Errorf("stain normalization %q is not known: %w", method, study.ErrInvalid)
	}
	return s, err
}

// stainedPixels picks the pixels that a fit looks at, evenly over the picture.
func stainedPixels(rgb []byte) [][3]byte {
	var all [][3]byte
	var dense [256]bool
	for v := range dense {
		dense[v] = density(byte(v)) >= leastDensity
	}
	n := len(rgb) / 3
	step := max(1, n/mostStained)
	for i := 0; i < n; i += step {
		p := [3]byte(rgb[3*i:])
		if dense[p[0]] && dense[p[1]] && dense[p[2]] && !penOrBlack(int(p[0]), int(p[1]), int(p[2])) {
			all = append(all, p)
		}
	}
	return all
}

// density is the optical density of a brightness.
func density(v byte) float64 { return -math.Log((float64(v) + 1) / stainLight) }

// fitMacenko finds the two stains as the outermost directions in the plane in
// which the optical densities spread (Macenko et al. 2009).
func fitMacenko(s *study.Stain, stained [][3]byte) error {
	var od [256]float64
	for v := range od {
		od[v] = density(byte(v))
	}
	plane := spread(stained, &od)
	angles := make([]float64, len(stained))
	for i, p := range stained {
		d := [3]float64{od[p[0]], od[p[1]], od[p[2]]}
		angles[i] = math.Atan2(dot(d, plane[1]), dot(d, plane[0]))
	}
	slices.Sort(angles)
	low, high := percentile(angles, outlier), percentile(angles, 1-outlier)
	if !(high-low >= leastAngle) {
		return fmt.Errorf("stains %.1f degrees apart: %w", (high-low)*180/math.Pi, study.ErrInvalid)
	}
	a, b := along(plane, low), along(plane, high)
	if a[0] < b[0] { // hematoxylin takes more of the red
		a, b = b, a
	}
	for _, v := range [][3]float64{a, b} {
		if v[0] < -0.05 || v[1] < -0.05 || v[2] < -0.05 {
			return fmt.Errorf("stain that brightens, %.2f: %w", v, study.ErrInvalid)
		}
	}
	s.Vectors = [2][3]float64{a, b}
	unmix := pseudoInverse(s.Vectors)
	for k := range s.Strong {
		c := make([]float64, len(stained))
		for i, p := range stained {
			c[i] = dot(unmix[k], [3]float64{od[p[0]], od[p[1]], od[p[2]]})
		}
		slices.Sort(c)
		if s.Strong[k] = percentile(c, 1-outlier); !(s.Strong[k] > leastDensity) {
			return fmt.Errorf("stain of concentration %.2f: %w", s.Strong[k], study.ErrInvalid)
		}
	}
	return nil
}

// spread gives the two directions in which optical densities differ most. The
// first points to where the tissue is, so that angles around it never wrap; the
// second has a positive red.
func spread(stained [][3]byte, od *[256]float64) [2][3]float64 {
	var mean [3]float64
	for _, p := range stained {
		for c := range mean {
			mean[c] += od[p[c]]
		}
	}
	for c := range mean {
		mean[c] /= float64(len(stained))
	}
	var m [3][3]float64
	for _, p := range stained {
		d := [3]float64{od[p[0]] - mean[0], od[p[1]] - mean[1], od[p[2]] - mean[2]}
		for i := range 3 {
			for j := i; j < 3; j++ {
				m[i][j] += d[i] * d[j]
			}
		}
	}
	for i := range 3 {
		for j := range i {
			m[i][j] = m[j][i]
		}
	}
	values, vectors := eigen(m)
	least := 0
	for k := range values {
		if values[k] < values[least] {
			least = k
		}
	}
	first, second := (least+1)%3, (least+2)%3
	if values[first] < values[second] {
		first, second = second, first
	}
	plane := [2][3]float64{vectors[first], vectors[second]}
	for k, turned := range [2]bool{dot(plane[0], mean) < 0, plane[1][0] < 0} {
		for c := range plane[k] {
			if turned {
				plane[k][c] = -plane[k][c]
			}
		}
	}
	return plane
}

// eigen gives the eigenvalues and the eigenvectors of a symmetric matrix by
// Jacobi's rotations.
func eigen(m [3][3]float64) (values [3]float64, vectors [3][3]float64) {
	v := [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}} // columns are the vectors
	for range 32 {
		if math.Abs(m[0][1])+math.Abs(m[0][2])+math.Abs(m[1][2]) == 0 {
			break
		}
		for _, at := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
			p, q := at[0], at[1]
			if m[p][q] == 0 {
				continue
			}
			theta := (m[q][q] - m[p][p]) / (2 * m[p][q])
			t := math.Copysign(1, theta) / (math.Abs(theta) + math.Hypot(theta, 1))
			c := 1 / math.Hypot(t, 1)
			s := t * c
			for k := range 3 {
				m[k][p], m[k][q] = c*m[k][p]-s*m[k][q], s*m[k][p]+c*m[k][q]
			}
			for k := range 3 {
				m[p][k], m[q][k] = c*m[p][k]-s*m[q][k], s*m[p][k]+c*m[q][k]
				v[k][p], v[k][q] = c*v[k][p]-s*v[k][q], s*v[k][p]+c*v[k][q]
			}
			m[p][q], m[q][p] = 0, 0
		}
	}
	for k := range 3 {
		values[k], vectors[k] = m[k][k], [3]float64{v[0][k], v[1][k], v[2][k]}
	}
	return values, vectors
}

// along is the direction at an angle in a plane.
func along(plane [2][3]float64, angle float64) (v [3]float64) {
	sin, cos := math.Sincos(angle)
	for c := range v {
		v[c] = cos*plane[0][c] + sin*plane[1][c]
	}
	return v
}

// pseudoInverse gives the rows that turn an optical density into the two
// concentrations which explain it best.
func pseudoInverse(v [2][3]float64) (out [2][3]float64) {
	aa, ab, bb := dot(v[0], v[0]), dot(v[0], v[1]), dot(v[1], v[1])
	det := aa*bb - ab*ab
	for c := range 3 {
		out[0][c] = (bb*v[0][c] - ab*v[1][c]) / det
		out[1][c] = (aa*v[1][c] - ab*v[0][c]) / det
	}
	return out
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

// percentile interpolates between the sorted values next to a share.
func percentile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-2)
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// fitReinhard takes mean and deviation in lαβ (Reinhard et al. 2001).
func fitReinhard(s *study.Stain, stained [][3]byte) error {
	var sum, squares [3]float64
	for _, p := range stained {
		for c, v := range opponent(coneLogs(p)) {
			sum[c] += v
			squares[c] += v * v
		}
	}
	n := float64(len(stained))
	for c := range sum {
		s.Mean[c] = sum[c] / n
		s.Deviation[c] = math.Sqrt(max(squares[c]/n-s.Mean[c]*s.Mean[c], 0))
		if !(s.Deviation[c] > 1e-3) { // one color: there is nothing to widen
			return fmt.Errorf("stain of deviation %.1g: %w", s.Deviation[c], study.ErrInvalid)
		}
	}
	return nil
}
