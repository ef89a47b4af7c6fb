package format

import (
	"math"

	"varde/study"
)

// genericTIFF reads tiled TIFF and BigTIFF pyramids that no maker's mark is found
// in. The first picture is the finest level; smaller ones that call themselves
// reduced, in the main chain or under the first one, are the others.
func genericTIFF() format {
	return format{
		name:      "generic-tiff",
		recognize: func(s *source) bool { return len(s.dirs) > 0 },
		levels:    genericLevels,
		facts:     genericFacts,
	}
}

const subfileReduced = 1 // bit 0 of tag 254

func genericLevels(s *source) ([]Level, error) {
	first := s.dirs[0]
	if !first.tiled() {
		return nil, refused(exportOther, "a TIFF in strips")
	}
	finest, err := s.level(first)
	if err != nil {
		return nil, err
	}
	levels := []Level{finest}
	for _, d := range append(s.dirs[1:len(s.dirs):len(s.dirs)], first.subs...) {
		if !d.tiled() {
			continue
		}
		kind, err := s.one(d, tagSubfileType, 0)
		if err != nil {
			return nil, err
		}
		if kind&subfileReduced == 0 && !d.nested {
			shape, err := s.shape(d)
			if err != nil {
				return nil, err
			}
			if shape.Columns == finest.Columns && shape.Rows == finest.Rows {
				return nil, refused("export one focal plane, or one picture, to a file", "a TIFF of several full pictures")
			}
			continue // something else; nobody has said that it is a level
		}
		l, err := s.level(d)
		if err != nil {
			return nil, err
		}
		levels = append(levels, l)
	}
	return levels, nil
}

// genericFacts reads what TIFF itself has room for.
func genericFacts(s *source, out *Slide) error {
	first := s.dirs[0]
	var err error
	if out.MPP, err = s.resolution(first); err != nil {
		return err
	}
	for tag, to := range map[uint16]*string{tagMake: &out.Manufacturer, tagModel: &out.Model, tagSoftware: &out.Software} {
		if *to, err = s.text(first, tag, 64); err != nil {
			return err
		}
	}
	for _, d := range s.dirs[1:] {
		if !d.tiled() {
			if err := s.associate(out, d, "other"); err != nil {
				return err
			}
		}
	}
	out.ICC, err = s.profile(first)
	return err
}

// resolution gives µm per pixel out of the tags of resolution; zero when they are
// missing or count in nothing that is a length.
func (s *source) resolution(d *directory) (mpp [2]float64, err error) {
	unit, err := s.one(d, tagResUnit, 2)
	if err != nil {
		return mpp, err
	}
	micrometers := map[uint64]float64{2: 25400, 3: 10000}[unit]
	for i, tag := range []uint16{tagXResolution, tagYResolution} {
		v, err := s.rational(d, tag)
		if err != nil {
			return mpp, err
		}
		if v > 0 {
			mpp[i] = micrometers / v
		}
	}
	return mpp, nil
}

// lost notes tiles that a format never leaves out on purpose.
func (out *Slide) lost() {
	for i, l := range out.Levels {
		if n := l.missing(); n > 0 {
			out.doubt(study.ReasonDamaged, "%d of %d tiles of level %d are missing", n, l.Frames.Len(), i+1)
		}
	}
}

// near reports whether two numbers differ by no more than a share of the larger.
func near(a, b, share float64) bool { return math.Abs(a-b) <= share*max(math.Abs(a), math.Abs(b)) }
