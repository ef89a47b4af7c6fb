package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/models/modelcard"
	"varde/study"
)

// What counts as an orthogonal, evenly spaced volume.
const (
	// orientationSlack is how far direction cosines may differ within one
	// stack: scanners round them to four digits and more.
	orientationSlack = 5e-3
	// samePlaceMM is how near two slices lie that show the same place.
	samePlaceMM = 0.01
	// unevenShare is how much one step may differ from the middle one: more,
	// and sizes measured across slices are wrong by more than other errors.
	unevenShare = 0.1
	// unevenMM is the difference that rounding of positions alone explains.
	unevenMM = 0.05
	// shearMM is how far the slices of one stack may drift sideways. A gantry
	// tilted by 1° drifts 5 mm over a chest.
	shearMM = 1.0
	// overlapShare is how much of a stack must lie within another one for the
	// two to be reconstructions of the same thing.
	overlapShare = 0.5
)

// A slice is one frame with its place in the patient.
type slice struct {
	in    *study.Instance
	frame int
	pos   [3]float64 // of the first pixel's center, mm
	at    float64    // along the stack's normal, mm
	fault study.Reason
}

// A stack is the frames of one series that lie over each other.
type stack struct {
	first  *study.Instance
	orient [6]float64
	normal [3]float64
	slices []slice // along the normal once checked
	step   float64 // mean distance of two neighbors, mm; 0 for a single slice
	widest float64 // largest distance of two neighbors
	fault  study.Reason
	torn   bool    // the fault is a gap: slices may be missing
	middle float64 // the middle distance of two neighbors
	tilt   float64 // degrees by which the slices drift sideways; 0 within rounding
	bent   bool    // the fault is tilt or uneven steps alone: it can be resampled
}

// stacks sorts frames into stacks by series, frame of reference, size, spacing
// and orientation. Frames without a place make a stack with a fault. The order
// of the answer depends on the instances alone.
func stacks(images []*study.Instance, faults map[study.UID]study.Reason) []*stack {
	var all []*stack
	for _, in := range images {
		for frame := range max(1, in.Image.Frames) {
			s := home(all, in, frame)
			if s == nil {
				s = &stack{first: in, fault: unplaced(in, frame)}
				if in.Image.Orientation != nil {
					s.orient = *in.Image.Orientation
					s.normal = cross(s.orient)
				}
				all = append(all, s)
			}
			s.slices = append(s.slices, slice{in: in, frame: frame, pos: place(in, frame), fault: faults[in.UID]})
		}
	}
	for _, s := range all {
		if s.fault.Zero() {
			s.check()
		}
	}
	return all
}

// home finds the stack that a frame belongs to.
func home(all []*stack, in *study.Instance, frame int) *stack {
	odd := unplaced(in, frame)
	for _, s := range all {
		a, b := s.first, in
		if a.Series != b.Series || a.Image.FrameOfRef != b.Image.FrameOfRef ||
			a.Image.Rows != b.Image.Rows || a.Image.Columns != b.Image.Columns ||
			!near(a.Image.SpacingMM[:], b.Image.SpacingMM[:], 1e-3) || odd.Zero() != s.fault.Zero() {
			continue
		}
		if !odd.Zero() || near(s.orient[:], in.Image.Orientation[:], orientationSlack) {
			return s
		}
	}
	return nil
}

// unplaced says why a frame has no certain place in the patient.
func unplaced(in *study.Instance, frame int) study.Reason {
	img := in.Image
	fault := study.Reason{Code: study.ReasonGeometry, Detail: string(in.UID)}
	switch {
	case img.Orientation == nil:
		return fault
	case img.Frames > 1 && frame >= len(img.FramePositions):
		return fault
	case img.Frames <= 1 && img.Position == nil && len(img.FramePositions) == 0:
		return fault
	}
	return study.Reason{}
}

func place(in *study.Instance, frame int) [3]float64 {
	switch {
	case frame < len(in.Image.FramePositions):
		return in.Image.FramePositions[frame]
	case in.Image.Position != nil:
		return *in.Image.Position
	}
	return [3]float64{}
}

// check sorts the slices along the normal, leaves one for each place, and sets
// fault unless they are an orthogonal, evenly spaced volume.
func (s *stack) check() {
	if !orthonormal(s.orient) {
		s.fault = study.Reason{Code: study.ReasonGeometry, Detail: "orientation " + string(s.first.Series)}
		return
	}
	for i := range s.slices {
		s.slices[i].at = dot(s.slices[i].pos, s.normal)
	}
	slices.SortFunc(s.slices, func(a, b slice) int {
		return cmp.Or(cmp.Compare(a.at, b.at), compareSlices(a, b))
	})
	s.thin()
	n := len(s.slices)
	if n < 2 {
		return
	}
	first, last := s.slices[0], s.slices[n-1]
	s.step = (last.at - first.at) / float64(n-1)
	steps := make([]float64, 0, n-1)
	for i := range n - 1 {
		steps = append(steps, s.slices[i+1].at-s.slices[i].at)
	}
	s.widest = slices.Max(steps)
	sorted := slices.Clone(steps)
	slices.Sort(sorted)
	middle := sorted[len(sorted)/2]
	s.middle = middle
	s.lean()
	for i, sl := range s.slices {
		if d := sideways(first, sl, s.normal); d > shearMM {
			s.bent = s.tilt > 0
			s.fault = study.Reason{Code: study.ReasonGeometry, Detail: fmt.Sprintf("tilt %.1f°", math.Atan2(d, sl.at-first.at)*180/math.Pi)}
			return
		}
		if i < n-1 && math.Abs(steps[i]-middle) > max(unevenShare*middle, unevenMM) {
			s.torn, s.bent = true, true
			s.fault = study.Reason{Code: study.ReasonGeometry, Detail: fmt.Sprintf("gap %.2f mm, step %.2f mm", steps[i], middle)}
			return
		}
	}
}

// lean measures by how much the slices drift sideways, when they all lie along one
// line, as those of a tilted gantry do. Slices that jump are no volume.
func (s *stack) lean() {
	first, last := s.slices[0], s.slices[len(s.slices)-1]
	if sideways(first, last, s.normal) <= shearMM {
		return
	}
	whole := last.at - first.at
	for _, sl := range s.slices {
		share := (sl.at - first.at) / whole
		off := 0.0
		for axis := range 3 {
			d := sl.pos[axis] - first.pos[axis] - share*(last.pos[axis]-first.pos[axis])
			off += d * d
		}
		if math.Sqrt(off) > shearMM {
			return
		}
	}
	s.tilt = math.Atan2(sideways(first, last, s.normal), whole) * 180 / math.Pi
}

const (
	// mostTilt is the gantry's tilt, in degrees, that is resampled when the card
	// does not say: no CT tilts further.
	mostTilt = 30
	// mostGap is how wide a step may be, in middle ones, that is resampled over.
	mostGap = 2.0
)

// resampled reports whether a stack that is no orthogonal, even volume may be made
// one, as the card says.
func (s *stack) resampled(p modelcard.Pose) bool {
	if p.Geometry != modelcard.GeometryResample || !s.bent {
		return false
	}
	gap := p.MaxGapMM
	if gap == 0 {
		gap = mostGap * s.middle
	}
	return s.tilt <= cmp.Or(p.MaxTilt, mostTilt) && s.widest <= gap+unevenMM
}

// corner is where the slices of a tilted stack are moved to: where the middle one
// lies, so that least is moved out of the frame. nil: they stay.
func (s *stack) corner() *[2]float64 {
	if s.tilt == 0 {
		return nil
	}
	p := s.slices[len(s.slices)/2].pos
	return &[2]float64{dot(p, [3]float64(s.orient[:3])), dot(p, [3]float64(s.orient[3:]))}
}

// thin leaves one slice for each place: the first that can be decoded, by
// instance number and UID. The others are other phases or repeats, and no volume
// holds two values at one place.
func (s *stack) thin() {
	var kept []slice
	for _, sl := range s.slices {
		n := len(kept)
		switch {
		case n == 0 || sl.at-kept[n-1].at > samePlaceMM:
			kept = append(kept, sl)
		case kept[n-1].fault.Zero() != sl.fault.Zero():
			if sl.fault.Zero() {
				kept[n-1] = sl
			}
		case compareSlices(sl, kept[n-1]) < 0:
			kept[n-1] = sl
		}
	}
	s.slices = kept
}

func compareSlices(a, b slice) int {
	return cmp.Or(cmp.Compare(a.in.Number, b.in.Number), cmp.Compare(a.in.UID, b.in.UID), cmp.Compare(a.frame, b.frame))
}

// choose picks the stacks that are scored. Of several reconstructions of one
// piece of the patient it is one: the thinnest, then the one with the most
// slices, then the lowest series number and UID. Pieces that lie apart (chest
// and pelvis) are all scored. What is chosen comes in order of series.
func choose(all []*stack) []*stack {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *stack) int {
		return cmp.Or(cmp.Compare(math.Round(a.step*100), math.Round(b.step*100)), cmp.Compare(len(b.slices), len(a.slices)), compareSeries(a, b))
	})
	var chosen []*stack
	for _, s := range all {
		again := slices.ContainsFunc(chosen, func(c *stack) bool {
			return sameFrame(s, c) && s.box().within(c.box()) >= overlapShare
		})
		if !again {
			chosen = append(chosen, s)
		}
	}
	slices.SortFunc(chosen, compareSeries)
	return chosen
}

func compareSeries(a, b *stack) int {
	return cmp.Or(cmp.Compare(a.first.SeriesNumber, b.first.SeriesNumber), cmp.Compare(a.first.Series, b.first.Series),
		slices.Compare(a.orient[:], b.orient[:]), compareSlices(a.slices[0], b.slices[0]))
}

// sameFrame reports whether positions of the two can be compared. Who does not
// say is taken to mean the same: a piece scored twice would be found twice.
func sameFrame(a, b *stack) bool {
	x, y := a.first.Image.FrameOfRef, b.first.Image.FrameOfRef
	return x == y || x == "" || y == ""
}

// A box is a piece of the patient, its sides along the patient's axes.
type box struct{ low, high [3]float64 }

// box is what the stack covers.
func (s *stack) box() box {
	b := box{[3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}, [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}}
	img := s.first.Image
	width, height := float64(img.Columns)*img.SpacingMM[1], float64(img.Rows)*img.SpacingMM[0]
	for _, sl := range []slice{s.slices[0], s.slices[len(s.slices)-1]} {
		for _, corner := range [][2]float64{{0, 0}, {width, 0}, {0, height}, {width, height}} {
			for axis := range 3 {
				v := sl.pos[axis] + corner[0]*s.orient[axis] + corner[1]*s.orient[3+axis]
				half := math.Abs(s.normal[axis]) * max(s.step, 0.1) / 2
				b.low[axis], b.high[axis] = min(b.low[axis], v-half), max(b.high[axis], v+half)
			}
		}
	}
	return b
}

// within is the share of b that lies in c.
func (b box) within(c box) float64 {
	own, common := 1.0, 1.0
	for axis := range 3 {
		own *= b.high[axis] - b.low[axis]
		common *= max(0, min(b.high[axis], c.high[axis])-max(b.low[axis], c.low[axis]))
	}
	if own <= 0 {
		return 0
	}
	return common / own
}

func near(a, b []float64, slack float64) bool {
	for i := range a {
		if math.Abs(a[i]-b[i]) > slack {
			return false
		}
	}
	return true
}

// cross gives the normal of an image plane, PS3.3 §C.7.6.2.1.1.
func cross(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func orthonormal(o [6]float64) bool {
	row, col := [3]float64(o[:3]), [3]float64(o[3:])
	return math.Abs(dot(row, row)-1) < 1e-2 && math.Abs(dot(col, col)-1) < 1e-2 && math.Abs(dot(row, col)) < 1e-2
}

// sideways is how far b lies off the normal through a.
func sideways(a, b slice, normal [3]float64) float64 {
	along := b.at - a.at
	sum := 0.0
	for axis := range 3 {
		d := b.pos[axis] - a.pos[axis] - along*normal[axis]
		sum += d * d
	}
	return math.Sqrt(sum)
}
