package dicomweb

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/study"
)

// Media types of rendered images.
const (
	typeJPEG = "image/jpeg"
	typePNG  = "image/png"
)

const (
	// maxSide bounds a viewport, in pixels.
	maxSide = 8192
	// maxRendered bounds the frames of one rendered answer: each is decoded.
	maxRendered = 1000
	// defaultQuality of a JPEG shows the scanner's artifacts and not ours.
	defaultQuality = 90
	// thumbnailSide is the viewport of a thumbnail when the client names none.
	thumbnailSide = 200
)

// A drawing is how a frame is to be shown.
type drawing struct {
	window        *pixel.Window // nil: the image's own
	width, height int           // viewport; 0: as large as what is shown
	region        [4]float64    // x, y, width, height of what is shown; zero sizes: to the edge
	flipX, flipY  bool
	quality       int
	annotation    string // what was asked to be written onto the picture
	state         *state // a presentation state to apply, or nil
}

// rendered gives images that a browser shows, PS3.18 §10.4.1.1.3: the frames that
// the path names, else the middle one of what it names.
func (s *Service) rendered(w http.ResponseWriter, r *http.Request) {
	s.draw(w, r, drawing{quality: defaultQuality})
}

// thumbnail gives one small image, PS3.18 §10.4.1.1.4.
func (s *Service) thumbnail(w http.ResponseWriter, r *http.Request) {
	s.draw(w, r, drawing{quality: defaultQuality, width: thumbnailSide, height: thumbnailSide})
}

func (s *Service) draw(w http.ResponseWriter, r *http.Request, d drawing) {
	err := d.parse(r)
	var shots []shot
	if err == nil {
		shots, err = s.shots(r, &d)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	media, single, ok := chooseRendered(wishes(r), len(shots))
	if !ok && d.state != nil { // a client that takes one picture gets the first
		media, single, ok = chooseRendered(wishes(r), 1)
	}
	if !ok {
		s.fail(w, r, fmt.Errorf("rendered images are %s or %s: %w", typeJPEG, typePNG, errNotAcceptable))
		return
	}
	first, err := s.picture(r.Context(), shots[0], d, media)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if text := d.warn(); text != "" {
		w.Header().Set("Warning", text)
	}
	if single {
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Length", strconv.Itoa(len(first)))
		_, _ = w.Write(first) // when the client is gone, it will ask again
		return
	}
	m := multipartAnswer(w, media)
	for i, at := range shots {
		body := first
		if i > 0 {
			body, err = s.picture(r.Context(), at, d, media)
		}
		if err == nil {
			part, perr := m.CreatePart(textproto.MIMEHeader{"Content-Type": {media},
				"Content-Location": {instanceURL(s.base(r), at.in.Study, at.in.Series, at.in.UID) + "/frames/" + strconv.Itoa(at.n+1) + "/rendered"}})
			if err = perr; err == nil {
				_, err = part.Write(body)
			}
		}
		if err != nil {
			s.abort(r, fmt.Errorf("render frame %d of instance %s: %w", at.n+1, at.in.UID, err))
		}
	}
	if err := m.Close(); err != nil {
		s.abort(r, err)
	}
}

// shots are the frames that a request is for. Of a presentation state they are
// those that it refers to, shown as it says.
func (s *Service) shots(r *http.Request, d *drawing) ([]shot, error) {
	all, err := s.target(r)
	if err != nil {
		return nil, err
	}
	st, shots, err := s.stateOf(r, all)
	if err != nil || st != nil {
		d.state = st
		return shots, err
	}
	in, list, err := toDraw(r, all)
	for _, n := range list {
		shots = append(shots, shot{in, n})
	}
	return shots, err
}

// toDraw picks the object and the frames, numbered from 0, that a path stands
// for.
func toDraw(r *http.Request, all []study.Instance) (study.Instance, []int, error) {
	all = slices.DeleteFunc(all, func(i study.Instance) bool { return i.Image == nil })
	if len(all) == 0 {
		return study.Instance{}, nil, fmt.Errorf("nothing here has pixels: %w", errNotAcceptable)
	}
	if r.PathValue("instance") == "" { // a label is never what a study or a series looks like
		all = slices.DeleteFunc(all, bearsLabel)
		if len(all) == 0 {
			return study.Instance{}, nil, fmt.Errorf("nothing here but a slide's label: %w", errNotAcceptable)
		}
	}
	in := middle(all)
	if r.PathValue("frames") == "" {
		return in, []int{max(1, in.Image.Frames) / 2}, nil
	}
	list, err := frameList(r)
	if err != nil {
		return in, nil, err
	}
	if len(list) > maxRendered {
		return in, nil, fmt.Errorf("%d frames rendered at once, more than %d: %w", len(list), maxRendered, study.ErrInvalid)
	}
	for _, n := range list {
		if n >= max(1, in.Image.Frames) {
			return in, nil, fmt.Errorf("frame %d of instance %s: %w", n+1, in.UID, study.ErrNotFound)
		}
	}
	return in, list, nil
}

// bearsLabel reports whether an image is of a slide's label, or of the whole slide
// with its label in view: both show a patient's name.
func bearsLabel(i study.Instance) bool {
	return i.Image.Slide != nil && (i.Image.Slide.Kind == "LABEL" || i.Image.Slide.Kind == "OVERVIEW")
}

// middle picks the image that stands for a study or a series: the middle one of
// the series with the most images. A slide is shown by its thumbnail or by its
// smallest level.
func middle(all []study.Instance) study.Instance {
	for _, i := range all {
		if i.Image.Slide != nil && i.Image.Slide.Kind == "THUMBNAIL" {
			return i
		}
	}
	count := map[study.UID]int{}
	for _, i := range all {
		count[i.Series]++
	}
	best := all[0].Series
	for _, i := range all {
		if count[i.Series] > count[best] {
			best = i.Series
		}
	}
	fit := slices.DeleteFunc(slices.Clone(all), func(i study.Instance) bool { return i.Series != best })
	if !slices.ContainsFunc(fit, func(i study.Instance) bool { return i.Image.Slide == nil }) {
		return slices.MinFunc(fit, func(a, b study.Instance) int {
			return cmp.Compare(a.Image.Slide.TotalColumns, b.Image.Slide.TotalColumns)
		})
	}
	return fit[len(fit)/2]
}

// chooseRendered picks the media type for n images, and whether the image stands
// by itself. A client that takes anything gets JPEG.
func chooseRendered(all []wish, n int) (media string, single, ok bool) {
	for _, w := range all {
		multi, inner := w.media == typeMultipart, w.media
		if multi {
			inner = w.inner
		}
		if w.media == "*/*" {
			multi = n > 1
		}
		if n > 1 && !multi {
			continue
		}
		for _, t := range []string{typeJPEG, typePNG} {
			if covers(inner, t) {
				return t, !multi, true
			}
		}
	}
	return "", false, false
}

// parse reads the parameters of PS3.18 §8.3.5.
func (d *drawing) parse(r *http.Request) error {
	q := r.URL.Query()
	if text := q.Get("quality"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("quality %.20q is not 1 to 100: %w", text, study.ErrInvalid)
		}
		d.quality = n
	}
	d.annotation = q.Get("annotation")
	for _, word := range strings.Split(d.annotation, ",") {
		if word != "" && !strings.Contains(annotations, word) {
			return fmt.Errorf("annotation %.20q is none of %s: %w", word, annotations, study.ErrInvalid)
		}
	}
	if text := q.Get("window"); text != "" {
		if err := d.parseWindow(text); err != nil {
			return err
		}
	}
	if text := q.Get("viewport"); text != "" {
		return d.parseViewport(text)
	}
	return nil
}

// parseWindow reads center, width and function.
func (d *drawing) parseWindow(text string) error {
	fields := strings.Split(text, ",")
	bad := fmt.Errorf("window %.60q is not center,width,function: %w", text, study.ErrInvalid)
	if len(fields) < 2 || len(fields) > 3 {
		return bad
	}
	center, err1 := strconv.ParseFloat(strings.TrimSpace(fields[0]), 64)
	width, err2 := strconv.ParseFloat(strings.TrimSpace(fields[1]), 64)
	if err1 != nil || err2 != nil || math.IsNaN(center+width) || math.IsInf(center+width, 0) || width <= 0 {
		return bad
	}
	d.window = &pixel.Window{Center: center, Width: width}
	if len(fields) == 3 {
		switch strings.ToLower(strings.TrimSpace(fields[2])) {
		case "linear", "":
		case "linear-exact":
			d.window.Exact = true
		case "sigmoid":
			d.window.Sigmoid = true
		default:
			return fmt.Errorf("window function %.20q is none of linear, linear-exact, sigmoid: %w", fields[2], study.ErrInvalid)
		}
	}
	if !d.window.Exact && !d.window.Sigmoid && width < 1 {
		return fmt.Errorf("a linear window is at least 1 wide, PS3.3 §C.11.2.1.2.1: %w", study.ErrInvalid)
	}
	return nil
}

// parseViewport reads vw,vh[,sx,sy,sw,sh]. A negative sw or sh mirrors.
func (d *drawing) parseViewport(text string) error {
	fields := strings.Split(text, ",")
	bad := fmt.Errorf("viewport %.80q is not vw,vh or vw,vh,sx,sy,sw,sh with sides up to %d: %w", text, maxSide, study.ErrInvalid)
	if len(fields) != 2 && len(fields) != 6 {
		return bad
	}
	var v [6]float64
	for i, f := range fields {
		f = strings.TrimSpace(f)
		if f == "" && i >= 2 {
			continue
		}
		x, err := strconv.ParseFloat(f, 64)
		if err != nil || math.IsNaN(x) || math.Abs(x) > 1<<31 {
			return bad
		}
		v[i] = x
	}
	d.width, d.height = int(v[0]), int(v[1])
	if d.width < 1 || d.height < 1 || d.width > maxSide || d.height > maxSide || v[2] < 0 || v[3] < 0 {
		return bad
	}
	d.flipX, d.flipY = v[4] < 0, v[5] < 0
	d.region = [4]float64{v[2], v[3], math.Abs(v[4]), math.Abs(v[5])}
	return nil
}

// place gives what is shown of a picture of w×h pixels, and how large.
func (d drawing) place(w, h int) (b pixel.Box, dw, dh int, err error) {
	x, y := d.region[0], d.region[1]
	if x >= float64(w) || y >= float64(h) {
		return b, 0, 0, fmt.Errorf("the viewport begins outside of the image of %d×%d: %w", w, h, study.ErrInvalid)
	}
	b = pixel.Box{X0: x, Y0: y, X1: float64(w), Y1: float64(h)}
	if d.region[2] > 0 {
		b.X1 = min(b.X1, x+d.region[2])
	}
	if d.region[3] > 0 {
		b.Y1 = min(b.Y1, y+d.region[3])
	}
	scale := 1.0
	if d.width > 0 {
		scale = min(float64(d.width)/(b.X1-b.X0), float64(d.height)/(b.Y1-b.Y0))
	}
	side := func(v float64) int { return max(1, int(math.Round(v*scale))) }
	return b, side(b.X1 - b.X0), side(b.Y1 - b.Y0), nil
}

// picture decodes and draws one frame. Few are drawn at once: each takes memory
// for its samples.
func (s *Service) picture(ctx context.Context, at shot, d drawing, media string) ([]byte, error) {
	in, n := at.in, at.n
	select {
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, err := s.decode(ctx, in, n)
	if err != nil {
		return nil, fmt.Errorf("frame %d of instance %s: %w", n+1, in.UID, err)
	}
	var img image.Image
	if f.Samples == 1 && f.Color != codec.Palette {
		img, err = s.gray(ctx, in, n, f, d)
	} else if d.state != nil {
		err = fmt.Errorf("a grayscale presentation state of a color image: %w", study.ErrUnsupported)
	} else {
		img, err = s.color(ctx, in, f, d)
	}
	if err != nil {
		return nil, fmt.Errorf("draw frame %d of instance %s: %w", n+1, in.UID, err)
	}
	var b bytes.Buffer
	if media == typePNG {
		err = pixel.PNG(&b, img)
	} else {
		err = pixel.JPEG(&b, img, d.quality)
	}
	return b.Bytes(), err
}

// color draws a frame of colors. Those of a palette stand in the object's header.
func (s *Service) color(ctx context.Context, in study.Instance, f codec.Frame, d drawing) (image.Image, error) {
	var rgb []byte
	var err error
	if f.Color == codec.Palette {
		rgb, err = s.palette(ctx, in, f)
	} else {
		rgb, err = f.RGB()
	}
	if err != nil {
		return nil, err
	}
	b, dw, dh, err := d.place(f.Columns, f.Rows)
	if err != nil {
		return nil, err
	}
	if b != pixel.Whole(f.Columns, f.Rows) || dw != f.Columns || dh != f.Rows {
		if rgb, err = pixel.ResizeBoxRGB(rgb, f.Columns, f.Rows, b, dw, dh); err != nil {
			return nil, err
		}
	} else if d.flipX || d.flipY {
		rgb = slices.Clone(rgb)
	}
	d.flip(rgb, dw, dh, 3)
	return pixel.RGBImage(rgb, dw, dh)
}

// flip mirrors a picture of w×h pixels of n bytes in place.
func (d drawing) flip(v []byte, w, h, n int) {
	swap := func(a, b int) {
		for i := range n {
			v[a*n+i], v[b*n+i] = v[b*n+i], v[a*n+i]
		}
	}
	if d.flipX {
		for y := range h {
			for x := range w / 2 {
				swap(y*w+x, y*w+w-1-x)
			}
		}
	}
	if d.flipY {
		for y := range h / 2 {
			for x := range w {
				swap(y*w+x, (h-1-y)*w+x)
			}
		}
	}
}
