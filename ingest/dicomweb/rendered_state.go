package dicomweb

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"

	"varde/internal/dicom"
	"varde/internal/pixel"
	"varde/study"
)

// grayscaleState is the class of Grayscale Softcopy Presentation States, PS3.3
// §A.33.1, the one kind that is applied.
const grayscaleState study.UID = "1.2.840.10008.5.1.4.1.1.11.1"

// Tags of presentation states that no object of ours holds, PS3.3 §C.7.6.11,
// §C.10.4 to C.10.6, §C.11.
const (
	shutterShape             dicom.Tag = 0x00181600
	shutterLeft              dicom.Tag = 0x00181602
	shutterRight             dicom.Tag = 0x00181604
	shutterUpper             dicom.Tag = 0x00181606
	shutterLower             dicom.Tag = 0x00181608
	shutterCenter            dicom.Tag = 0x00181610 // row, column
	shutterRadius            dicom.Tag = 0x00181612
	shutterVertices          dicom.Tag = 0x00181620 // row, column, row …
	shutterPresentationValue dicom.Tag = 0x00181622
	presentationLUTSequence  dicom.Tag = 0x20500010
	imageHorizontalFlip      dicom.Tag = 0x00700041
	imageRotation            dicom.Tag = 0x00700042
	magnificationRatio       dicom.Tag = 0x00700103
)

// A state is a presentation state that is to be applied.
type state struct {
	in    study.Instance
	data  *dicom.Dataset
	texts int // that are not drawn
}

// A shot is one frame that is to be drawn, counted from 0.
type shot struct {
	in study.Instance
	n  int
}

// stateOf gives the presentation state that a request names, with the frames that
// it refers to; nil when it names something else.
func (s *Service) stateOf(r *http.Request, all []study.Instance) (*state, []shot, error) {
	if r.PathValue("instance") == "" || len(all) != 1 || all[0].Class != grayscaleState {
		return nil, nil, nil
	}
	h, err := s.header(r.Context(), all[0])
	if err != nil {
		return nil, nil, err
	}
	st := &state{in: all[0], data: h.Data}
	var shots []shot
	for series := range h.Data.Each(dicom.ReferencedSeriesSequence) {
		for ref := range series.Each(dicom.ReferencedImageSequence) {
			in, err := s.Catalog.Instance(r.Context(), study.UID(ref.Text(dicom.ReferencedSOPInstanceUID)))
			if err != nil || in.Study != st.in.Study || in.Image == nil {
				continue // not here: what is here is shown
			}
			frames := ref.Ints(dicom.ReferencedFrameNumber)
			if len(frames) == 0 {
				for i := range max(1, in.Image.Frames) {
					frames = append(frames, i+1)
				}
			}
			for _, n := range frames {
				if n >= 1 && n <= max(1, in.Image.Frames) {
					shots = append(shots, shot{in, n - 1})
				}
			}
			if len(shots) > maxRendered {
				return nil, nil, fmt.Errorf("a presentation state of more than %d frames: %w", maxRendered, study.ErrInvalid)
			}
		}
	}
	if len(shots) == 0 {
		return nil, nil, fmt.Errorf("no image that the presentation state refers to is here: %w", study.ErrNotFound)
	}
	for a := range h.Data.Each(dicom.GraphicAnnotationSequence) {
		st.texts += len(a.Items(dicom.TextObjectSequence))
	}
	return st, shots, nil
}

// of gives the items of a sequence that apply to a frame, counted from 0: those
// that name it, and those that name no image.
func (st *state) of(t dicom.Tag, uid study.UID, n int) (all []*dicom.Dataset) {
	for item := range st.data.Each(t) {
		applies := !item.Has(dicom.ReferencedImageSequence)
		for ref := range item.Each(dicom.ReferencedImageSequence) {
			frames := ref.Ints(dicom.ReferencedFrameNumber)
			applies = applies || ref.Text(dicom.ReferencedSOPInstanceUID) == string(uid) && (len(frames) == 0 || slices.Contains(frames, n+1))
		}
		if applies {
			all = append(all, item)
		}
	}
	return all
}

// under puts the state's transformations in the place of the image's, PS3.4
// §N.2.1: what the state does not say is the identity, whatever the image says.
func (s *Service) under(ctx context.Context, st *state, in study.Instance, n int, g *grayscale, d *drawing) (err error) {
	*g = grayscale{slope: 1, whole: true, inverted: st.data.Text(dicom.PresentationLUTShape) == "INVERSE"}
	if g.modality, err = s.tableIn(ctx, st.in, st.data.Item(dicom.ModalityLUTSequence), in.Image.Signed); err != nil {
		return fmt.Errorf("modality LUT of the state: %w", err)
	}
	if g.modality == nil {
		g.rescale(st.data)
	}
	if all := st.of(dicom.SoftcopyVOILUTSequence, in.UID, n); len(all) > 0 {
		voi := all[0]
		if g.window = windowIn(voi); g.window == nil {
			if g.voi, err = s.tableIn(ctx, st.in, voi.Item(dicom.VOILUTSequence), in.Image.Signed && g.modality == nil || g.intercept < 0); err != nil {
				return fmt.Errorf("VOI LUT of the state: %w", err)
			}
		}
	}
	if g.presentation, err = s.tableIn(ctx, st.in, st.data.Item(presentationLUTSequence), false); err != nil {
		return fmt.Errorf("presentation LUT of the state: %w", err)
	}
	st.area(in, n, d)
	return nil
}

// area is the part of the image that the state shows, unless the request names
// one. Corners count from 1, and lie the other way round on a turned image.
func (st *state) area(in study.Instance, n int, d *drawing) {
	turned := st.turns()%2 == 1
	if turned {
		d.width, d.height = d.height, d.width
	}
	if d.region != [4]float64{} {
		return
	}
	for _, a := range st.of(dicom.DisplayedAreaSelectionSequence, in.UID, n) {
		p, q := a.Ints(dicom.DisplayedAreaTopLeftHandCorner), a.Ints(dicom.DisplayedAreaBottomRightHandCorner)
		if len(p) != 2 || len(q) != 2 {
			continue
		}
		x0, y0 := max(min(p[0], q[0]), 1), max(min(p[1], q[1]), 1)
		x1, y1 := min(max(p[0], q[0]), in.Image.Columns), min(max(p[1], q[1]), in.Image.Rows)
		if x1 < x0 || y1 < y0 {
			continue
		}
		d.region = [4]float64{float64(x0 - 1), float64(y0 - 1), float64(x1 - x0 + 1), float64(y1 - y0 + 1)}
		if ratio, ok := a.Float(magnificationRatio); ok && ratio > 0 && d.width == 0 && a.Text(dicom.PresentationSizeMode) == "MAGNIFY" {
			d.width = min(int(d.region[2]*ratio+0.5), maxSide)
			d.height = min(int(d.region[3]*ratio+0.5), maxSide)
			d.width, d.height = max(d.width, 1), max(d.height, 1)
		}
		return
	}
}

// turns is how many quarters the image is turned clockwise.
func (st *state) turns() int {
	deg, _ := st.data.Int(imageRotation)
	return ((deg/90)%4 + 4) % 4
}

// A canvas is a picture of w×h gray pixels that shows a box of an image.
type canvas struct {
	v    []byte
	w, h int
	box  pixel.Box
}

// toImage gives the place in the image of the middle of a pixel, counted from 0
// at the corner of the first pixel.
func (c canvas) toImage(x, y int) (float64, float64) {
	return c.box.X0 + (float64(x)+0.5)*(c.box.X1-c.box.X0)/float64(c.w), c.box.Y0 + (float64(y)+0.5)*(c.box.Y1-c.box.Y0)/float64(c.h)
}

// finish does what is done to the picture itself: the shutter, graphics in image
// coordinates, turning and mirroring, and graphics that lie on the display.
func (st *state) finish(c canvas, uid study.UID, n int) (v []byte, w, h int) {
	st.shut(c)
	layers := st.layers()
	var onImage, onDisplay []graphic
	for _, a := range st.of(dicom.GraphicAnnotationSequence, uid, n) {
		gray, ok := layers[a.Text(dicom.GraphicLayer)]
		if !ok {
			gray = 255
		}
		for g := range a.Each(dicom.GraphicObjectSequence) {
			switch {
			case len(onImage)+len(onDisplay) >= maxGraphics:
			case g.Text(dicom.GraphicAnnotationUnits) == "DISPLAY":
				onDisplay = append(onDisplay, graphic{g, gray})
			default:
				onImage = append(onImage, graphic{g, gray})
			}
		}
	}
	sx, sy := float64(c.w)/(c.box.X1-c.box.X0), float64(c.h)/(c.box.Y1-c.box.Y0)
	for _, g := range onImage {
		c.graphic(g, func(x, y float64) (float64, float64) { return (x - c.box.X0) * sx, (y - c.box.Y0) * sy })
	}
	for range st.turns() {
		c = c.turned()
	}
	if st.data.Text(imageHorizontalFlip) == "Y" {
		drawing{flipX: true}.flip(c.v, c.w, c.h, 1)
	}
	for _, g := range onDisplay {
		c.graphic(g, func(x, y float64) (float64, float64) { return x * float64(c.w), y * float64(c.h) })
	}
	return c.v, c.w, c.h
}

// turned is the picture a quarter further clockwise.
func (c canvas) turned() canvas {
	out := canvas{make([]byte, len(c.v)), c.h, c.w, c.box}
	for y := range c.h {
		for x := range c.w {
			out.v[x*out.w+c.h-1-y] = c.v[y*c.w+x]
		}
	}
	return out
}

// shut covers what lies outside of the display shutter, PS3.3 §C.7.6.11.
func (st *state) shut(c canvas) {
	cover := byte(0)
	if p, ok := st.data.Int(shutterPresentationValue); ok {
		cover = byte(min(max(p, 0), 0xFFFF) >> 8)
	}
	for _, shape := range st.data.Texts(shutterShape) {
		seen := st.shutter(shape)
		if seen == nil {
			continue
		}
		for y := range c.h {
			_, iy := c.toImage(0, y)
			spans := seen(iy)
			for x := range c.w {
				ix, _ := c.toImage(x, y)
				for len(spans) > 1 && ix > spans[1] {
					spans = spans[2:]
				}
				if len(spans) < 2 || ix < spans[0] {
					c.v[y*c.w+x] = cover
				}
			}
		}
	}
}

// shutter gives a function that tells between which columns of a row one shape of
// the shutter is open, in pairs from left to right. Pixels count from 1 there,
// and from 0 at the corner of the first one here.
func (st *state) shutter(shape string) func(y float64) []float64 {
	number := func(t dicom.Tag) float64 {
		v, _ := st.data.Float(t)
		return v
	}
	switch shape {
	case "RECTANGULAR":
		left, right, upper, lower := number(shutterLeft), number(shutterRight), number(shutterUpper), number(shutterLower)
		return func(y float64) []float64 {
			if y < upper-1 || y > lower {
				return nil
			}
			return []float64{left - 1, right}
		}
	case "CIRCULAR":
		center, radius := st.data.Floats(shutterCenter), number(shutterRadius)
		if len(center) != 2 || radius <= 0 {
			return nil
		}
		return func(y float64) []float64 {
			dy := y - center[0] + 0.5
			if math.Abs(dy) > radius {
				return nil
			}
			half := math.Sqrt(radius*radius - dy*dy)
			return []float64{center[1] - 0.5 - half, center[1] - 0.5 + half}
		}
	case "POLYGONAL":
		var ring [][2]float64
		for v := st.data.Floats(shutterVertices); len(v) >= 2 && len(ring) < maxGraphicPoints; v = v[2:] {
			ring = append(ring, [2]float64{v[1] - 0.5, v[0] - 0.5})
		}
		if len(ring) < 3 {
			return nil
		}
		return func(y float64) []float64 { return crossings(ring, y) }
	}
	return nil
}

// layers gives the brightness of each graphic layer; white where none is told.
func (st *state) layers() map[string]byte {
	all := map[string]byte{}
	for l := range st.data.Each(dicom.GraphicLayerSequence) {
		gray := byte(255)
		if v, ok := l.Int(dicom.GraphicLayerRecommendedDisplayGrayscaleValue); ok {
			gray = byte(min(max(v, 0), 0xFFFF) >> 8)
		}
		all[l.Text(dicom.GraphicLayer)] = gray
	}
	return all
}
