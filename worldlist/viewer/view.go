package viewer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"varde/internal/slide"
	"varde/internal/webui"
	"varde/internal/words"
	"varde/study"
	"varde/worldlist/foreign"
)

// A View is what the viewer's script is told: stacks of frames, and marks on
// them.
type View struct {
	Study  study.UID `json:"study"`
	Stacks []Stack   `json:"stacks"`
	Marks  []Mark    `json:"marks"`
	Missed []Mark    `json:"missed"`         // what readers marked as missed, as far as the visitor may see it
	Start  int       `json:"start"`          // the stack that is opened first
	Hang   bool      `json:"hang,omitempty"` // its views are read beside each other: they are opened so
	Tray   *Tray     `json:"tray,omitempty"` // of a page of slides
}

// A Stack is one series: frames through which the reader moves, or a slide.
type Stack struct {
	Series    study.UID  `json:"series"`
	Slide     bool       `json:"slide"`
	Color     bool       `json:"color"`
	Frames    []frameRef `json:"frames"`
	Presets   bool       `json:"presets"` // values are Hounsfield units
	FirstMark int        `json:"start"`   // the frame to begin with
	Text      string     `json:"text"`    // what the series is called
	Cine      bool       `json:"cine"`    // its frames follow each other in time, in one object
	// Where the frames lie, if they are parallel and their places are known: the
	// frame of reference, the direction from one to the next, and how far along it
	// each lies, mm.
	Ref    study.UID   `json:"ref,omitempty"`
	Normal *[3]float64 `json:"normal,omitempty"`
	Depths []float64   `json:"z,omitempty"`
	// Of a slide: what it is called, its levels, finest first, the µm of a pixel
	// of the finest one, and the name of its content.
	Name    string      `json:"name,omitempty"`
	Levels  []LevelSize `json:"levels,omitempty"`
	Microns [2]float64  `json:"microns"`
	Version string      `json:"version,omitempty"`
	Thumb   *LevelSize  `json:"thumb,omitempty"`   // the small picture that was kept, where the coarsest level is large
	Trouble string      `json:"trouble,omitempty"` // why it can't be shown
}

// A LevelSize is one level of a slide, in pixels.
type LevelSize struct {
	Columns int `json:"columns"`
	Rows    int `json:"rows"`
	TileW   int `json:"tile_w"`
	TileH   int `json:"tile_h"`
}

// A frameRef names a frame: an instance and a number from 1.
type frameRef struct {
	Instance study.UID `json:"i"`
	Frame    int       `json:"n"`
}

// A Mark is one region of one finding, on one frame of a stack. Points are pairs
// of column and row in pixels of the frame, or of a slide's finest level, 0 being
// the left or upper edge of the image.
type Mark struct {
	Key    string      `json:"key"`
	Number int         `json:"number"`
	Stack  int         `json:"stack"`
	Frame  int         `json:"frame"` // index in the stack
	Shape  study.Shape `json:"shape"`
	Points []float64   `json:"points"`
	Place  string      `json:"-"` // "slice 12 of 40", for the list
}

// A Series is an entry of the list of series.
type Series struct {
	UID    study.UID
	Text   string
	Count  string
	Slide  bool
	levels []slide.Level
	images []study.Instance
	reason string // why a slide can't be shown
}

// Name is what a slide is called: what the series is called, and what stands on
// the slide's label.
func (s Series) Name() string {
	for _, in := range s.images {
		if in.Image.Slide != nil && in.Image.Slide.ContainerID != "" && !strings.EqualFold(in.Image.Slide.ContainerID, "unknown") {
			return s.Text + " · " + in.Image.Slide.ContainerID
		}
	}
	return s.Text
}

// Version names the content of a slide that can be shown.
func (s Series) Version() string {
	if len(s.levels) == 0 {
		return ""
	}
	return versionOf(instancesOf(s.images, s.UID))
}

// Shown reports whether it is a slide that can be shown.
func (s Series) Shown() bool { return len(s.levels) > 0 }

// Thumb is the address of a slide's small picture; empty when it can't be shown.
func (s Series) Thumb(of study.UID) string {
	if !s.Shown() {
		return ""
	}
	return "/studies/" + string(of) + "/slides/" + string(s.UID) + "/thumb?v=" + s.Version()
}

// Stain is what a slide is stained with, as its header says; else what its series is
// called.
func (s Series) Stain(l words.Lang) string {
	for _, in := range s.images {
		if in.Image == nil {
			continue
		}
		var names []string
		for _, code := range in.Image.Taken.Stains {
			if name := l.Title(code); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			return strings.Join(names, " + ")
		}
	}
	return s.Text
}

// SeriesOf groups the images of a study by series, in the order in which they
// come.
func SeriesOf(l webui.Lang, instances []study.Instance) []Series {
	var all []Series
	for _, in := range instances {
		if _, others := foreign.Candidate(in); in.Image == nil || others {
			continue // masks of others are drawn over images, and are none
		}
		i := slices.IndexFunc(all, func(s Series) bool { return s.UID == in.Series })
		if i < 0 {
			text := in.SeriesText
			if text == "" {
				text = string(in.Modality)
			}
			all, i = append(all, Series{UID: in.Series, Text: text, Slide: in.Image.Slide != nil}), len(all)
		}
		all[i].images = append(all[i].images, in)
	}
	for i := range all {
		s := &all[i]
		if s.Slide {
			var err error
			s.levels, err = slide.Levels(s.images)
			var refused *slide.RefusedError
			switch {
			case errors.As(err, &refused):
				s.reason = l.T("slides.refused", l.Reason(refused.Reason))
			case err != nil || len(s.levels) == 0:
				s.reason = l.T("view.noslide")
			}
			s.Count = l.T("view.levels", len(s.levels))
			continue
		}
		n := 0
		for _, in := range s.images {
			n += in.Image.Frames
		}
		s.Count = l.T("view.images", n)
	}
	return all
}

// ViewOf puts the marks of all results on the frames where they belong.
func ViewOf(l webui.Lang, all []Series, instances []study.Instance, results []study.Result) View {
	v := View{Stacks: []Stack{}, Marks: []Mark{}, Missed: []Mark{}}
	if len(instances) > 0 {
		v.Study = instances[0].Study
	}
	for _, s := range all {
		v.Stacks = append(v.Stacks, stackOf(s))
	}
	for _, r := range results {
		for _, f := range r.Findings {
			for _, g := range f.Regions {
				if m, ok := markOf(l, all, v.Stacks, g); ok {
					m.Key, m.Number = MarkKey(r.Model, f.Number), f.Number
					v.Marks = append(v.Marks, m)
				}
			}
		}
	}
	for i := range v.Stacks {
		v.Stacks[i].FirstMark = startOf(v.Stacks[i], v.Marks, i)
	}
	if len(v.Marks) > 0 {
		v.Start = v.Marks[0].Stack
	}
	v.Hang = slices.ContainsFunc(instances, func(in study.Instance) bool { return in.Modality == study.MG && in.Image != nil })
	return v
}

// startOf is where a stack is opened: at the first finding, which a reader must
// not have to look for, else in the middle of a volume and at the first of a few.
func startOf(s Stack, marks []Mark, index int) int {
	for _, m := range marks {
		if m.Stack == index {
			return m.Frame
		}
	}
	if len(s.Frames) > 8 {
		return len(s.Frames) / 2
	}
	return 0
}

func stackOf(s Series) Stack {
	k := Stack{Series: s.UID, Slide: s.Slide, Frames: []frameRef{}}
	if s.Slide {
		k.Name, k.Trouble = s.Name(), s.reason
		if len(s.levels) > 0 {
			k.Microns, k.Version = s.levels[0].MPP, s.Version()
		}
		for _, step := range slide.Steps(s.levels) {
			l := s.levels[step.Level]
			k.Levels = append(k.Levels, LevelSize{
				Columns: (l.Columns + step.Shrink - 1) / step.Shrink, Rows: (l.Rows + step.Shrink - 1) / step.Shrink, TileW: l.TileW, TileH: l.TileH})
		}
		return k
	}
	k.Text = s.Text
	k.place(s.images)
	for _, in := range s.images {
		k.Cine = k.Cine || in.Image.Frames > 1 && in.Image.FramePositions == nil
		k.Color = in.Image.Samples > 1 || in.Image.Photometric == "PALETTE COLOR"
		k.Presets = k.Presets || in.Modality == study.CT
		for n := range in.Image.Frames {
			k.Frames = append(k.Frames, frameRef{in.UID, n + 1})
		}
	}
	return k
}

// place enters where the frames of a stack lie, unless it is unknown of one of them
// or they are not parallel.
func (k *Stack) place(images []study.Instance) {
	var axis [3]float64
	var depths []float64
	for i, in := range images {
		img := in.Image
		if img.Orientation == nil || img.FrameOfRef == "" || img.FrameOfRef != images[0].Image.FrameOfRef {
			return
		}
		n := normalOf(*img.Orientation)
		if i == 0 {
			axis = n
		}
		if dot(axis, n) < 0.999 {
			return
		}
		for f := range img.Frames {
			at := img.Position
			if f < len(img.FramePositions) {
				at = &img.FramePositions[f]
			}
			if at == nil || img.Frames > 1 && img.FramePositions == nil {
				return
			}
			depths = append(depths, math.Round(dot(*at, axis)*1000)/1000)
		}
	}
	if len(depths) > 0 {
		k.Ref, k.Normal, k.Depths = images[0].Image.FrameOfRef, &axis, depths
	}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func normalOf(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

// MissedOf puts what readers marked as missed on the frames where it belongs.
func MissedOf(l webui.Lang, v View, all []Series, steps []study.ReadingStep) []Mark {
	out := []Mark{}
	for _, s := range steps {
		if s.Step != study.StepMissed || s.Mark == nil {
			continue
		}
		if m, ok := markOf(l, all, v.Stacks, *s.Mark); ok && !v.Stacks[m.Stack].Slide {
			m.Key, m.Number = "missed", len(out)+1
			out = append(out, m)
		}
	}
	return out
}

// markOf finds the frame of a region. A region of a slide's level is put on the
// finest level.
func markOf(l webui.Lang, all []Series, stacks []Stack, g study.Region) (Mark, bool) {
	for i, s := range all {
		if s.Slide {
			for _, level := range s.levels {
				if !slices.ContainsFunc(level.Instances, func(in study.Instance) bool { return in.UID == g.Instance }) {
					continue
				}
				scaleX := float64(s.levels[0].Columns) / float64(level.Columns)
				scaleY := float64(s.levels[0].Rows) / float64(level.Rows)
				m := Mark{Stack: i, Shape: g.Shape, Points: slices.Clone(g.Points)}
				for j := range m.Points {
					m.Points[j] *= [2]float64{scaleX, scaleY}[j%2]
				}
				return m, true
			}
			continue
		}
		n := slices.Index(stacks[i].Frames, frameRef{g.Instance, max(1, g.Frame)})
		if n >= 0 {
			place := ""
			if len(stacks[i].Frames) > 1 {
				place = l.T("view.slice", n+1, len(stacks[i].Frames))
			}
			return Mark{Stack: i, Frame: n, Shape: g.Shape, Points: g.Points, Place: place}, true
		}
	}
	return Mark{}, false
}

// MarkKey names a finding of a model where its marks are.
func MarkKey(m study.ModelRef, number int) string { return fmt.Sprintf("%s#%d", m, number) }
