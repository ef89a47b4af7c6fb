package pixel

import (
	"fmt"
	"math"

	"varde/study"
)

// A Stainer changes the colors of a slide to those of the reference, by tables.
// It may be used by many at once.
type Stainer struct {
	// What each value of each channel adds to an index, in fixed point: to that of
	// out (Macenko), or of logs (Reinhard).
	add [3][256][3]int32
	// out turns an optical density into a brightness.
	out []byte
	// Reinhard's way goes further: logarithms of what the three kinds of cones
	// see, a change that is linear in them, and the way back.
	logs   []float32
	linear [3][3]float32
	offset [3]float32
	exps   []float32
	back   [3][3]float32
}

const (
	stainBits = 12 // fraction of the fixed point
	// The table of optical densities goes from −0.25, brighter than glass, to
	// 5.75, which is black.
	thinnest     = -0.25
	densitySteps = 1024 // entries for 1
	densities    = 6 * densitySteps
	coneSteps    = 64  // entries for one step of brightness
	brightest    = 257 // a value plus 1, and the rounding of the matrix
	expSteps     = 1024
	exponents    = 6 * expSteps // to twice the brightest
)

// NewStainer makes the tables for a slide. An error wraps [study.ErrInvalid]: a
// stain that no fit has given.
func NewStainer(s study.Stain) (*Stainer, error) {
	for _, list := range [][]float64{s.Vectors[0][:], s.Vectors[1][:], s.Strong[:], s.Mean[:], s.Deviation[:]} {
		for _, v := range list {
			if math.IsNaN(v) || math.Abs(v) > 1e3 {
				return nil, fmt.Errorf("stain %+v: %w", s, study.ErrInvalid)
			}
		}
	}
	switch {
	case s.Method == study.StainMacenko && s.Strong[0] > 0 && s.Strong[1] > 0 && parted(s.Vectors):
		return newMacenko(s), nil
	case s.Method == study.StainReinhard && s.Deviation[0] > 0 && s.Deviation[1] > 0 && s.Deviation[2] > 0:
		return newReinhard(s), nil
	}
	return nil, fmt.Errorf("stain %+v: %w", s, study.ErrInvalid)
}

// parted reports whether two vectors are two.
func parted(v [2][3]float64) bool {
	aa, ab, bb := dot(v[0], v[0]), dot(v[0], v[1]), dot(v[1], v[1])
	return aa > 0 && bb > 0 && aa*bb-ab*ab > 1e-4*aa*bb
}

// newMacenko folds unmixing, scaling and mixing into one matrix over optical
// densities.
func newMacenko(s study.Stain) *Stainer {
	ref, unmix := reference(), pseudoInverse(s.Vectors)
	st := &Stainer{out: make([]byte, densities)}
	const scale = densitySteps * (1 << stainBits)
	for from := range 3 {
		for v := range 256 {
			od := density(byte(v))
			for to := range 3 {
				w := 0.0
				for k := range 2 {
					w += ref.Vectors[k][to] * ref.Strong[k] / s.Strong[k] * unmix[k][from]
				}
				if from == 0 {
					st.add[from][v][to] = -thinnest * scale
				}
				// Bounded, so that three of them fit.
				st.add[from][v][to] += int32(math.Round(min(max(w*od*scale, -1<<28), 1<<28)))
			}
		}
	}
	for i := range st.out {
		st.out[i] = byte(min(math.Round(stainLight*math.Exp(-thinnest-(float64(i)+0.5)/densitySteps)), 255))
	}
	return st
}

// Apply changes interleaved RGB in place.
func (s *Stainer) Apply(rgb []byte) {
	if s.out != nil {
		s.applyMacenko(rgb)
	} else {
		s.applyReinhard(rgb)
	}
}

func (s *Stainer) applyMacenko(rgb []byte) {
	out := (*[densities]byte)(s.out)
	for i := 0; i+2 < len(rgb); i += 3 {
		p := rgb[i : i+3 : i+3]
		a, b, c := &s.add[0][p[0]], &s.add[1][p[1]], &s.add[2][p[2]]
		for k := range 3 {
			p[k] = out[min(max((a[k]+b[k]+c[k])>>stainBits, 0), densities-1)]
		}
	}
}

// The cones' shares of red, green and blue (Reinhard et al. 2001).
func cones() [3][3]float64 {
	return [3][3]float64{{0.3811, 0.5783, 0.0402}, {0.1967, 0.7244, 0.0782}, {0.0241, 0.1288, 0.8444}}
}

// opponents are the rows that turn logarithms into lαβ. They are orthonormal.
func opponents() [3][3]float64 {
	a, b, c := 1/math.Sqrt(3), 1/math.Sqrt(6), 1/math.Sqrt2
	return [3][3]float64{{a, a, a}, {b, b, -2 * b}, {c, -c, 0}}
}

func coneLogs(p [3]byte) (logs [3]float64) {
	rgb := [3]float64{float64(p[0]) + 1, float64(p[1]) + 1, float64(p[2]) + 1}
	for k, row := range cones() {
		logs[k] = math.Log(dot(row, rgb))
	}
	return logs
}

func opponent(logs [3]float64) (lab [3]float64) {
	for k, row := range opponents() {
		lab[k] = dot(row, logs)
	}
	return lab
}

func newReinhard(s study.Stain) *Stainer {
	ref, way := reference(), opponents()
	st := &Stainer{logs: make([]float32, brightest*coneSteps), exps: make([]float32, exponents)}
	for from := range 3 {
		for v := range 256 {
			for to, row := range cones() {
				st.add[from][v][to] = int32(math.Round(row[from] * float64(v+1) * coneSteps * (1 << stainBits)))
			}
		}
	}
	for i := range st.logs {
		st.logs[i] = float32(math.Log((float64(i) + 0.5) / coneSteps))
	}
	for i := range 3 {
		for j := range 3 {
			w := 0.0
			for k := range 3 {
				w += way[k][i] * ref.Deviation[k] / s.Deviation[k] * way[k][j]
			}
			st.linear[i][j] = float32(w)
		}
		w := 0.0
		for k := range 3 {
			w += way[k][i] * (ref.Mean[k] - s.Mean[k]*ref.Deviation[k]/s.Deviation[k])
		}
		st.offset[i] = float32(w)
	}
	for i := range st.exps {
		st.exps[i] = float32(math.Exp((float64(i) + 0.5) / expSteps))
	}
	st.back = inverse(cones())
	return st
}

func (s *Stainer) applyReinhard(rgb []byte) {
	for i := 0; i+2 < len(rgb); i += 3 {
		p := rgb[i : i+3 : i+3]
		a, b, c := &s.add[0][p[0]], &s.add[1][p[1]], &s.add[2][p[2]]
		l := s.logs[(a[0]+b[0]+c[0])>>stainBits]
		m := s.logs[(a[1]+b[1]+c[1])>>stainBits]
		n := s.logs[(a[2]+b[2]+c[2])>>stainBits]
		var cone [3]float32
		for k := range cone {
			r := &s.linear[k]
			x := r[0]*l + r[1]*m + r[2]*n + s.offset[k]
			cone[k] = s.exps[min(max(int(x*expSteps), 0), exponents-1)]
		}
		for k := range p {
			r := &s.back[k]
			p[k] = round8(r[0]*cone[0] + r[1]*cone[1] + r[2]*cone[2] - 1)
		}
	}
}

// inverse is that of a matrix that has one.
func inverse(m [3][3]float64) (out [3][3]float32) {
	cross := func(a, b [3]float64) [3]float64 {
		return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
	}
	columns := [3][3]float64{cross(m[1], m[2]), cross(m[2], m[0]), cross(m[0], m[1])}
	det := dot(m[0], columns[0])
	for i := range 3 {
		for j := range 3 {
			out[i][j] = float32(columns[j][i] / det)
		}
	}
	return out
}
