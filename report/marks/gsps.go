package marks

import (
	"fmt"
	"math"
	"slices"

	"varde/internal/dicom"
	"varde/study"
)

// The graphic layers, so that a reader can switch off the words, or the banner,
// and keep the rings.
const (
	ringLayer   = "AI_RINGS"
	textLayer   = "AI_TEXT"
	bannerLayer = "AI_BANNER"
)

// A look is what images must share to be in one presentation state: the module
// Modality LUT stands once in it, PS3.3 §C.11.6.
type look struct {
	slope, intercept float64
	rescaled         bool
	modality         study.Modality
}

// Presentations writes the findings as rings and words over the images that they
// are on: Grayscale Softcopy Presentation States (PS3.3 §A.33.1), one for each
// modality and rescaling, each a Part 10 file. Color images have none. Without a
// region on a gray image there are none at all.
func (w Work) Presentations() ([][]byte, error) {
	spots := w.spots()
	groups := map[look][]study.Instance{}
	var order []look
	for _, in := range w.Instances {
		if in.Image == nil || in.Image.Samples > 1 || len(spots[in.UID]) == 0 {
			continue
		}
		l := look{in.Image.Slope, in.Image.Intercept, in.Image.HasRescale, in.Modality}
		if groups[l] == nil {
			order = append(order, l)
		}
		groups[l] = append(groups[l], in)
	}
	var out [][]byte
	for n, l := range order {
		b, err := w.presentation(n, l, groups[l], spots)
		if err != nil {
			return nil, fmt.Errorf("encode presentation state %d: %w", n+1, err)
		}
		out = append(out, b)
	}
	return out, nil
}

func (w Work) presentation(n int, l look, images []study.Instance, spots map[study.UID][]spot) ([]byte, error) {
	uid, series := w.Name(n)
	say := tongue(w.Lang)
	o := dicom.NewObject(dicom.GrayscalePresentation, uid)
	w.Identity.WriteUndated(o)
	text := say.disclaimer
	if w.Result.Partial() {
		text = say.partial
	}
	o.Set(dicom.Modality, "PR").Set(dicom.SeriesInstanceUID, series).Set(dicom.SeriesNumber, presentationSeries).
		Set(dicom.SeriesDescription, say.rings).Set(dicom.InstanceNumber, n+1).
		Set(dicom.ContentLabel, "AI_FINDINGS").Set(dicom.ContentDescription, text).
		Set(dicom.PresentationCreationDate, w.Identity.At).Set(dicom.PresentationCreationTime, w.Identity.At).
		Set(dicom.ContentCreatorName, "").Set(dicom.Laterality, side(images)...).
		Seq(dicom.ReferencedSeriesSequence, bySeries(images, dicom.ReferencedImageSequence)...).
		Seq(dicom.GraphicLayerSequence, layers(say)...).
		Seq(dicom.DisplayedAreaSelectionSequence, areas(images)...).
		Set(dicom.PresentationLUTShape, shape(images))
	if l.rescaled {
		kind := "US" // unspecified
		if l.modality == study.CT {
			kind = "HU"
		}
		o.Set(dicom.RescaleIntercept, l.intercept).Set(dicom.RescaleSlope, l.slope).Set(dicom.RescaleType, kind)
	}
	if windows := windows(images); len(windows) > 0 {
		o.Seq(dicom.SoftcopyVOILUTSequence, windows...)
	}
	var annotations []*dicom.Item
	for _, in := range images {
		annotations = append(annotations, w.annotations(in, spots[in.UID])...)
	}
	o.Seq(dicom.GraphicAnnotationSequence, annotations...)
	return o.Encode()
}

// side is that of the images, empty where they do not say one and the same.
func side(images []study.Instance) []any {
	first := images[0].Image.Laterality
	if first == "" || slices.ContainsFunc(images, func(in study.Instance) bool { return in.Image.Laterality != first }) {
		return nil
	}
	return []any{first}
}

// shape inverts what is dark where it is bright, as the images themselves do.
func shape(images []study.Instance) string {
	if images[0].Image.Photometric == "MONOCHROME1" {
		return "INVERSE"
	}
	return "IDENTITY"
}

// bySeries lists images by their series, in the sequence that list wants: PS3.3
// §C.11.11 and §C.17.2.1.
func bySeries(images []study.Instance, list dicom.Tag) []*dicom.Item {
	var out []*dicom.Item
	for len(images) > 0 {
		n := slices.IndexFunc(images, func(in study.Instance) bool { return in.Series != images[0].Series })
		if n < 0 {
			n = len(images)
		}
		out = append(out, dicom.NewItem().Set(dicom.SeriesInstanceUID, images[0].Series).
			Seq(list, references(images[:n])...))
		images = images[n:]
	}
	return out
}

func references(images []study.Instance) []*dicom.Item {
	out := make([]*dicom.Item, len(images))
	for i, in := range images {
		out[i] = reference(in, 0)
	}
	return out
}

// reference names an image, or one frame of it, counted from 1.
func reference(in study.Instance, frame int) *dicom.Item {
	r := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, in.Class).Set(dicom.ReferencedSOPInstanceUID, in.UID)
	if frame > 0 && in.Image.Frames > 1 {
		r.Set(dicom.ReferencedFrameNumber, frame)
	}
	return r
}

// areas shows each image whole, PS3.3 §C.10.4.
func areas(images []study.Instance) []*dicom.Item {
	type size struct{ columns, rows int }
	bySize := map[size][]study.Instance{}
	var order []size
	for _, in := range images {
		s := size{in.Image.Columns, in.Image.Rows}
		if bySize[s] == nil {
			order = append(order, s)
		}
		bySize[s] = append(bySize[s], in)
	}
	var out []*dicom.Item
	for _, s := range order {
		item := dicom.NewItem().
			Set(dicom.DisplayedAreaTopLeftHandCorner, 1, 1).
			Set(dicom.DisplayedAreaBottomRightHandCorner, s.columns, s.rows).
			Set(dicom.PresentationSizeMode, "SCALE TO FIT")
		if mm := bySize[s][0].Image.SpacingMM; mm[0] > 0 && mm[1] > 0 {
			item.Set(dicom.PresentationPixelSpacing, mm[0], mm[1])
		} else {
			item.Set(dicom.PresentationPixelAspectRatio, 1, 1)
		}
		if len(order) > 1 {
			item.Seq(dicom.ReferencedImageSequence, references(bySize[s])...)
		}
		out = append(out, item)
	}
	return out
}

// windows keeps the windows of the images that have one, PS3.3 §C.11.8: without
// them a viewer would show the whole range.
func windows(images []study.Instance) []*dicom.Item {
	type window struct{ center, width float64 }
	byWindow := map[window][]study.Instance{}
	var order []window
	for _, in := range images {
		v := window{in.Image.WindowCenter, in.Image.WindowWidth}
		if v.width <= 0 {
			continue
		}
		if byWindow[v] == nil {
			order = append(order, v)
		}
		byWindow[v] = append(byWindow[v], in)
	}
	var out []*dicom.Item
	for _, v := range order {
		out = append(out, dicom.NewItem().Set(dicom.WindowCenter, v.center).Set(dicom.WindowWidth, v.width).
			Seq(dicom.ReferencedImageSequence, references(byWindow[v])...))
	}
	return out
}

// layers lists the graphic layers, PS3.3 §C.10.7.
func layers(say phrases) []*dicom.Item {
	var all []*dicom.Item
	for n, l := range []struct{ name, text string }{{ringLayer, say.rings}, {textLayer, say.texts}, {bannerLayer, say.banner}} {
		all = append(all, dicom.NewItem().Set(dicom.GraphicLayer, l.name).Set(dicom.GraphicLayerOrder, n+1).
			Set(dicom.GraphicLayerDescription, l.text))
	}
	return all
}

// annotations draws what is on one image: for each of its frames the rings, the
// words beside them, and the banner.
func (w Work) annotations(in study.Instance, spots []spot) []*dicom.Item {
	byFrame := map[int][]spot{}
	var order []int
	for _, s := range spots {
		if byFrame[s.region.Frame] == nil {
			order = append(order, s.region.Frame)
		}
		byFrame[s.region.Frame] = append(byFrame[s.region.Frame], s)
	}
	slices.Sort(order)
	var out []*dicom.Item
	for _, frame := range order {
		p := newPage(in.Image)
		var shapes, texts []*dicom.Item
		for _, s := range byFrame[frame] {
			shapes = append(shapes, ring(s.region))
			p.take(s.region)
		}
		banner := p.corner(w.banner()).item()
		for _, s := range byFrame[frame] {
			texts = append(texts, p.beside(w.label(s.finding), s.region).item())
		}
		item := func(layer string) *dicom.Item {
			return dicom.NewItem().Seq(dicom.ReferencedImageSequence, reference(in, frame)).Set(dicom.GraphicLayer, layer)
		}
		out = append(out, item(ringLayer).Seq(dicom.GraphicObjectSequence, shapes...),
			item(textLayer).Seq(dicom.TextObjectSequence, texts...),
			item(bannerLayer).Seq(dicom.TextObjectSequence, banner))
	}
	return out
}

// ring is the shape of a region, PS3.3 §C.10.5: its pixels are counted as in a
// structured report, from the corner of the first one.
func ring(r study.Region) *dicom.Item {
	kind, points := string(r.Shape), r.Points
	if n := len(points); r.Shape == study.Outline && n >= 6 && (points[0] != points[n-2] || points[1] != points[n-1]) {
		points = append(points[:n:n], points[0], points[1])
	}
	return dicom.NewItem().Set(dicom.GraphicAnnotationUnits, "PIXEL").Set(dicom.GraphicDimensions, 2).
		Set(dicom.NumberOfGraphicPoints, len(points)/2).Set(dicom.GraphicData, points).
		Set(dicom.GraphicType, kind).Set(dicom.GraphicFilled, "N")
}

func bounds(r study.Region) (low, high [2]float64) {
	if r.Shape == study.Circle && len(r.Points) == 4 {
		p := r.Points
		radius := math.Hypot(p[2]-p[0], p[3]-p[1])
		return [2]float64{p[0] - radius, p[1] - radius}, [2]float64{p[0] + radius, p[1] + radius}
	}
	low, high = [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for k, v := range r.Points {
		low[k%2], high[k%2] = min(low[k%2], v), max(high[k%2], v)
	}
	return low, high
}
