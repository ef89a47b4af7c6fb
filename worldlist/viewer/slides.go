package viewer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"

	"varde/internal/slide"
	"varde/internal/webui"
	"varde/study"
)

// thumbSide is about how long the longer side of a slide's small picture is, where
// none was made when its study settled.
const thumbSide = 256

// maxThumb bounds a picture that was: one of 1024 pixels a side has 300 kB.
const maxThumb = 8 << 20

// slideOf finds the slide in the address.
func (v *Viewer) slideOf(r *http.Request) (*openSlide, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return nil, err
	}
	series, err := webui.PathUID(r, "series")
	if err != nil {
		return nil, err
	}
	v.Touch(r, uid)
	return v.slideIn(r.Context(), uid, series, r.URL.Query().Get("v"))
}

// keep says how long a browser may keep a part of a slide: for ever when the
// address names the slide's content, else for as long as nothing is known.
func keep(w http.ResponseWriter, r *http.Request) {
	age := "private, max-age=60"
	if r.URL.Query().Get("v") != "" {
		age = "private, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", age)
	w.Header().Set("Vary", "Cookie")
}

// thumb sends the whole slide as a small picture.
func (v *Viewer) thumb(w http.ResponseWriter, r *http.Request) {
	s, err := v.slideOf(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	if b, err := v.kept(r.Context(), slide.ThumbKey(s.series)); err == nil {
		keep(w, r)
		w.Header().Set("Content-Type", "image/jpeg")
		_, _ = w.Write(b) // a visitor who has gone away needs no picture
		return
	} else if !errors.Is(err, study.ErrNotFound) {
		v.site.Fail(w, r, err)
		return
	}
	fine := s.levels[0]
	mpp := max(fine.MPP[0]*float64(fine.Columns), fine.MPP[1]*float64(fine.Rows)) / thumbSide
	rgb, columns, rows, _, err := v.Slides.Overview(r.Context(), s.levels, mpp)
	if err != nil {
		v.site.Fail(w, r, fmt.Errorf("overview: %w", err))
		return
	}
	keep(w, r)
	v.sendJPEG(w, r, rgb, columns, rows)
}

// largeSide is the longer side of a level that takes many tiles to see whole.
const largeSide = 2048

// AddThumb lets a slide whose coarsest level is large begin with its small picture.
// Where none was kept it begins with tiles.
func (v *Viewer) AddThumb(ctx context.Context, s *Stack) {
	if len(s.Levels) == 0 {
		return
	}
	if l := s.Levels[len(s.Levels)-1]; max(l.Columns, l.Rows) <= largeSide {
		return
	}
	b, err := v.kept(ctx, slide.ThumbKey(s.Series))
	if err != nil {
		return
	}
	if c, err := jpeg.DecodeConfig(bytes.NewReader(b)); err == nil {
		s.Thumb = &LevelSize{Columns: c.Width, Rows: c.Height, TileW: c.Width, TileH: c.Height}
	}
}

// mask sends where on a slide there is tissue, as it was found when the study
// settled; 204 where nobody has looked.
func (v *Viewer) mask(w http.ResponseWriter, r *http.Request) {
	s, err := v.slideOf(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	b, err := v.kept(r.Context(), slide.MaskKey(s.series))
	switch {
	case errors.Is(err, study.ErrNotFound):
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	case err != nil:
		v.site.Fail(w, r, err)
	default:
		keep(w, r)
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(b) // a visitor who has gone away needs no mask
	}
}

// kept reads a small object that lies beside a slide.
func (v *Viewer) kept(ctx context.Context, key string) ([]byte, error) {
	if v.Objects == nil {
		return nil, study.ErrNotFound
	}
	body, err := v.Objects.Range(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxThumb+1))
	if err = errors.Join(err, body.Close()); err == nil && len(b) > maxThumb {
		err = fmt.Errorf("%s is longer than %d bytes: %w", key, maxThumb, study.ErrInvalid)
	}
	return b, err
}

// tile sends one tile of one level, as its scanner stored it where a browser can
// show that. Labels and overviews are no levels, and so are out of reach.
func (v *Viewer) tile(w http.ResponseWriter, r *http.Request) {
	s, err := v.slideOf(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	var at [3]int
	for i, name := range []string{"level", "column", "row"} {
		if at[i], err = number(r.PathValue(name)); err != nil {
			v.site.Fail(w, r, fmt.Errorf("tile: its %s is no number: %w", name, err))
			return
		}
	}
	tiles, err := s.step(v.Slides, at[0])
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	b, stored, err := tiles.JPEG(r.Context(), at[1], at[2])
	if err != nil {
		v.site.Fail(w, r, fmt.Errorf("tile %d, %d of level %d of slide %s: %w", at[1], at[2], at[0], s.series, err))
		return
	}
	keep(w, r)
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Varde-Tile", map[bool]string{true: "stored", false: "encoded"}[stored])
	_, _ = w.Write(b) // a visitor who has gone away needs no tile
}

// number reads a whole number that is not negative.
func number(s string) (int, error) {
	n := 0
	if len(s) == 0 || len(s) > 9 {
		return 0, study.ErrInvalid
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, study.ErrInvalid
		}
		n = 10*n + int(c-'0')
	}
	return n, nil
}
