// Package pm writes the probabilities that a network gave the voxels of volumes and
// images as DICOM Parametric Maps, on the network's own grid.
//
//	Work.Maps   a Parametric Map for each field of each volume and of each image
//
// The pixels are what was kept: probabilities in steps of 1/255, which a real world
// value mapping makes numbers from 0 to 1. A plane that no slice is near to has no
// frame, so that nothing unseen passes for a low probability. The standard wants every
// frame placed in a frame of reference (PS3.3 §A.75.4); a projection that names none, as
// most mammograms, has no map, for no place is made up.
package pm

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// Number is that of the series that hold these objects.
const Number = 9912

// A Drawing is what one job gave.
type Drawing struct {
	Block  study.Block
	Missed []study.Miss
	Grids  []study.ChanceGrid // with their values
}

// A Work is what the objects are made from. It is one result's.
type Work struct {
	Identity  identity.Identity
	Result    study.Result
	Instances []study.Instance // the study's, in order
	Drawings  []Drawing
	What      map[string]study.Code // what the fields are of, by their names, as far as the card says it
	Lang      words.Lang
	// Name gives the n-th object its UID and that of its series, made from what it
	// is about.
	Name func(n int) (object, series study.UID)
}

// Maps writes a Parametric Map (PS3.3 §A.75) for each field of each volume, and of each
// image or frame that is by itself. What can't be written, for the images do not say
// where they lie or the object would be larger than any archive takes, is left out; an
// error of kind [study.ErrUnsupported] then says so, beside the others.
func (w Work) Maps() ([][]byte, error) {
	grounds, err := w.grounds()
	if err != nil {
		return nil, err
	}
	var all [][]byte
	var left []error
	for _, g := range grounds {
		for _, f := range g.fields {
			b, err := w.object(len(all), g, f)
			if err == nil {
				all = append(all, b)
				continue
			}
			err = fmt.Errorf("map %q of series %s: %w", f.name, g.slices[0].in.Series, err)
			if !errors.Is(err, study.ErrUnsupported) {
				return nil, err
			}
			left = append(left, err)
		}
	}
	return all, errors.Join(left...)
}

// name is the model's for people.
func (w Work) name() string { return cmp.Or(w.Result.Name, w.Result.Model.ID) }

// what gives the concept that high numbers of a field point at.
func (w Work) what(field string) study.Code {
	if c := w.What[field]; !c.Zero() {
		return c
	}
	return study.Code{Value: "MODELOUTPUT", Scheme: identity.Scheme, Meaning: "Output of a model"}
}

// A ground is what a network looked at: the slices of a volume, or one image.
type ground struct {
	grid   study.ChanceGrid // of its first block
	flat   bool
	slices []slice
	fields []field
}

// A slice is a frame that was looked at.
type slice struct {
	in    study.Instance
	frame int     // from 0
	at    float64 // along the normal, planes of the grid; 0 of an image
}

// A field is the probabilities of one thing.
type field struct {
	name   string
	planes []plane // in order
}

// A plane is one plane of a field, row by row.
type plane struct {
	number int
	values []uint8
}

// grounds puts what all jobs gave together, in the order of the study.
func (w Work) grounds() ([]*ground, error) {
	instances := map[study.UID]study.Instance{}
	for _, in := range w.Instances {
		instances[in.UID] = in
	}
	at := map[string]*ground{}
	var all []*ground
	for _, d := range w.Drawings {
		for _, c := range d.Grids {
			if c.Tile < 0 || c.Tile >= len(d.Block.Tiles) || c.Columns < 1 || c.Rows < 1 || len(c.Values) != len(c.Of) {
				return nil, fmt.Errorf("probabilities of %d×%d over tile %d of %d: %w", c.Columns, c.Rows, c.Tile, len(d.Block.Tiles), study.ErrInvalid)
			}
			volume := d.Block.Kind == study.Volume
			key := fmt.Sprintf("%s/%g/%g/%d×%d/%q", d.Block.Series, d.Block.OriginMM, d.Block.StepMM, c.Columns, c.Rows, c.Of)
			if !volume {
				key = fmt.Sprintf("%s/%d/%q", d.Block.Tiles[c.Tile].Instance, d.Block.Tiles[c.Tile].Frame, c.Of)
			}
			g := at[key]
			if g == nil {
				g = &ground{grid: c, flat: !volume}
				for _, name := range c.Of {
					g.fields = append(g.fields, field{name: name})
				}
				at[key], all = g, append(all, g)
			}
			if err := g.add(c); err != nil {
				return nil, err
			}
			g.over(d, c, instances)
		}
	}
	all = slices.DeleteFunc(all, func(g *ground) bool { return len(g.slices) == 0 })
	for _, g := range all {
		slices.SortStableFunc(g.slices, func(a, b slice) int { return cmp.Compare(a.at, b.at) })
		for i := range g.fields {
			slices.SortStableFunc(g.fields[i].planes, func(a, b plane) int { return a.number - b.number })
		}
	}
	return all, nil
}

// add enters the planes that were seen.
func (g *ground) add(c study.ChanceGrid) error {
	for i := range g.fields {
		size := c.Rows * c.Columns
		if len(c.Values[i]) != max(1, c.Planes)*size {
			return fmt.Errorf("%d probabilities for %d×%d×%d voxels: %w", len(c.Values[i]), c.Planes, c.Rows, c.Columns, study.ErrInvalid)
		}
		for k := range max(1, c.Planes) {
			if n := c.First + k; !slices.Contains(c.Unseen, int32(n)) {
				g.fields[i].planes = append(g.fields[i].planes, plane{n, c.Values[i][k*size : (k+1)*size]})
			}
		}
	}
	return nil
}

// over enters the frames that were looked at.
func (g *ground) over(d Drawing, c study.ChanceGrid, instances map[study.UID]study.Instance) {
	for n, t := range d.Block.Tiles {
		in, ok := instances[t.Instance]
		missed := slices.ContainsFunc(d.Missed, func(m study.Miss) bool { return m.Tile == n })
		if !ok || in.Image == nil || t.Context || missed || g.flat && n != c.Tile {
			continue
		}
		s := slice{in: in, frame: t.Frame}
		pos := in.Image.Position
		if t.Frame < len(in.Image.FramePositions) {
			pos = &in.Image.FramePositions[t.Frame]
		}
		if !g.flat {
			if pos == nil || g.grid.Position == nil || g.grid.Orientation == nil || g.grid.StepMM == 0 {
				continue
			}
			o := *g.grid.Orientation
			normal := [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
			for k := range normal {
				s.at += normal[k] * (pos[k] - g.grid.Position[k]) / g.grid.StepMM
			}
		}
		g.slices = append(g.slices, s)
	}
}

// placed reports whether the planes have a place in the patient.
func (g *ground) placed() bool {
	return g.grid.Position != nil && g.grid.Orientation != nil && g.slices[0].in.Image.FrameOfRef != "" && g.grid.SpacingMM[0] > 0 && g.grid.SpacingMM[1] > 0
}

// sources gives the frames that a plane tells of: those nearer to it than to the next
// plane, or where the planes lie closer than the slices the nearest one.
func (g *ground) sources(number int) []slice {
	if g.flat {
		return g.slices
	}
	var near []slice
	best := g.slices[0]
	for _, s := range g.slices {
		off := math.Abs(s.at - float64(number))
		if off <= 0.5 {
			near = append(near, s)
		}
		if off < math.Abs(best.at-float64(number)) {
			best = s
		}
	}
	if near == nil {
		return []slice{best}
	}
	return near
}
